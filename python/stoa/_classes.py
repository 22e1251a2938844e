"""Stand-ins: what p.__class__ is, where the class of the object cannot be imported here.

isinstance(p, cls) looks at p.__class__, and wants a class: the abstract ones of collections.abc refuse anything else, and all of
them look for special methods in it. A proxy of the owner's class is no class. So there is a class made here, of the
same name, with the same names in it, and below it those classes of the other one's order that exist here too. Nothing is ever
an instance of it but for proxies; what is asked of it, but for what makes it a class, is asked of the owner's.
"""

import abc
import copyreg
import sys
import weakref

from . import _stoa

# What is told by the class made here. The rest is the owner's.
_OWN = frozenset(vars(type)) - {"__doc__", "__annotations__", "__annotate__", "__type_params__", "__text_signature__", "__dir__"}
# Names that mean something when a class is made, or belong to its instances' layout.
_LEFT_OUT = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__new__", "__del__", "__init_subclass__",
    "__class_getitem__", "__classcell__", "__classdictcell__", "__subclasshook__", "__abstractmethods__", "__class__", "__match_args__",
    "__getattribute__", "__getattr__", "__setattr__", "__delattr__", "__get__", "__set__", "__delete__", "__set_name__",
})
_known = weakref.WeakValueDictionary()  # id of the proxy of a class: its stand-in, which holds that proxy


def _proxy_of(cls):
    return type.__getattribute__(cls, "_stoa_proxy")


def _placeholder(self, *args, **kwargs):
    raise TypeError("this class stands for one of another interpreter; call the method of the proxy")


class _Quiet:
    """Comes before the classes that are really inherited from: making a stand-in is no event for them."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs):
        pass


class _StandIn(type):
    """The type of stand-ins."""

    def __init_subclass__(cls, **kwargs):
        pass  # one that is the type of another class, too: no event for that either

    def mro(cls):
        return [cls, _Quiet, *type.__getattribute__(cls, "__dict__")["_stoa_below"], object]  # it has no order to look in yet

    def __getattribute__(cls, name):
        return type.__getattribute__(cls, name) if name in _OWN else getattr(_proxy_of(cls), name)

    def __setattr__(cls, name, value):
        setattr(_proxy_of(cls), name, value)

    def __delattr__(cls, name):
        delattr(_proxy_of(cls), name)

    def __call__(cls, *args, **kwargs):
        return _proxy_of(cls)(*args, **kwargs)

    def __instancecheck__(cls, instance):
        return isinstance(instance, _proxy_of(cls))

    def __subclasscheck__(cls, other):
        return issubclass(other, _proxy_of(cls))

    def __dir__(cls):
        return dir(_proxy_of(cls))

    def __repr__(cls):
        return repr(_proxy_of(cls))

    def __eq__(cls, other):
        return cls is other or _proxy_of(cls) == other

    def __hash__(cls):
        return type.__getattribute__(cls, "_stoa_hash")


class _AbstractStandIn(_StandIn, abc.ABCMeta):
    """The same where a class with this metaclass is really inherited from. Such a one asks all that inherit from it."""

    def __subclasscheck__(cls, other):
        return isinstance(other, (_StandIn, _stoa.Proxy)) and super().__subclasscheck__(other)


for _type in (_StandIn, _AbstractStandIn):
    copyreg.pickle(_type, lambda cls: _proxy_of(cls).__reduce__())


def _find(module, qualname):
    """The class of that name here, if its module is imported."""
    found = sys.modules.get(module) if module != "__main__" else None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _kind(cls):
    """The type of a stand-in that really inherits from `cls`."""
    if cls is object or type(cls) is type:
        return _StandIn
    return _AbstractStandIn if type(cls) is abc.ABCMeta else type("_StandIn", (_StandIn, type(cls)), {})


def _layouts(below):
    """What is really inherited from: nothing, unless some class has a layout of its own. Then that one; CPython says which it is.
    Those whose type says what inheriting means come last."""
    usual = [cls for cls in below if type(cls) in (type, abc.ABCMeta)]
    bases = usual + [cls for cls in below if cls not in usual]
    yield object, below
    yield from ((cls, below) for cls in bases)
    yield from ((cls, [c for c in below if c in cls.__mro__]) for cls in bases)
    yield object, []


def stand_in(proxy, rows):
    """The one of the class that `proxy` stands for. rows: for each class of its order, the first one itself: (the class, if it is the
    whole process's, else None; module; qualified name; names in it; those among them that are None)."""
    made = _known.get(id(proxy))
    if made is not None:
        return made
    here = [cls if isinstance(cls, type) else _find(module, qualname) for cls, module, qualname, _, _ in rows]
    _, module, qualname, _, _ = rows[0]
    told = {"__module__": module, "__qualname__": qualname, "_stoa_proxy": proxy, "_stoa_hash": hash(proxy)}
    for base, order in _layouts([cls for cls in here if cls not in (None, object)]):
        namespace = {}
        for cls, (_, _, _, names, nothing) in zip(here, rows):
            if cls is not object and cls not in order:  # what is in it is not inherited: it does not exist here, or cannot be below
                for name in names:
                    if name not in _LEFT_OUT:
                        namespace.setdefault(name, None if name in nothing else _placeholder)
        namespace |= told | {"_stoa_below": tuple(order)}
        try:
            made = type.__new__(_kind(base), qualname.rpartition(".")[2], (base,), namespace)
        except TypeError:
            continue
        _known[id(proxy)] = made
        return made
    raise AssertionError("a class of nothing can be made")
