"""Runs cases of the battery in the interpreter that it is imported in."""
import json
import re

import stoa
from stoa_tests import hazards, writes


def check(case, shared, token):
    """The problems of one case, as text; an empty list is a pass."""
    problems = []
    outcomes = []
    for run in ("shared", "plain", "shared again"):
        if run == "plain":
            plain = case.make(token)
            outcomes.append(hazards.outcome(case.operation, plain))
            continue
        with writes.recorded(shared) as found:
            result = hazards.outcome(case.operation, shared)
        outcomes.append(result)
        for where, stack in found:
            if case.writes is None or not re.fullmatch(case.writes, where):
                problems.append(f"{run}: write to {where} from\n    " + "\n    ".join(stack))
        if case.writes is not None and not case.optional and not found:
            problems.append(f"{run}: the documented write did not happen; update the case and the documentation")
    if len(set(outcomes)) != 1:
        problems.append("outcomes differ: " + "; ".join(
            f"{run} -> {text}" for run, text in zip(("shared", "plain", "shared again"), outcomes)))
    return problems


def run_here(name, token):
    """Called in any interpreter, with the object that another one has frozen: publishes the problems under a name."""
    case = hazards.load_all()[name]
    problems = check(case, stoa.lookup(f"hazards/{name}/{token}"), token)
    stoa.replace("hazards/problems", json.dumps(problems))
