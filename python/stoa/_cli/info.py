"""python -m stoa info: versions, layout, limits, and what the shared heap holds."""

import json
import os
import platform
import sys

SETTINGS = {
    "STOA_HEAP_RESERVE": "bytes of address space to reserve (default 1 TiB, less where less fits)",
    "STOA_HEAP_LIMIT": "bytes that shared objects may take (default: no limit)",
    "STOA_GUARD": "strict, tolerate or off (default tolerate)",
}


def collect():
    import stoa

    return {
        "stoa": {"version": stoa.__version__, "module": stoa._stoa.__file__, **stoa._stoa.build_info()},
        "python": {
            "version": platform.python_version(),
            "executable": sys.executable,
            "build": " ".join(platform.python_build()),
            "compiler": platform.python_compiler(),
        },
        "machine": {"system": f"{platform.system()} {platform.release()}", "processor": platform.machine()},
        "settings": {name: os.environ.get(name) for name in SETTINGS},
        "process": stoa.stats(),
        "names": list(stoa.names()),
    }


def readable(key, value):
    """A value as people read it."""
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    if key.endswith("bytes") and value >= 1 << 20:
        return f"{value:,} ({value / (1 << 20):,.1f} MiB)"
    if key.endswith(("word", "address")):
        return hex(value)
    return f"{value:,}"


def lines(title, content, depth=0):
    indent = "  " * depth
    if isinstance(content, dict):
        yield f"{indent}{title}"
        for key, value in content.items():
            yield from lines(key, value, depth + 1)
    elif isinstance(content, (list, tuple)):
        yield f"{indent}{title:24} {len(content)}"
        for item in content[:20]:
            yield from lines("-", item, depth + 1) if isinstance(item, dict) else [f"{indent}  {item}"]
    else:
        yield f"{indent}{title:24} {readable(title, content)}"


def run(args):
    content = collect()
    if args.json:
        print(json.dumps(content, indent=1, default=str))
        return 0
    for name, value in content["settings"].items():
        content["settings"][name] = f"{value if value is not None else '-':12} {SETTINGS[name]}"
    for title, part in content.items():
        print("\n".join(lines(title, part)))
    return 0
