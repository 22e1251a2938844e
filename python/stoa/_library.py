"""Objects of the standard library that cannot be taken apart and made again by what they say of themselves, in some version or in
all: what their __reduce__ should give. Which function is whose is said in library_value.c."""

import sys


def forward_ref(ref):
    """Its slots hold a code object, up to 3.13 always, then once it has been looked at."""
    if sys.version_info < (3, 14):
        options = {"is_argument": ref.__forward_is_argument__, "is_class": ref.__forward_is_class__}
    elif any(getattr(ref, name, None) is not None for name in ("__globals__", "__cell__", "__extra_names__")):
        return ref.__reduce_ex__(4)  # where it was written is part of it
    else:
        options = {"owner": ref.__owner__, "is_argument": ref.__forward_is_argument__, "is_class": ref.__forward_is_class__}
    return make, (type(ref), (ref.__forward_arg__,), options | {"module": ref.__forward_module__})


def partial_method(method):
    return make, (type(method), (method.func, *method.args), dict(method.keywords))


def scheduling(parameters):
    return type(parameters), (parameters.sched_priority,)


def codec(info):
    names = "incrementalencoder", "incrementaldecoder", "name", "_is_text_encoding"
    return make, (type(info), tuple(info), {name: vars(info)[name] for name in names if name in vars(info)})


def parsed_url(result):
    """Its __getstate__ knows only those that a parser has made."""
    state = {"_keep_empty": result._keep_empty} if hasattr(result, "_keep_empty") else {}
    return type(result), tuple(result), (None, state)


def flags(_):
    return "flags"  # what each interpreter has under the name


def version(_):
    return "version_info"


def make(cls, arguments, options):
    return cls(*arguments, **options)
