"""Descriptions -> WebAssembly modules in binary form: a local for every register.

All arithmetic, comparisons and conversions that WebAssembly has too, and loops; no memory, because addresses are the
process's, no calls and no branch tables.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cnp.bench.figure import Unavailable
from cnp.bench.peers.description import Constant, Description, Group, Op
from cnp.bench.peers.structure import Loop, structured
from cnp.types import Type

_RELATIONS = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_INTEGER = "clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
_FLOAT = "abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign"
_TRUNCATIONS = "trunc_f32_s trunc_f32_u trunc_f64_s trunc_f64_u"
_CONVERSIONS = "convert_i32_s convert_i32_u convert_i64_s convert_i64_u"
# The numeric instructions from 0x45 on, as the specification lists them.
_ORDER = (
    ("i32", f"eqz {_RELATIONS}"), ("i64", f"eqz {_RELATIONS}"),
    ("f32", "eq ne lt gt le ge"), ("f64", "eq ne lt gt le ge"),
    ("i32", _INTEGER), ("i64", _INTEGER), ("f32", _FLOAT), ("f64", _FLOAT),
    ("i32", f"wrap_i64 {_TRUNCATIONS}"), ("i64", f"extend_i32_s extend_i32_u {_TRUNCATIONS}"),
    ("f32", f"{_CONVERSIONS} demote_f64"), ("f64", f"{_CONVERSIONS} promote_f32"),
    ("i32", "reinterpret_f32"), ("i64", "reinterpret_f64"), ("f32", "reinterpret_i32"), ("f64", "reinterpret_i64"),
    ("i32", "extend8_s extend16_s"), ("i64", "extend8_s extend16_s extend32_s"),
)  # fmt: skip
_NAMES = [f"{type}.{name}" for type, names in _ORDER for name in names.split()]
OPCODES = {name: bytes([0x45 + number]) for number, name in enumerate(_NAMES)}
for _number, _type in enumerate(("i32", "i64")):
    for _place, _operation in enumerate(_TRUNCATIONS.split()):
        OPCODES[f"{_type}.{_operation.replace('trunc_', 'trunc_sat_')}"] = bytes([0xFC, 4 * _number + _place])
    OPCODES[f"{_type}.nez"] = OPCODES[f"{_type}.eqz"] + OPCODES["i32.eqz"]
BRANCHES = {f"branch {name}": code + b"\x0d" for name, code in OPCODES.items()}
"""A comparison and br_if, whose depth follows."""

_TYPES = {Type.i32: b"\x7f", Type.i64: b"\x7e", Type.f32: b"\x7d", Type.f64: b"\x7c"}
_CONST = {Type.i32: b"\x41", Type.i64: b"\x42", Type.f32: b"\x43", Type.f64: b"\x44"}
_EMPTY_BLOCK, _EMPTY_LOOP, _END, _BR = b"\x02\x40", b"\x03\x40", b"\x0b", b"\x0c"
_UNREACHABLE, _RETURN, _SELECT = b"\x00", b"\x0f", b"\x1b"


def translate(group: Group) -> bytes:
    """A module that exports every function by its symbol. Unavailable for an op that WebAssembly lacks."""
    types = [b"\x60" + _vector([_TYPES[p.register_type] for p in each.parameters]) + _result(each) for each in group]
    exports = [_name(each.symbol) + b"\x00" + _unsigned(number) for number, each in enumerate(group)]
    return b"".join(
        (
            b"\x00asm\x01\x00\x00\x00",
            _section(1, types),
            _section(3, list(map(_unsigned, range(len(group))))),
            _section(7, exports),
            _section(10, [_sized(_code(each)) for each in group]),
        )
    )


def _code(description: Description) -> bytes:
    count = len(description.registers)
    locals_ = [b"\x01" + _TYPES[each] for each in description.registers[len(description.parameters) :]]
    get = [b"\x20" + _unsigned(number) for number in range(count)]
    get += [_CONST[each.type] + _immediate(each) for each in description.constants]
    put = [b"\x21" + _unsigned(number) for number in range(count)]
    parts = [_vector(locals_)]
    _append(parts, structured(description), get, put, [])
    parts += [_UNREACHABLE, _END]  # whose end nothing reaches
    return b"".join(parts)


def _append(
    parts: list[bytes], items: Sequence[Op | Loop], get: Sequence[bytes], put: Sequence[bytes], open_: list[int]
) -> None:
    """`open_` has the labels of the blocks around, from the outermost."""
    append, opcodes = parts.append, OPCODES
    for item in items:
        if isinstance(item, Loop):
            append(_EMPTY_BLOCK + _EMPTY_LOOP)
            _append(parts, item.body, get, put, [*open_, item.done, item.head])
            append(_BR + b"\x00" + _END + _END)
            continue
        name, places, _ = item
        code = opcodes.get(name)
        if code is not None:
            d, *sources = places
            append(b"".join([get[each] for each in sources]) + code + put[d])
        elif name in BRANCHES and places[-1] in open_:
            depth = len(open_) - 1 - open_.index(places[-1])
            append(b"".join([get[each] for each in places[:-1]]) + BRANCHES[name] + _unsigned(depth))
        elif name == "move" or name.endswith(".const"):
            append(get[places[1]] + put[places[0]])
        elif name == "select":
            append(b"".join([get[each] for each in places[1:]]) + _SELECT + put[places[0]])
        elif name == "ret":
            append(b"".join([get[each] for each in places]) + _RETURN)
        else:
            raise Unavailable(f"op {name} is not translated to WebAssembly")


# -- the binary format


def _unsigned(value: int) -> bytes:
    """LEB128."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _signed(value: int) -> bytes:
    found = bytearray()
    while not -0x40 <= value < 0x40:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value & 0x7F)
    return bytes(found)


def _immediate(constant: Constant) -> bytes:
    if isinstance(constant.value, int):
        return _signed(constant.value)
    return struct.pack("<f" if constant.type is Type.f32 else "<d", constant.value)


def _sized(content: bytes) -> bytes:
    return _unsigned(len(content)) + content


def _vector(items: Sequence[bytes]) -> bytes:
    return _unsigned(len(items)) + b"".join(items)


def _section(number: int, items: Sequence[bytes]) -> bytes:
    return bytes([number]) + _sized(_vector(items))


def _name(text: str) -> bytes:
    return _sized(text.encode())


def _result(description: Description) -> bytes:
    return _vector([] if description.result is None else [_TYPES[description.result]])
