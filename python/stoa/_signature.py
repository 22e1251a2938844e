"""Signatures of proxied classes and callable objects: inspect asks the type of what it is given, which is stoa.Proxy."""

import inspect

_EMPTY = inspect.Parameter.empty


def describe(x):
    """In the owner: what the signature of x says, of parts that cross by the rule; None: it is as inspect finds it from afar."""
    own = getattr(x, "__signature__", None)
    if isinstance(own, inspect.Signature):
        signature = own
    elif own is None and (isinstance(x, type) or not inspect.isroutine(x)) and callable(x):
        try:
            signature = inspect.signature(x)
        except (TypeError, ValueError):
            return None
    else:
        return None
    parts = ((p.name, int(p.kind), p.default is not _EMPTY, _known(p.default), p.annotation is not _EMPTY, _known(p.annotation))
             for p in signature.parameters.values())
    returned = signature.return_annotation
    return (*parts,), returned is not _EMPTY, _known(returned)


def build(description):
    """In the caller: the inspect.Signature."""
    parts, annotated, returned = description
    return inspect.Signature(
        [inspect.Parameter(name, inspect._ParameterKind(kind), default=default if given else _EMPTY, annotation=annotation if noted else _EMPTY)
         for name, kind, given, default, noted, annotation in parts],
        return_annotation=returned if annotated else _EMPTY)


def _known(x):
    return None if x is _EMPTY else x
