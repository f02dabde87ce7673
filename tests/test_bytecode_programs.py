"""Guest bytecode compiled by a table does what a plain interpreter of the guest makes of it, whatever bytes the walker
takes; and no bytes at all get past it that the verifier would refuse, or make it read or write where it must not."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from guest_machines import BY, FILE, REGISTER_GUEST, STACK_GUEST, A, B, C, Guest, damaged, dividing, guarded, runs
from guest_outcomes import ENDLESS, Hostile
from guest_varints import VARINT_GUEST
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_random import native_finding

import cnp
from cnp import i64
from cnp.bytecode import Field, Instruction, Page, Table
from cnp.bytecode.instruction import read
from cnp.ir.verifier import Finding, VerifyCode, find
from cnp.stencil.sources import stencils_directory

ALL = {"registers": REGISTER_GUEST, "stack": STACK_GUEST, "varints": VARINT_GUEST}
GUARDED = guarded(STACK_GUEST, 9)
WITH_GUARDED = {**ALL, "guarded": GUARDED}
GUESTS = pytest.mark.parametrize("guest", ALL.values(), ids=list(ALL))
WITH_GUARDS = pytest.mark.parametrize("guest", WITH_GUARDED.values(), ids=list(WITH_GUARDED))
SETTINGS = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@GUESTS
def test_programs_do_what_an_interpreter_makes_of_them(guest: Guest) -> None:
    for seed, code, arguments, wanted in runs(guest):
        function = guest.table.function("guest", [i64, i64], i64, code)
        assert function.compile()(*arguments) == wanted, f"seed {seed}: {code.hex()}"
        if seed % 8 == 0:
            assert function.compile(backend="reference")(*arguments) == wanted, f"seed {seed}"


def _end(guest: Guest, code: bytes) -> int:
    """Behind the last instruction of which at least the opcode is there."""
    return max((each.end for each in read(guest.table.page, code)), default=0)


def outcome(guest: Guest, code: bytes) -> str:
    """What becomes of the bytes. What the walker takes is well formed, and does what interpreters make of it; what it
    does not has a clean error."""
    try:
        hostile = Hostile(guest, code)
    except cnp.BytecodeError as error:
        starts = [each.start for each in read(guest.table.page, code)]
        assert error.offset in (starts or [0]) or error.offset == _end(guest, code)
        assert str(error).startswith("function 'hostile'")
        return "refused"
    assert find(hostile.function) == native_finding(hostile.function) == Finding(VerifyCode.OK)
    way = hostile.interpreted()
    assert hostile.compiled(way) == way, code.hex()
    return "left" if hostile.left else str(way[0])


@WITH_GUARDS
def test_damaged_programs(guest: Guest) -> None:
    ends = Counter(outcome(guest, damaged(guest, random.Random(seed))) for seed in range(3000))
    assert ends["refused"] > 2000 and ends["left" if guest is GUARDED else "returned"] > 200 and ends["endless"] > 5


@WITH_GUARDS
def test_programs_that_trap(guest: Guest) -> None:
    ends = Counter(outcome(guest, dividing(guest, random.Random(seed))) for seed in range(400))
    assert ends["trapped"] > 10 and ends["returned"] > 40 and not ends["refused"]


WRONG = {
    0x03: Instruction("sub", ("i64_add", FILE[A], FILE[B], FILE[C])),
    0x06: Instruction("remainder", ("i64_xor", FILE[A], FILE[B], FILE[C])),  # which never traps
    0x12: Instruction("zero", ("branch_i64_nez", FILE[A], BY)),
}


@pytest.mark.parametrize("opcode", WRONG)
def test_what_is_compiled_wrong_is_found(opcode: int) -> None:
    """One instruction that becomes something else than the guest's interpreter has it for."""
    instructions = {**REGISTER_GUEST.table.page.instructions, opcode: WRONG[opcode]}
    wrong = replace(REGISTER_GUEST, table=Table(Page(Field(0), instructions, length=4), parameters=[FILE]))
    found = 0
    for seed in range(200):
        code = dividing(REGISTER_GUEST, random.Random(seed))
        way = Hostile(REGISTER_GUEST, code).interpreted()
        if way != ENDLESS and Hostile(wrong, code).compiled(way) != way:
            found += 1
            with pytest.raises(AssertionError):
                outcome(wrong, code)
    assert found > 5


@GUESTS
def test_any_bytes(guest: Guest) -> None:
    opcodes = list(guest.table.page.instructions)
    pieces = st.one_of(
        st.binary(max_size=8), st.builds(lambda a, b: bytes([a]) + b, st.sampled_from(opcodes), st.binary(max_size=4))
    )

    @settings(SETTINGS, max_examples=400)
    @given(st.lists(pieces, max_size=12).map(b"".join))
    @example(b"")
    def check(code: bytes) -> None:
        outcome(guest, code)

    check()


DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define CNP_MEMORY_H
#include "core/walk.c"

static char *bytes(u64 *size) {
    if (fread(size, 8, 1, stdin) != 1) exit(0);
    char *read = malloc(*size ? *size : 1);
    if (*size && fread(read, *size, 1, stdin) != 1) exit(2);
    return read;
}

int main(int n, char **words) {
    struct guest_table *table;
    char *rows[9], *spans;
    u64 size;
    for (int k = 0; k < 9; k++) rows[k] = bytes(&size);
    table = (struct guest_table *)bytes(&size);
    memcpy(table, rows, sizeof rows);
    spans = bytes(&size);
    for (;;) {
        struct walk walk = {.n_parameters = 1, .banks = (const struct guest_span *)spans, .scratch_size = 64};
        walk.code = (const u8 *)bytes(&walk.size);
        if (n > 1) walk.size += atoi(words[1]); /* which are not there */
        for (;;) {
            walk.scratch = malloc(walk.scratch_size);
            if (cnp_walk(table, &walk) != GUEST_NEEDS_SCRATCH) break;
            free(walk.scratch);
            walk.scratch_size = walk.scratch_used;
        }
        u64 sum = 0;
        for (u64 k = 0; !walk.error && k < walk.n_words; k++) sum += walk.words[k];
        printf("%u %u %llu\\n", walk.error, walk.error_offset, walk.error ? 0 : sum);
        free(walk.scratch);
        free((void *)walk.code);
    }
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="NOT TESTED: there is no gcc")
@WITH_GUARDS
def test_the_walker_under_sanitizers(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "driver.c").write_text(DRIVER)
    program = tmp_path / "driver"
    command = ["gcc", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-attributes"]
    command += ['-DCNP_TARGET_HEADER="/dev/null"', f"-I{stencils_directory()}", str(tmp_path / "driver.c")]
    built = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True, check=False)
    if "libasan" in built.stderr or "libubsan" in built.stderr:
        pytest.skip("NOT TESTED: gcc has no sanitizers here")
    assert not built.returncode, built.stderr
    encoder = guest.table._encoder
    codes = [damaged(guest, random.Random(seed)) for seed in range(4000)]
    codes += [random.Random(seed).randbytes(seed % 40) for seed in range(4000)]
    parts = [bytes(each) for each in (*encoder._arrays, encoder.table, guest.table._spans.rows)] + codes
    sent = b"".join(struct.pack("<Q", len(each)) + each for each in parts)
    done = subprocess.run([str(program)], input=sent, capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()[-3000:]
    wrong = subprocess.run([str(program), "1"], input=sent, capture_output=True, check=False)
    assert wrong.returncode and b"heap-buffer-overflow" in wrong.stderr, "the sanitizers see the walker"
    rows = [tuple(map(int, line.split())) for line in done.stdout.decode().splitlines()]
    assert len(rows) == len(codes)
    for code, row in zip(codes[::20], rows[::20]):
        assert row == _walked(guest, code), code.hex()


def _walked(guest: Guest, code: bytes) -> tuple[int, int, int]:
    """Error, its offset, and the sum of the words, as the core has it."""
    found: list[int] = []

    def report(_: str, page: object, fields: object, code: bytes, walk: Any) -> Exception:
        found.extend((walk.error, walk.error_offset, 0))
        return cnp.BytecodeError("")

    with mock.patch("cnp.bytecode.table.message", report):
        try:
            function = guest.table.function("f", [i64], i64, code, handler=print)
        except cnp.BytecodeError:
            error, offset, total = found
            return error, offset, total
    assert function._packed is not None
    return 0, 0, sum(memoryview(function._packed.words).cast("I"))
