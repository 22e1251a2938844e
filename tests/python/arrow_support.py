"""Arrow arrays by the C data interface, as another library would make and read them."""

import ctypes
import struct


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, ctypes.POINTER(Schema))
RELEASE_ARRAY = ctypes.CFUNCTYPE(None, ctypes.POINTER(Array))
Schema._fields_ = [("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_char_p), ("flags", ctypes.c_int64),
                   ("n_children", ctypes.c_int64), ("children", ctypes.POINTER(ctypes.POINTER(Schema))), ("dictionary", ctypes.POINTER(Schema)),
                   ("release", RELEASE_SCHEMA), ("private_data", ctypes.c_void_p)]
Array._fields_ = [("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64), ("n_buffers", ctypes.c_int64),
                  ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.POINTER(ctypes.POINTER(Array))),
                  ("dictionary", ctypes.POINTER(Array)), ("release", RELEASE_ARRAY), ("private_data", ctypes.c_void_p)]
NO_SCHEMA, NO_ARRAY = RELEASE_SCHEMA(lambda schema: None), RELEASE_ARRAY(lambda array: None)

capsule = ctypes.pythonapi.PyCapsule_New
capsule.restype, capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
pointer = ctypes.pythonapi.PyCapsule_GetPointer
pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


class Foreign:
    """As another library would make it. Buffers are bytes, or None."""

    def __init__(self, layout, length, buffers, children=(), *, nulls=0, offset=0, name=b"", dictionary=None, metadata=None):
        self.kept = [None if data is None else ctypes.create_string_buffer(data, len(data) + 1) for data in buffers], children, dictionary, metadata
        self.buffers = (ctypes.c_void_p * (len(buffers) + 1))(*[data and ctypes.addressof(data) for data in self.kept[0]], None)
        self.schemas = (ctypes.POINTER(Schema) * (len(children) + 1))(*[ctypes.pointer(child.schema) for child in children])
        self.arrays = (ctypes.POINTER(Array) * (len(children) + 1))(*[ctypes.pointer(child.array) for child in children])
        self.schema = Schema(format=layout, name=name, metadata=metadata, n_children=len(children), children=self.schemas, release=NO_SCHEMA,
                             dictionary=ctypes.pointer(dictionary.schema) if dictionary else None)
        self.array = Array(length=length, null_count=nulls, offset=offset, n_buffers=len(buffers), n_children=len(children), buffers=self.buffers,
                           children=self.arrays, dictionary=ctypes.pointer(dictionary.array) if dictionary else None, release=NO_ARRAY)

    def __arrow_c_array__(self, requested_schema=None):
        return capsule(ctypes.addressof(self.schema), b"arrow_schema", None), capsule(ctypes.addressof(self.array), b"arrow_array", None)


def bits(*values):
    data = bytearray(len(values) // 8 + 1)
    for place, value in enumerate(values):
        data[place // 8] |= bool(value) << place % 8
    return bytes(data)


def ints(*values, code="i"):
    return struct.pack(f"{len(values)}{code}", *values)


def texts(values, layout=b"u", **more):
    pieces, ends = [(value or "").encode() for value in values], [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    valid = None if None not in values else bits(*[value is not None for value in values])
    offsets = ints(*ends, code="i" if layout in b"uz" else "q")
    return Foreign(layout, len(values), [valid, offsets, b"".join(pieces)], nulls=values.count(None), **more)


def numbers(values, **more):
    valid = None if None not in values else bits(*[value is not None for value in values])
    return Foreign(b"i", len(values), [valid, ints(*[value or 0 for value in values])], nulls=-1, **more)


def extension(name, **more):
    """Metadata that says so, and what else."""
    pairs = {"before": "", "ARROW:extension:name": name, "ARROW:extension:metadata": "{}", **more}
    parts = [ints(len(text)) + text.encode() for pair in pairs.items() for text in pair]
    return ints(len(pairs)) + b"".join(parts)


def metadata_of(made, size):
    """The first `size` bytes, from the capsule of __arrow_c_schema__."""
    capsule = made.__arrow_c_schema__()  # it owns what is read
    address = ctypes.c_void_p.from_address(pointer(capsule, b"arrow_schema") + Schema.metadata.offset).value
    return address and ctypes.string_at(address, size)


def exported(made):
    """What a library would read: format, length, nulls, buffers' addresses, children; from the capsules of __arrow_c_array__."""
    schema_capsule, array_capsule = made.__arrow_c_array__()

    def read(schema, array):
        return (schema.format, schema.name, array.length, array.null_count, array.offset, [array.buffers[i] for i in range(array.n_buffers)],
                [read(schema.children[i].contents, array.children[i].contents) for i in range(array.n_children)])

    return read(Schema.from_address(pointer(schema_capsule, b"arrow_schema")), Array.from_address(pointer(array_capsule, b"arrow_array")))
