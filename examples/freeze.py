"""Freezing: one immutable copy of some records, read by two interpreters at once."""

import stoa

records = [{"name": f"user {i}", "tags": ["new", "active"], "score": i / 7} for i in range(10_000)]
frozen = stoa.freeze(records)

# Equal values are one object: ten thousand records, one tuple of tags.
print("same tags:", frozen[0]["tags"] is frozen[9_999]["tags"])

# Another interpreter uses the same objects, at the same addresses.
with stoa.Interpreter(name="reader") as reader:
    print("same object:", reader.call("builtins:id", frozen) == id(frozen))
    print("records there:", reader.call("builtins:len", frozen))

# What cannot be shared is refused, with the path to it.
try:
    stoa.freeze({"handlers": [{"open": lambda: None}]})
except stoa.NotFreezable as error:
    print("refused:", error.path, error.type_name)

# The way back: a private copy that can be changed.
mine = stoa.thaw(frozen[0])
mine["tags"].append("mine")
print("changed:", mine["tags"], "and not:", frozen[0]["tags"])
