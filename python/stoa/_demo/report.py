"""The demo's HTML page: one file, nothing loaded from elsewhere, light and dark."""

from html import escape

from .charts import bar_chart
from .terminal import megabytes, rate, rows, seconds, summary

SHOWN = 12  # interpreters in the chart of ready times

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #1d2430; --soft: #5d6675; --line: #dcd8cf;
  --card: #ffffff; --shared: #0f7b6c; --private: #d0743c; --build: #5b6fb5; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e8e6e1; --soft: #9aa3b2; --line: #2d333d;
  --card: #1b1f26; --shared: #3fc1ab; --private: #f0975c; --build: #8fa2ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 880px; margin: 0 auto; padding: 56px 24px 72px; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .4rem; text-wrap: balance; }
h2 { font-size: 1.05rem; margin: 0 0 .2rem; }
p { margin: .3rem 0 .8rem; } .lead, .note, figcaption { color: var(--soft); } .note, figcaption { font-size: .875rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px; margin: 22px 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px; margin: 28px 0; }
.fact { border-left: 3px solid var(--shared); padding: 2px 0 2px 14px; }
.fact b { display: block; font-size: 1.55rem; line-height: 1.25; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.fact span { color: var(--soft); font-size: .875rem; }
figure { margin: 0; } svg { display: block; width: 100%; height: auto; margin: 6px 0 2px; }
svg text { font-size: 14px; dominant-baseline: central; fill: var(--ink); }
svg .label { text-anchor: end; fill: var(--soft); } svg .value { font-variant-numeric: tabular-nums; font-weight: 600; }
svg .axis { stroke: var(--line); } .shared { fill: var(--shared); } .private { fill: var(--private); } .build { fill: var(--build); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .2rem; border-bottom: 1px solid var(--line); text-align: right; } tr:last-child > * { border: 0; }
th:first-child, td:first-child { text-align: left; font-weight: 400; } thead th { font-size: .875rem; color: var(--soft); }
td.sub { padding-left: 1.2rem; color: var(--soft); }
code, pre { font: .84rem/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, monospace; }
pre { overflow-x: auto; margin: .2rem 0 1rem; color: var(--soft); } pre b { color: var(--ink); }
ul { padding-left: 1.2rem; margin: .3rem 0; }
"""


def page(result):
    body = [head(result), facts(result), *charts(result), table(result), samples(result), skipped(result), method(result)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Stoa demo</title><style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(filter(None, body)) + "\n</main></body></html>\n"
    )


def head(result):
    return (
        f"<h1>One index, {result['interpreters']} interpreters</h1>"
        f'<p class="lead">A full-text index of <code>{escape(result["root"])}</code>: {summary(result)}. '
        f"Python {escape(result['python'])} on {escape(result['machine'])}.</p>"
    )


def facts(result):
    shared, private = result["shared"], result["private"]
    shown = [
        (megabytes(shared["memory_each"]), "of memory added by each further interpreter"),
        (seconds(shared["ready"][-1]), f"until all {result['interpreters']} interpreters answer queries"),
        (rate(shared["per_second"]), f"queries, {seconds(shared['cpu_per_query'])} of processor time each"),
    ]
    if private:
        shown.append((f"{private['memory_total'] / shared['memory_total']:.1f}×", "the memory, with private copies"))
    return '<div class="facts">' + "".join(f'<div class="fact"><b>{a}</b><span>{b}</span></div>' for a, b in shown) + "</div>"


def figure(title, rows_, caption):
    return (
        f"<section><figure><h2>{escape(title)}</h2>{bar_chart(title, rows_)}"
        f"<figcaption>{escape(caption)}</figcaption></figure></section>"
    )


def charts(result):
    shared, private = result["shared"], result["private"]
    count = result["interpreters"]
    times = result["times"]
    yield figure(
        "Building it, once",
        [
            ("tokenise, freeze", [(times["words"], "build", "tokenising and freezing the parts")], seconds(times["words"])),
            ("merge", [(times["merge"], "build", "merging the parts")], seconds(times["merge"])),
            ("freeze, publish", [(times["freeze"], "build", "freezing and publishing")], seconds(times["freeze"])),
        ],
        f"{result['built_by']} interpreters tokenise at once, each freezes its part; the parts are merged by pointer.",
    )
    if not private:
        return
    yield figure(
        f"Memory of the index in {count} interpreters",
        [
            ("one shared copy", [(shared["memory_total"], "shared", "the one copy")], megabytes(shared["memory_total"])),
            (
                "private copies",
                [(private["memory_each"], "private", f"copy {i + 1}") for i in range(count)],
                megabytes(private["memory_total"]),
            ),
        ],
        "Each block is one copy. The interpreters themselves weigh the same both ways and are not counted.",
    )
    yield figure("Until the interpreters are ready", list(ready_rows(shared, private)), "From an open interpreter to its first answer.")
    yield figure(
        "Queries per second",
        [
            ("one shared copy", [(shared["per_second"], "shared", "shared")], rate(shared["per_second"])),
            ("private copies", [(private["per_second"], "private", "private")], rate(private["per_second"])),
        ],
        f"{result['queries']:,} word, prefix and phrase queries with snippets, all interpreters at once.",
    )


def ready_rows(shared, private):
    for way, name in ((shared, "shared"), (private, "private")):
        for number, moment in list(enumerate(way["ready"], 1))[-SHOWN:]:
            yield f"{name}, no. {number}", [(moment, name, f"{name}, interpreter {number}")], seconds(moment)


def table(result):
    lines = []
    for label, shared, private in rows(result):
        sub = ' class="sub"' if label.startswith(" ") else ""
        lines.append(f"<tr><td{sub}>{escape(label)}</td><td>{shared}</td><td>{private}</td></tr>")
    if result["private"]:
        same = "the same" if result["same"] else "different"
        lines.append(f'<tr><td>answers ({result["batches"]} batches compared)</td><td colspan="2">{same}</td></tr>')
    return (
        "<section><table><thead><tr><th></th><th>one shared copy</th><th>private copies</th></tr></thead><tbody>"
        + "".join(lines)
        + "</tbody></table></section>"
    )


def samples(result):
    shown = []
    for query, (count, words, hits) in result["samples"]:
        lines = "\n".join(escape(f"{name}:{line}: {text}") for name, line, text in hits)
        more = f", {words:,} words" if words > 1 else ""
        shown.append(f"<pre><b>{escape(query)}</b>  {count:,} places{more}\n{lines}</pre>")
    return f"<section><h2>Three of the queries</h2>{''.join(shown)}</section>" if shown else ""


def skipped(result):
    if not result["skipped"]:
        return ""
    items = "".join(
        f"<li>{count:,} × {escape(reason)}: <code>{escape(', '.join(names))}</code>{', …' if count > len(names) else ''}</li>"
        for reason, count, names in result["skipped"]
    )
    return f"<section><h2>Skipped</h2><ul>{items}</ul></section>"


def method(result):
    kind = {"pss": "proportional set size, /proc/self/smaps_rollup", "rss": "resident set size"}.get(
        result["shared"]["memory_kind"], "not known here"
    )
    return (
        '<section class="note"><h2>How this was measured</h2><p>Each way ran in a process of its own, one after the other. '
        f"Interpreters have their own GIL. Memory ({escape(kind)}) was read when all interpreters were open with their queries, and again "
        "when all had the index; the shared copy was read through once before, so that it is counted in full, and its own size is that of the "
        "shared heap. A private copy is unpickled from a file in the page cache, with the cyclic garbage collector off. "
        "The answers of both ways were compared by a digest of each batch.</p>"
        f"<p>The whole run took {seconds(result['seconds'])}.</p></section>"
    )
