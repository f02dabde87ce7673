"""Functions as packed words: the same code as from tuples, the same tuples again, and the same errors for any words."""

from __future__ import annotations

import ctypes
import functools
import itertools
import random
import struct
from typing import Any
from unittest import mock

import pytest
from packing import pack, packed
from random_programs import Generator
from test_random import native_finding

from cnp import Function, VerifyError, f32, i32, i64
from cnp.backends import native
from cnp.ir.optable import Code
from cnp.ir.packed import CONSTANT, NO_OPERAND, Packed, PackedFunction
from cnp.ir.verifier import VerifyCode, find
from cnp.runtime.layout import Request


@functools.cache
def _tables() -> Any:
    """The core's, as if its blob were at address 0."""
    return native.core().make_tables(native.core().library, 0)


def code_of(function: Function) -> list[bytes]:
    """Of the function and what it calls. Functions are numbered from 1, because traps tell the numbers."""
    core = native.core()
    tables = _tables()
    with mock.patch("cnp.runtime.code._numbers", itertools.count(1)):
        group = native.Group(
            core, native.reached([function]), lambda callee: callee,
            safepoints=True, trace=False, pins=None, far_calls=True, tables=tables,
        )  # fmt: skip
        code, parts, _ = group.image()
    return [code[each.offset : each.offset + each.code_size] for each in parts]


@pytest.mark.parametrize("chunk", range(2))
def test_random_programs_give_the_same_code_and_the_same_tuples(chunk: int) -> None:
    for seed in range(chunk * 50, chunk * 50 + 50):
        functions = Generator(seed).program().functions
        entry, *_ = again = packed(functions)
        assert code_of(entry) == code_of(functions[0]), f"seed {seed}"
        assert all("_ops" not in _filled_slots(each) for each in again), "compiling takes no tuples"
        for old, new in zip(functions, again):
            assert pack(new).words == pack(old).words, f"seed {seed}"
            assert pack(new).constants == pack(old).constants, f"seed {seed}"


def _filled_slots(function: Function) -> set[str]:
    found = set()
    for name in Function.__slots__:
        try:
            object.__getattribute__(function, name)
            found.add(name)
        except AttributeError:
            pass
    return found


def test_a_packed_function_can_go_on() -> None:
    f = Function("f", [i64], i64)
    f.i64_add(f.params[0], f.params[0], 1)
    (g,) = packed([f])
    assert len(g.ops) == 1 and g._packed is not None
    g.ret(g.params[0])
    assert g._packed is None and len(g.ops) == 2
    assert g.compile()(41) == 42


def words_of(*words: int, constants: tuple[int, ...] = ()) -> Packed:
    return Packed(struct.pack(f"<{len(words)}I", *words), struct.pack(f"<{len(constants)}Q", *constants))


def head(code: int, operands: int) -> int:
    return int(code) | operands << 16


BAD_WORDS: dict[str, tuple[Packed, tuple[VerifyCode, int, int]]] = {
    "no words": (words_of(), (VerifyCode.EMPTY, 0, 0)),
    "cut off": (words_of(head(Code.SAFEPOINT, 0), head(Code.RET, 1)), (VerifyCode.BAD_OPCODE, 1, 0)),
    "cut off long before": (words_of(head(Code.RET, 0xFFFF), 0), (VerifyCode.BAD_OPCODE, 0, 0)),
    "no such op": (words_of(head(0xFF0D, 0)), (VerifyCode.BAD_OPCODE, 0, 0)),
    "no register": (words_of(head(Code.RET, 1), 7), (VerifyCode.FOREIGN_REGISTER, 0, 0)),
    "no constant": (words_of(head(Code.RET, 1), CONSTANT), (VerifyCode.NOT_AN_OPERAND, 0, 0)),
    "no destination": (
        words_of(head(Code.MOVE, 2), NO_OPERAND, 0),
        (VerifyCode.NOT_A_REGISTER, 0, 0),
    ),
    "no label": (words_of(head(Code.JUMP, 1), 1), (VerifyCode.FOREIGN_LABEL, 0, 0)),
    "never a label": (words_of(head(Code.JUMP, 1), CONSTANT), (VerifyCode.NOT_A_LABEL, 0, 0)),
    "no callee": (words_of(head(Code.CALL, 2), NO_OPERAND, 1 << 31), (VerifyCode.BAD_CALLEE, 0, 1)),
    "i32 too large": (
        words_of(head(Code.CONST32, 2), 1, CONSTANT, constants=(2**32,)),
        (VerifyCode.CONSTANT_OUT_OF_RANGE, 0, 1),
    ),
    "i32 too small": (
        words_of(head(Code.CONST32, 2), 1, CONSTANT, constants=(2**64 - 2**31 - 1,)),
        (VerifyCode.CONSTANT_OUT_OF_RANGE, 0, 1),
    ),
    "f32 too wide": (
        words_of(head(Code.CONSTF32, 2), 2, CONSTANT, constants=(2**32,)),
        (VerifyCode.CONSTANT_OUT_OF_RANGE, 0, 1),
    ),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_bad_words(case: str) -> None:
    f = PackedFunction("f", [i64, i32, f32], i64)
    f.label()
    f._packed, wanted = BAD_WORDS[case]
    assert native_finding(f) == wanted
    assert find(f) == wanted
    with pytest.raises(VerifyError, match=r"^function 'f'"):
        f.compile()


def test_the_extremes_of_constants_and_offsets() -> None:
    f = PackedFunction("f", [i64, i32], i64)
    x, c = range(2)
    load = next(row.code for row in f.op_table.rows.values() if row.method == "i64_load")
    for offset, code in ((0x80000000, VerifyCode.OFFSET_OUT_OF_RANGE), (0x80000001, VerifyCode.OK)):
        f._packed = words_of(head(load, 3), x, x, offset, head(Code.RET, 1), x)
        assert native_finding(f).code == code
    f._packed = words_of(
        head(Code.CONST32, 2), c, CONSTANT, head(Code.CONST32, 2), c, CONSTANT | 1, head(Code.RET, 1), CONSTANT | 2,
        constants=(2**32 - 1, 2**64 - 2**31, 2**64 - 2),
    )  # fmt: skip
    assert f.compile()(0, 0) == -2


@pytest.mark.parametrize("chunk", range(2))
def test_both_verifiers_agree_on_damaged_words(chunk: int) -> None:
    codes = set()
    for seed in range(chunk * 100, chunk * 100 + 100, 2):
        r = random.Random(seed)
        f = Generator(seed).program().functions[0]
        good = pack(f)
        for _ in range(5):
            damaged = PackedFunction("damaged", f.parameter_types, f.result)
            damaged._types[:], damaged._label_count = f._types, f._label_count
            damaged._callees += f.callees
            damaged._packed = Packed(_damage(good.words, r), good.constants)
            found, wanted = native_finding(damaged), find(damaged)
            assert found == wanted, f"seed {seed}: {_explain(damaged, wanted.op)}"
            codes.add(found.code)
    assert len(codes) > 8


def _damage(data: bytes, r: random.Random) -> bytes:
    words = list(memoryview(data).cast("I"))
    for _ in range(r.choice((1, 1, 2, 5))):
        at, kind = r.randrange(len(words)), r.randrange(6)
        if kind == 0 and len(words) > 1:
            del words[at]
        elif kind == 1:
            words.insert(at, r.choice(words))
        elif kind == 2 and at:
            del words[at:]
        elif kind == 3:
            words[at] ^= 1 << r.randrange(32)
        else:
            words[at] = r.choice((0, 1, 7, CONSTANT, CONSTANT | 1, NO_OPERAND, r.getrandbits(32), r.choice(words)))
    return struct.pack(f"<{len(words)}I", *words)


def _explain(f: Function, op: int) -> Any:
    return f.ops[op] if op < len(f.ops) else None


def test_the_core_compiles_words_without_python() -> None:
    core = native.core()
    add = next(row.code for row in Function("f").op_table.rows.values() if row.method == "i64_add")
    packed = words_of(head(add, 3), 0, 0, CONSTANT, head(Code.RET, 1), 0, constants=(5,))
    types, scratch = ctypes.create_string_buffer(bytes([i64]), 1), ctypes.create_string_buffer(1 << 16)
    request = Request(
        words=packed.words, n_words=len(packed.words) // 4, constants=packed.constants, n_constants=1,
        type_bytes=ctypes.addressof(types), n_registers=1, n_parameters=1, result_type=i64,
        scratch=ctypes.addressof(scratch), scratch_size=len(scratch),
    )  # fmt: skip
    assert core._compile(ctypes.addressof(core.tables), None, ctypes.addressof(request)) == VerifyCode.OK
    f = Function("f", [i64], i64)
    f.i64_add(f.params[0], f.params[0], 5)
    f.ret(f.params[0])
    block = core.memory.allocate(request.code_size, request.alignment)
    try:
        assert core.emit(ctypes.addressof(request), block.writable_address, block.executable_address) == 0
        assert ctypes.string_at(block.writable_address, request.code_size) == f.compile().code
    finally:
        core.memory.free(block)
