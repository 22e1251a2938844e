"""Child process: the same queries, each interpreter with a copy of its own. A process apart from the other way, so that
neither is in the other's memory readings."""

import os

from . import serve, side


def main(parent):
    settings = parent.settings
    folder = settings["folder"]
    path = os.path.join(folder, "index.pickle")
    return side.serve_queries(
        parent,
        settings["interpreters"],
        lambda i: (serve.hold_private, path),
        settings["first_query"],
        lambda i: os.path.join(folder, f"queries-{i}.pickle"),
        settings["queries"],
    )


if __name__ == "__main__":
    side.run(main)
