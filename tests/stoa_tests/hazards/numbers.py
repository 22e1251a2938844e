"""W7, W16, W23, W24: bytes, int, float, complex, range, slice."""
import base64
import copy
import decimal
import fractions
import hashlib
import io
import itertools
import json
import marshal
import math
import operator
import os
import pickle
import struct
import sys
import tempfile
import zlib

import _stoa_testing as c
from . import case


def some_bytes(token):
    return f"bytes \xe9 {token}".encode("latin-1")


@case("W07_bytes_hash", some_bytes)
def _(b):
    return hash(b), {b: 1}[b], b in {b}


@case("W07_bytes_methods", some_bytes)
def _(b):
    return (b.upper(), b.split(), b.find(b"t"), b.hex(), b[0], b[1:4], b[::-1], b + b"x", b * 2, b.decode("latin-1"),
            b == bytes(bytearray(b)), b.join([b"a", b"c"]), b % () if b"%" not in b else 0, b.translate(None, b"e"),
            list(b[:4]), bytearray(b), b.replace(b" ", b""), sorted([b, b"a"]), b.isalpha(), b.rjust(40), b < b"z")


@case("W07_bytes_as_buffer", some_bytes)
def _(b):
    view = memoryview(b)
    return (hash(view) == hash(b), view[1], view[1:3].tobytes(), view.readonly, hashlib.sha256(b).hexdigest(), zlib.crc32(b),
            base64.b64encode(b), struct.unpack_from("<I", b), int.from_bytes(b, "big"), c.simple_buffer(b), view.cast("B").tolist()[:3])


@case("W07_bytes_writable_buffer_refused", some_bytes)
def _(b):
    return c.writable_buffer(b)


@case("W07_bytes_item_assignment_refused", some_bytes)
def _(b):
    memoryview(b)[0] = 1


@case("W16_bytes_resize", some_bytes)
def _(b):
    return c.bytes_resize(b, 3)


@case("W16_bytes_resize_same", some_bytes)
def _(b):
    return c.bytes_resize(b, len(b))


@case("W16_bytes_concat", some_bytes)
def _(b):
    d = b
    d += b"tail"
    for _ in range(70):
        d += b"x"
    return c.bytes_concat(b, b"abc"), c.bytes_concat(b"", b), c.bytes_concat(b, b""), len(d)


@case("W24_bytesio_getbuffer", some_bytes)
def _(b):
    stream = io.BytesIO(b)
    with stream.getbuffer() as view:
        view[0] = 88
    stream.write(b"YZ")
    return stream.getvalue(), b, io.BytesIO(b).read(3), io.BytesIO(b).readline()


@case("W24_readinto_refused", some_bytes)
def _(b):
    return io.BytesIO(b"other").readinto(memoryview(b))


@case("W24_files", some_bytes)
def _(b):
    with tempfile.TemporaryFile() as file:
        file.write(b)
        file.seek(0)
        again = file.read()
        try:
            os.readv(file.fileno(), [memoryview(b)])
        except (BufferError, TypeError) as error:
            refused = type(error).__name__
    return again, refused


@case("W19_bytes_pickle_marshal_copy", some_bytes)
def _(b):
    return ([pickle.loads(pickle.dumps(b, protocol)) for protocol in range(6)], marshal.loads(marshal.dumps(b)), copy.deepcopy(b),
            pickle.loads(pickle.dumps(b, 5, buffer_callback=lambda _: None)))


@case("W18_bytes_refcount_calls", some_bytes)
def _(b):
    c.set_refcnt(b)
    c.count_references(b)
    c.make_immortal(b)
    return b


NUMBERS = {"int": lambda token: int(token, 16) + 10**6, "big_int": lambda token: (int(token, 16) | 1) << 200,
           "negative_int": lambda token: -int(token, 16) - 10**6, "float": lambda token: int(token, 16) + 0.25}


def on_all_numbers(prefix):
    def register(operation):
        for label, make in NUMBERS.items():
            case(f"{prefix}_{label}", make)(operation)
        return operation

    return register


@on_all_numbers("W23_number_hash_and_text")
def _(n):
    return hash(n), {n: 1}[n], repr(n), str(n), f"{n:>30}", format(n, ",") , json.dumps(n), bool(n)


@on_all_numbers("W23_number_arithmetic")
def _(n):
    m = n
    m += 1
    m *= 2
    return (m, n + n, n - 1, n * 3, n / 2, n // 7, n % 7, -n, abs(n), divmod(n, 3), n < m, n == n + 0, round(n), math.floor(n), int(n),
            pow(n, 2), n > 0, max(n, 1), sum([n, n]), complex(n) if n < 1 << 60 else 0, n.__reduce_ex__(2)[0] is not None)


@on_all_numbers("W23_number_specialised_loop")
def _(n):
    total = 0
    for _ in range(200):
        total = total + n
        total = total - n
        total += n * 2
        if n > 3 and n == n:
            total -= n
    return total


@on_all_numbers("W23_number_pickle_marshal_copy")
def _(n):
    return [pickle.loads(pickle.dumps(n, p)) for p in range(6)], marshal.loads(marshal.dumps(n)), copy.copy(n), copy.deepcopy([n])


@on_all_numbers("W18_number_refcount_calls")
def _(n):
    c.set_refcnt(n)
    c.count_references(n)
    c.make_immortal(n)
    return n


@on_all_numbers("W23_number_conversions")
def _(n):
    return fractions.Fraction(n), decimal.Decimal(n), float(n), n.as_integer_ratio(), n.is_integer() if hasattr(n, "is_integer") else 0, operator.index(int(n))


@case("W23_int_bits", NUMBERS["big_int"])
def _(n):
    return (n.bit_length(), n.bit_count(), n >> 3, n << 5, n & 0xFFFF, n | 1, n ^ 5, ~n, n.to_bytes(64, "little"), hex(n), math.isqrt(n), math.gcd(n, 12),
            pow(n, 3, 1009), c.kept_longs(n & 0xFFFFFFFF))


@case("W23_int_as_index_and_range", lambda token: 300 + int(token, 16) % 50)
def _(n):
    return [0] * n == [0] * n, list(range(n))[-1], "x" * n, bytes(n)[-1:], list(itertools.islice(itertools.count(n), 3)), c.kept_longs(n)


@case("W23_complex", lambda token: complex(int(token, 16), 2.5))
def _(z):
    return hash(z), {z: 1}[z], z + 1, z * z, abs(z), z.conjugate(), z.real, repr(z), z == z + 0, pickle.loads(pickle.dumps(z)), marshal.loads(marshal.dumps(z))


@case("W23_float_special", lambda token: (float("nan"), float("inf"), -0.0, 5e-324))
def _(values):
    nan, inf, zero, tiny = values
    return repr(values), nan != nan, inf > 1, math.copysign(1, zero), tiny > 0, nan in values, [hash(v) for v in values[1:]]


@case("W23_range", lambda token: range(int(token, 16), int(token, 16) + 1000, 7))
def _(r):
    return (hash(r), {r: 1}[r], len(r), r[3], r[-1], r[2:5], list(r)[:3], r.start + 7 in r, r.index(r[4]), r == range(r.start, r.stop, r.step),
            list(reversed(r))[:2], pickle.loads(pickle.dumps(r)), copy.deepcopy(r), sum(r), repr(r))


@case("W23_range_big", lambda token: range(1 << 70, (1 << 70) + int(token, 16), 3))
def _(r):
    return hash(r), r[5], (1 << 70) + 3 in r, list(itertools.islice(r, 3)), r[1:4]


@case("W23_range_specialised_loop", lambda token: range(300))
def _(r):
    total = 0
    for _ in range(3):
        for i in r:
            total += i
    return total


@case("W23_slice", lambda token: slice(1, int(token, 16), 2))
def _(s):
    return (list(range(20))[s][:4], "abcdefgh"[s], s.indices(9), s.start, s.step, repr(s), s == slice(s.start, s.stop, s.step),
            pickle.loads(pickle.dumps(s)), copy.deepcopy(s))


@case("W23_slice_hash", lambda token: slice(1, int(token, 16), 2), when=sys.version_info >= (3, 12))
def _(s):
    return hash(s), {s: 3}[s]


@case("W23_slice_assignment", lambda token: slice(1, 3, None))
def _(s):
    items = list(range(6))
    items[s] = "xyz"
    del items[s]
    return items, bytearray(b"abcdef")[s], memoryview(b"abcdef")[s].tobytes()


@case("W23_slice_marshal", lambda token: slice(1, 2, None), when=sys.version_info >= (3, 14))
def _(s):
    return marshal.loads(marshal.dumps(s))


@case("W23_singletons", lambda token: (None, True, False, ..., NotImplemented, 0, 7, 256, b"", b"x", "", "a", ()))
def _(values):
    none, true, false, dots, missing, *rest = values
    return (none is None, true is True, false is False, dots is ..., missing is NotImplemented, rest, hash(values[:4]), [c.count_references(v) for v in values],
            [copy.deepcopy(v) is v for v in values])
