"""Progress, table and bars for a terminal; plain lines where the output is none."""

import shutil
import time

LABELS = {
    "scan": "looking for files",
    "words": "tokenising and freezing",
    "merge": "merging the parts, publishing",
    "draw": "drawing queries",
    "pickle": "pickling for the private copies",
    "open": "opening interpreters",
    "load": "getting the index",
    "serve": "answering queries",
}
BAR = 28


def megabytes(count):
    return f"{count / 1e6:,.1f} MB"


def seconds(value):
    if value < 0.0995e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 0.0995:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s"


def rate(value):
    return f"{value:,.0f} /s"


class Progress:
    """One line a stage: rewritten while it lasts on a terminal, written once at its end elsewhere."""

    def __init__(self, out):
        self.out = out
        self.live = out.isatty()
        self.full, self.empty = ("█", "░") if can_print(out, "█░") else ("#", ".")
        self.stage = None
        self.begin = 0.0
        self.last = (0, 0)

    def write(self, text):
        self.out.write(printable(self.out, text))
        self.out.flush()

    def title(self, root):
        self.write(f"Stoa demo: a full-text index of {root}\n")

    def way(self, name, count):
        self.finish()
        self.write(f"\n{name}, {count} interpreter{'s' * (count != 1)}\n")

    def note(self, text):
        self.finish()
        self.write(f"  {text}\n")

    def show(self, stage, done, total):
        if stage != self.stage:
            self.finish()
            self.stage, self.begin = stage, time.monotonic()
        self.last = done, total
        if self.live:
            self.write("\r\033[K  " + LABELS[stage] + self.bar())

    def bar(self):
        done, total = self.last
        if not done or not total:
            return ""
        share = min(1.0, done / total)
        filled = round(share * BAR)
        return f"  {self.full * filled}{self.empty * (BAR - filled)} {share:4.0%}"

    def finish(self):
        """Ends the line of the stage under way."""
        if self.stage is not None:
            took = seconds(time.monotonic() - self.begin)
            self.write(("\r\033[K" if self.live else "") + f"  {LABELS[self.stage]:34}{took:>10}\n")
            self.stage = None


def can_print(out, text):
    try:
        text.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def printable(out, text):
    """`text` with what the stream's encoding lacks written in another way."""
    if not can_print(out, "µ…"):
        text = text.replace("µ", "u").replace("…", "...")
    encoding = out.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def rows(result):
    """(label, shared, private) of the table; shared by the terminal and the page."""
    shared, private = result["shared"], result["private"]
    kind = shared["memory_kind"].upper()
    count = result["interpreters"]

    def both(label, key, text):
        return label, text(shared[key]), text(private[key]) if private else "-"

    return [
        both(f"memory of the index in {count} interpreters", "memory_total", megabytes),
        both(f"  added by each further interpreter ({kind})", "memory_each", megabytes),
        ("first interpreter ready", seconds(shared["ready"][0]), seconds(private["ready"][0]) if private else "-"),
        (f"all {count} ready", seconds(shared["ready"][-1]), seconds(private["ready"][-1]) if private else "-"),
        both("queries answered", "per_second", rate),
        both("  processor time of one query", "cpu_per_query", seconds),
    ]


def summary(result):
    """One sentence about the index."""
    return (
        f"{result['files']:,} files, {megabytes(result['text_bytes'])} of text, {result['lines']:,} lines, "
        f"{result['words']:,} words, {result['terms']:,} different"
    )


def print_result(out, result):
    write = lambda text="": out.write(printable(out, text) + "\n")  # noqa: E731
    times = result["times"]
    write(f"\nIndex: {summary(result)}")
    write(
        f"  built by {result['built_by']} interpreters in {seconds(times['words'])}, merged in {seconds(times['merge'])}, "
        f"frozen and published in {seconds(times['freeze'])}; {megabytes(result['heap_bytes'])} in the shared heap"
    )
    print_skipped(out, result["skipped"])
    for query, (count, words, hits) in result["samples"]:
        write(f"\n  {query}   {count:,} places" + (f", {words:,} words" if words > 1 else ""))
        for name, line, text in hits:
            write(f"    {name}:{line}: {text}"[: shutil.get_terminal_size().columns - 1])
    write(f"\n{result['queries']:,} queries{'':29}{'one shared copy':>17}{'private copies':>17}")
    for label, shared, private in rows(result):
        write(f"{label:44}{shared:>17}{private:>17}")
    if result["private"]:
        same = "the same" if result["same"] else "DIFFERENT"
        write(f"{'answers':44}{same:>34}   ({result['batches']} batches compared)")
        print_bars(out, write, result)


def print_bars(out, write, result):
    full = "█" if can_print(out, "█") else "#"
    width = max(10, min(60, shutil.get_terminal_size().columns - 36))
    for title, key, text in (
        ("memory of the index", lambda way: way["memory_total"], megabytes),
        (f"until all {result['interpreters']} are ready", lambda way: way["ready"][-1], seconds),
        ("queries per second", lambda way: way["per_second"], rate),
    ):
        values = key(result["shared"]), key(result["private"])
        write(f"\n{title}")
        for name, value in zip(("shared", "private"), values):
            write(f"  {name:8} {full * max(1, round(width * value / (max(values) or 1)))} {text(value)}")


def print_skipped(out, reasons):
    if not reasons:
        return
    out.write(f"  skipped: {sum(count for _, count, _ in reasons):,}\n")
    for reason, count, examples in reasons:
        more = ", …" if count > len(examples) else ""
        out.write(printable(out, f"    {count:6,} {reason}: {', '.join(examples)}{more}\n"))
