"""The command line: python -m stoa demo | info | doctor | top | bench."""

import argparse
import os
import sys


def parser():
    top = argparse.ArgumentParser(
        prog="python -m stoa", description="Stoa lets the Python interpreters of one process share objects."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    from .._demo import job

    demo = commands.add_parser(
        "demo",
        help="build a full-text index of a folder once and serve it from several interpreters",
        description="Builds a full-text index of DIR with several interpreters, serves it from one shared copy, does the "
        "same with private copies, and compares memory, start-up and speed.",
    )
    job.add_arguments(demo)

    info = commands.add_parser("info", help="versions, layout, limits, and what the shared heap holds")
    info.add_argument("--json", action="store_true", help="for programs")

    doctor = commands.add_parser("doctor", help="does this machine and Python have what Stoa needs")
    doctor.add_argument("--json", action="store_true", help="for programs")

    from . import top as top_command

    live = commands.add_parser(
        "top",
        help="what a running process shares, and who waits for whom",
        description="Shows interpreters, regions, names, queues and locks of a running process, read without stopping it and "
        "without its help. Same user only.",
    )
    top_command.add_arguments(live)

    bench = commands.add_parser("bench", help="a few seconds of measuring on this machine")
    bench.add_argument("--json", action="store_true", help="for programs")
    return top


def main(argv=None):
    """Runs a command; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        return run(args)
    except KeyboardInterrupt:
        print("stoa: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`). What is left in the buffer must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def run(args):
    if args.command == "demo":
        from .._demo.job import run
    elif args.command == "info":
        from .info import run
    elif args.command == "doctor":
        from .doctor import run
    elif args.command == "top":
        from .top import run
    else:
        from .bench import run
    status = run(args)
    sys.stdout.flush()
    return status
