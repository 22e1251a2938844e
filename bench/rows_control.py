"""F0: what the machine itself gives now: a loop that needs nothing but a processor, in two processes at once. No row that has two
of something work at the same time can show more than this one."""
import subprocess
import sys

from measure import median, row

SPIN = """
import sys, time
def spin():
    started = time.perf_counter()
    for _ in range({count}):
        pass
    return time.perf_counter() - started
spin()
sys.stdin.readline()
print(spin())
"""


def spin(processes, count):
    """Seconds that the slowest of so many processes takes."""
    command = [sys.executable, "-c", SPIN.format(count=count)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    for each in running:
        each.stdin.write("go\n")
        each.stdin.flush()
    return max(float(each.communicate()[0]) for each in running)


def rows(group, quick):
    count = 3_000_000 if quick else 15_000_000
    ones, twos = [], []
    for _ in range(3 if quick else 5):
        ones.append(spin(1, count))
        twos.append(spin(2, count))
        ones.append(spin(1, count))
    ratio = median([(before + after) / two for before, after, two in zip(ones[::2], ones[1::2], twos)])
    return [row("F0", "control: a plain loop in two processes", 2 * count / median(twos) / 1e6, "M/s", "in one", count / median(ones) / 1e6, ratio=ratio)]
