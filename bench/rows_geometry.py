"""F16: the geometry pipeline (examples/geometry.c): two cores against one, one heap against processes over pipes."""
import json
import os
import subprocess

import stoa
from measure import median, row

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(stoa._stoa.__file__))))


def rows(group, quick):
    program = os.path.join(BUILD, "examples", "geometry")
    triangles, layers, repetitions = (100_000, 200, 2) if quick else (2_200_000, 1000, 3)
    environment = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.abspath(stoa.__file__))))
    runs = []
    for _ in range(repetitions):
        done = subprocess.run([program, "-j", "-t", str(triangles), "-l", str(layers), "-b", "64", "-w", "2"], capture_output=True, text=True,
                              env=environment, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")
        runs.append(json.loads(done.stdout))
    counts = {"triangles": runs[0]["triangles"], "points": runs[0]["points"], "layers": layers}
    seconds = median([run["many"] for run in runs])
    gain, against = median([run["one"] / run["many"] for run in runs]), median([run["pipes"] / run["many"] for run in runs])
    what = f"pipeline, {counts['triangles']:,} triangles, 2 cores"
    return [
        row("F16", what, seconds, "s", "1 core", median([run["one"] for run in runs]), ratio=gain, bar=">= 1.7", ok=gain >= 1.7,
            overlap=median([run["overlap"] for run in runs]), **counts),
        row("F16", what, seconds, "s", "processes over pipes", median([run["pipes"] for run in runs]), ratio=against, bar=">= 2", ok=against >= 2),
        row("F16", "memory of the pipeline", median([run["bytes"] for run in runs]) / 1e6, "MB", "processes over pipes",
            median([run["pipes_bytes"] for run in runs]) / 1e6),
    ]
