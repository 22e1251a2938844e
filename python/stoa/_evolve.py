"""evolve(), and the parts of PersistentMapping that are as well said in Python."""

import sys
from collections.abc import ItemsView, KeysView, Mapping, ValuesView

from . import _stoa


def evolve(mapping, changes=(), /, *, remove=(), region=None):
    """A new version of a shared mapping, in time and memory proportional to the change.

    mapping: what an earlier evolve() returned, or a shared mapping (another one is frozen first); it stays as it is, and
    the new version shares with it all that did not change. changes: a mapping, or pairs of key and value, which are frozen
    as by freeze(). remove: keys to leave out; KeyError for one that is not there. Removed keys go first, then
    the changes come. region: a Region, default the one that mapping lies in. What its holder has changed in its records is in
    the new version, too.

    Returns a PersistentMapping: a read-only Mapping that every interpreter uses by pointer, hashable where its values are. Keys
    are in the order in which they came; one that was removed and comes back may take its old place. Once more has changed than
    half of what there was, the next version is laid out anew, as a dict that grows. Keys may be of any class that freeze()
    takes (records, enums, Decimal): they are compared by their class, and come behind those of builtin types when a version is laid
    out anew; TypeError for a key whose hash is by identity, since that is another one in every interpreter.
    """
    flat = []
    if isinstance(changes, Mapping):
        changes = changes.items()
    for key, value in changes:
        flat.append(key)
        flat.append(value)
    return _stoa._evolve(mapping, flat, list(remove) if remove else None, region)


class Keys(KeysView):
    __slots__ = ()

    def __reversed__(self):
        return reversed(self._mapping)

    def __repr__(self):
        return f"{type(self).__name__}({list(self)!r})"


class Values(ValuesView):
    __slots__ = ()

    def __reversed__(self):
        return map(self._mapping.__getitem__, reversed(self._mapping))

    def __iter__(self):
        return self._mapping._iter_values()

    def __repr__(self):
        return f"{type(self).__name__}({list(self)!r})"


class Items(ItemsView):
    __slots__ = ()

    def __reversed__(self):
        return ((key, self._mapping[key]) for key in reversed(self._mapping))

    def __iter__(self):
        return self._mapping._iter_items()

    def __repr__(self):
        return f"{type(self).__name__}({list(self)!r})"


def equal(mapping, other):
    if not isinstance(other, Mapping):
        return NotImplemented
    if len(mapping) != len(other):
        return False
    missing = object()
    for key, value in mapping._iter_items():
        there = other.get(key, missing)
        if there is missing or not (there is value or there == value):
            return False
    return True


def hash_of(pairs):
    if sys.version_info >= (3, 15):
        return hash(frozendict(pairs))  # noqa: F821 - equal mappings have equal hashes
    return hash(frozenset(pairs.items()))


def represent(pairs):
    return f"PersistentMapping({pairs!r})"


def reduce(pairs):
    return evolve, (pairs,)
