"""The eBPF example: C programs give what native code gives, and data of object files is where it belongs."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from ebpf_support import EXIT, agree, clang_or_skip, mov

from cnp.extension.library import OpLibrary
from examples.ebpf import EbpfError, MapSpec, Program, demo, toolchain, workload
from examples.ebpf.maps import ARRAY, Pointer

SIZES: Mapping[str, Sequence[int]] = dict.fromkeys(toolchain.NAMES, (*range(20), 255, 1000, 3001))


@pytest.mark.parametrize("name", toolchain.NAMES)
def test_c_programs_give_what_native_code_gives(name: str, tmp_path: Path) -> None:
    clang_or_skip()
    source = toolchain.PROGRAMS / f"{name}.c"
    program = Program.read(toolchain.compile_object(source, tmp_path / "program.o"), name)
    native = toolchain.compile_native(source, tmp_path / "program.so")
    results = set()
    for number, size in enumerate(SIZES[name]):
        made = workload.make(name, size * (40 if name == "packets" else 1), seed=1 + number % 3)
        for data in (made, made[:-1], made[3:]):
            buffer = ctypes.create_string_buffer(data, len(data) or 1)
            expected = native(ctypes.addressof(buffer), len(data))
            assert program.run(data) == expected, (size, len(data))
            results.add(expected)
        program_first = Program.read(tmp_path / "program.o", name)
        if size < 300:
            assert agree(program_first, made) == program_first.interpret(made) or name == "flows"
    assert len(results) > 5


def test_demo(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clang_or_skip()
    assert demo.main(["--bytes", "3000"]) == 0
    assert capsys.readouterr().out.count("agree") == len(toolchain.NAMES)
    made = toolchain.compile_object(toolchain.PROGRAMS / "hash.c", tmp_path / "hash.o")
    assert demo.main([str(made), "--show"]) == 0
    shown = capsys.readouterr().out
    assert "r0 = 0xcbf29ce484222325 ll" in shown
    assert shown.endswith("14695981039346656037\n")
    assert demo.main([str(made), "nothing"]) == 2
    assert "there is no function 'nothing'; accepted: hash" in capsys.readouterr().err


LINKED = """
typedef unsigned long long u64;
typedef unsigned int u32;
struct map { u32 type, key_size, value_size, max_entries; };
__attribute__((section("maps"), used)) struct map array = {2, 4, 8, 4};
static void *(*const lookup)(struct map *, const void *) = (void *)1;
static const u64 primes[4] = {3, 5, 7, 11};
u64 counter = 40;
static u64 zeros;
__attribute__((noinline)) static u64 deep(u64 n, u64 *out) {
    *out = *out * 3 ^ n;
    return n < 2 ? n : deep(n - 1, out) * 5 ^ n;
}
__attribute__((section("classifier"))) u64 start(const void *data, u64 length) {
    u64 sum = !data;
    u32 key = length & 3;
    u64 *value = lookup(&array, &key);
    if (value)
        sum += __sync_fetch_and_add(value, 2);
    zeros += ++counter;
    u64 result = deep(length & 7, &sum);
    return sum + result * 1000 + primes[length & 3] * 1000000 + zeros * 7 + (long)sum / ((long)length - 20);
}
"""


def test_sections_data_and_local_calls_of_an_object(tmp_path: Path, atomic_ops: OpLibrary) -> None:
    clang_or_skip()
    source = tmp_path / "linked.c"
    source.write_text(LINKED)
    program = Program.read(toolchain.compile_object(source, tmp_path / "linked.o"), "start", ops=atomic_ops)
    assert {each.spec.name for each in program.maps} > {"array", ".data", ".bss"}
    for length in range(30):
        depths = range(max(1, length & 7), 0, -1) if length & 7 else [0]
        total, deep, divisor = 0, 0, length - 20
        for n in depths:
            total = total * 3 ^ n
        for n in reversed(depths):
            deep = deep * 5 ^ n
        quotient = total // abs(divisor) * (1 if divisor > 0 else -1) if divisor else 0
        expected = total + deep * 1000 + (3, 5, 7, 11)[length & 3] * 10**6 + 41 * 7 + quotient
        assert agree(program, bytes(length)) == expected


POINTING = """
typedef unsigned long long u64;
static u64 counts[3] = {1, 2, 3};
static const u64 odd[4] = {3, 5, 7, 9};
u64 zeros[2];
static const u64 *const tables[] = {odd, &odd[2], counts};
u64 *where[3] = {counts + 1, zeros, (u64 *)odd};
static const char *names[] = {"one", "three", "sixteen"};
const char **all = names;
u64 pointing(const void *data, u64 length) {
    const char *name = all[length % 3];
    u64 n = !data;
    while (name[n])
        n++;
    *where[length >> 3] += n;
    return tables[length % 3][0] * 1000 + n + zeros[0] * 100000;
}
"""


def test_data_that_points_at_data(tmp_path: Path) -> None:
    clang_or_skip()
    source = tmp_path / "pointing.c"
    source.write_text(POINTING)
    program = Program.read(toolchain.compile_object(source, tmp_path / "pointing.o"))
    for length in range(8):
        n = (3, 5, 7)[length % 3]
        assert agree(program, bytes(length)) == (3, 7, 1)[length % 3] * 1000 + n
        assert program.map(".data")[bytes(4)].startswith(struct.pack("<3Q", 1, 2 + n, 3))
    assert agree(program, bytes(8)) == 1000 + 7 + 700000
    assert "of map '.rodata', which is read-only" in str(agree(program, bytes(16)))
    with pytest.raises(EbpfError, match="map 'x': a pointer to map 1; there are 1"):
        Program([mov(0, 1), EXIT], maps=[MapSpec("x", ARRAY, 4, 8, 1, bytes(8), pointers=(Pointer(0, 1, 0),))])


_MAP = 'struct map { int a[4]; void *p; } m __attribute__((section("maps"))) = {{2, 4, 8, 1}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{_MAP}, 0}};\nvoid *p = &m;",
            "section '.data', offset 0: a pointer to 'm'; pointers to data of",
        ),
        ("extern int there; void *p = &there;", "a pointer to 'there'; pointers to data of"),
        ("int f(void) { return 1; }\nint (*p)(void) = f;", "a pointer to 'f'; pointers to data of"),
        (f"{_MAP}, &m}};", 'a map of section "maps" refers to something; numbers alone are accepted'),
    ],
)
def test_what_data_may_not_point_at(text: str, message: str, tmp_path: Path) -> None:
    clang_or_skip()
    source = tmp_path / "pointing.c"
    source.write_text(f"{text}\nint go(void) {{ return 1; }}\n")
    with pytest.raises(EbpfError, match=message):
        Program.read(toolchain.compile_object(source, tmp_path / "pointing.o"), "go")
