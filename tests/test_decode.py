"""The decoders of foreign targets see in clang's code what capstone (or, where it is too old, llvm-objdump) sees."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import capstone
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from cnp.target.record import Instruction

CLANG, OBJDUMP = shutil.which("clang-19"), shutil.which("llvm-objdump-19")
needs_clang = pytest.mark.skipif(CLANG is None, reason="needs clang-19")

PAGE = """
typedef long (*function)(long);
typedef float floats __attribute__((vector_size(16)));
long callee(long), other(void *, long);
void use(void *);
struct record { long field[40]; };

long leaf(long a, long b) { return a * b + (a >> 3) - (b ^ 77); }
long tail(long a) { return callee(a + 1); }
long tail_through(function f, long a) { return f(a); }
long call(long a, long b) { return callee(a) + b; }
long call_through(function f, long a, long b) { return f(a) * b; }
int compare(long a, long b) {
    if (a < b) return callee(1);
    if (a == 9) return callee(2);
    if ((unsigned long)a > (unsigned long)b * 3) return callee(3);
    if (a & 64) return callee(4);
    if (!b) return callee(5);
    if (b < 0) return callee(6);
    return a != b + 4 ? callee(7) : 8;
}
long loop(const int *p, long n) {
    long sum = 0;
    for (long i = 0; i < n; i++) { if (p[i] == 5) break; sum += p[i] % 7; use(&sum); }
    return sum;
}
void chars(char *to, const unsigned char *from) { while ((*to++ = *from++ + 1)) use(to); }
long frame(long n) { long words[700]; use(words); return words[n]; }
long wide_frame(long n) { long words[90000]; use(words); return words[n]; }
long aligned(long n) { _Alignas(64) long words[8]; use(words); return words[n]; }
long dynamic(long n) { use(__builtin_alloca(n)); return n; }
long saves(long a, long b, long c, long d, long e) {
    for (int i = 0; i < 9; i++) a += callee(b) ^ callee(c) + callee(d) * callee(e);
    return a;
}
double real(double x, float y, long n) {
    double sum = x < y ? x * y : x / y + n;
    while (sum > 1.5) { sum -= __builtin_fabs(x) * sum; use(&sum); }
    if (sum != x) use(&x);
    return __builtin_sqrt(sum) + (double)(long)y;
}
double saves_reals(double a, double b) { callee(1); double c = a + b; callee(2); return a * b + c; }
floats vector(floats a, floats b) { return a * b + a; }
long table(long n) {
    switch (n) {
    case 0: return callee(3); case 1: return 9; case 2: return other(0, n); case 3: return 0;
    case 4: use(0); return 4; case 5: return callee(n); default: return 1;
    }
}
struct record copy(struct record *p) { struct record r = *p; r.field[3]++; return r; }
int atomics(int *p, int n) {
    int old = 3;
    __atomic_compare_exchange_n(p, &old, n, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return __atomic_fetch_add(p, n, __ATOMIC_ACQ_REL) + old;
}
int variadic(int n, ...) {
    __builtin_va_list list;
    __builtin_va_start(list, n);
    return __builtin_va_arg(list, int) + n;
}
"""

AARCH64_FORMS = """
x: b.al x; b.nv x; b y; bl y; tbz x1, #40, y; tbnz w1, #3, x; cbz w3, y; cbnz x4, x; ret x3; br x30; blr x30
y: b.eq y; b.ne x; b.hs x; b.lo x; b.mi x; b.pl x; b.vs x; b.vc x; b.hi x; b.ls x; b.ge x; b.lt x; b.gt x; b.le x
add sp, sp, #1, lsl #12; sub sp, sp, #4095; sub sp, sp, #1, lsl #12; add x0, sp, #16; sub sp, x29, #16
mov sp, x3; mov x3, sp; add wsp, wsp, #16; and sp, x3, #-16; ands xzr, x3, #-16; orr sp, x1, #8; add sp, sp, x3
subs xzr, x3, #16; adds xzr, x3, x4; cmp sp, x3; sub sp, sp, w3, uxtw #2; add xzr, x1, x2; eor sp, x4, #1
stp x29, x30, [sp, #-16]!; ldp x29, x30, [sp], #16; stp w1, w2, [sp, #-8]!; ldpsw x1, x2, [sp], #8
stp s1, s2, [sp, #-8]!; ldp d1, d2, [sp], #32; stp q1, q2, [sp, #-64]!; ldp q1, q2, [sp], #64; stp x1, x2, [sp, #16]
stnp x1, x2, [sp]; str x1, [sp, #-16]!; ldr x1, [sp], #16; strb w1, [sp, #-1]!; ldrsh x1, [sp], #2; str q3, [sp], #16
ldr b3, [sp, #-1]!; ldr x1, [x2], #16; str x1, [sp, x2, lsl #3]; ldr d1, [sp, #8]; ldur x1, [sp, #-8]; prfm #0, [sp]
st1 {v0.16b}, [sp], #16; ld1 {v0.8b, v1.8b}, [sp], #16; st4 {v0.2d-v3.2d}, [sp], #64; ld3 {v0.4h-v2.4h}, [sp], x3
ld1 {v0.16b-v2.16b}, [sp], #48; ld1 {v0.b}[3], [sp], #1; st2 {v0.h, v1.h}[3], [sp], #4; ld3 {v0.s-v2.s}[1], [sp], #12
st4 {v0.d-v3.d}[1], [sp], #32; ld1r {v0.8h}, [sp], #2; ld4r {v0.2d-v3.2d}, [sp], #32; ld2r {v0.2s, v1.2s}, [sp], x1
ld1 {v0.16b}, [sp]; ld1 {v0.s}[1], [x1], #4; ldxr x1, [sp]; stlxp w1, x2, x3, [x4]; ldar w1, [sp]; ldr x1, y; ldr q1, x
adr x1, y; adrp x1, y; svc #1; brk #1; nop; bti c; paciasp; autiasp; dmb ish; isb; clrex; mrs x1, tpidr_el0; dc zva, x3
extr x1, x2, x3, #7; bfi x1, x2, #3, #4; movk x1, #7, lsl #48; adc x1, x2, x3; ccmp x1, x2, #3, eq; ccmn x1, #2, #3, ne
csinc x1, x2, x3, ge; sdiv x1, x2, x3; rorv w1, w2, w3; rev x1, x2; cls w1, w2; smulh x1, x2, x3; umaddl x1, w2, w3, x4
fmov x1, d2; fmov d1, #1.0; fcvtzs x1, d2; ucvtf s1, w2; fmadd d1, d2, d3, d4; fcmp d1, #0.0; fccmp s1, s2, #1, lt
fcsel d1, d2, d3, eq; movi v1.2d, #0; cnt v1.8b, v2.8b; addv b1, v1.8b; dup v1.4s, w2; umov x1, v2.d[1]; ext v1.8b, v2.8b, v3.8b, #3
"""


@dataclass(frozen=True)
class Seen:
    """An instruction as a disassembler shows it."""

    offset: int
    size: int
    name: str
    operands: str

    @property
    def number(self) -> int:
        """The last operand; of a branch, where it goes."""
        return int(re.split(r"[ ,#]+", self.operands)[-1], 0)


Facts = tuple[int, int, str, "int | None", bool, "int | None"]
"""Offset, size, what it does to control, the destination, whether that depends, and the frame."""


def facts(each: Instruction) -> Facts:
    kinds = {"jump": each.jump, "return": each.returns, "indirect": each.indirect_jump, "call": each.calls}
    kind = " ".join(name for name, holds in kinds.items() if holds)
    destination = None if each.displacement is None else each.offset + each.size + each.displacement
    return each.offset, each.size, kind, destination, each.condition is not None, each.frame


def aarch64(each: Seen) -> Facts:
    kind = {"bl": "call", "blr": "call", "br": "indirect", "ret": "return", "b": "jump"}.get(each.name, "")
    if re.match(r"b\.|cbn?z$|tbn?z$", each.name):
        kind = "jump"
    depends = kind == "jump" and each.name not in ("b", "b.al", "b.nv")
    return each.offset, each.size, kind, each.number if kind == "jump" else None, depends, aarch64_frame(each)


def aarch64_frame(each: Seen) -> int | None:
    if post := re.search(r"\[sp\], (#(\S+)|x\d+)$", each.operands):
        return -int(post[2], 0) if post[2] else None
    if pre := re.search(r"\[sp, #(\S+)\]!$", each.operands):
        return -int(pre[1], 0)
    if adjustment := re.fullmatch(r"sp, sp, #(\w+)(?:, lsl #(\d+))?", each.operands):
        amount = int(adjustment[1], 0) << int(adjustment[2] or 0)
        return {"add": -amount, "sub": amount}.get(each.name)
    writes = each.name in ("add", "sub", "mov", "and", "orr", "eor") and re.match("w?sp,", each.operands)
    return None if writes else 0


@dataclass(frozen=True)
class Case:
    """A target: how to compile for it, and how to read what a disassembler says of it."""

    name: str
    flags: tuple[str, ...]
    forms: str  # assembly of what clang seldom emits
    classify: Callable[[Seen], Facts]
    opposites: tuple[tuple[str, str], ...]  # branches to x
    unknown: tuple[str, ...]  # bytes, in hexadecimal
    disassembler: tuple[str, ...] = ()  # capstone's names of the architecture and its modes

    def decode(self, code: bytes) -> list[Instruction]:
        return self.module.decode(code)  # type: ignore[no-any-return]

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"cnp.target.{self.name}_decode")


CASES = (
    Case(
        "aarch64",
        ("-march=armv8-a", "-mno-outline-atomics"),
        AARCH64_FORMS,
        aarch64,
        (
            *(
                (f"b.{one} x", f"b.{two} x")
                for one, two in zip("eq hs mi vs hi ge gt".split(), "ne lo pl vc ls lt le".split())
            ),
            ("cbz x3, x", "cbnz x3, x"),
            ("cbz w30, x", "cbnz w30, x"),
            ("tbz x1, #63, x", "tbnz x1, #63, x"),
            ("tbz w1, #5, x", "tbnz w1, #5, x"),
        ),
        # udf, SVE, SME, a gap, eret, bc.eq, retaa, addg, swp, ldraa
        tuple("00000000 00000004 000000c0 00000002 e0039fd6 10000054 ff0b5fd6 00008091 008020f8 000420f8".split()),
        ("CS_ARCH_ARM64", "CS_MODE_ARM"),
    ),
)
every_target = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def build(case: Case, directory: Path, text: str, suffix: str, *flags: str) -> tuple[Path, bytes]:
    """The object file of a source, and its code."""
    source, made = directory / f"source{suffix}", directory / "made.o"
    source.write_text(text)
    command = [CLANG, f"--target={case.name}-linux-gnu", *case.flags, *flags, "-c", source, "-o", made]
    subprocess.run(command, check=True)
    with made.open("rb") as stream:
        return made, ELFFile(stream).get_section_by_name(".text").data()


def disassemble(case: Case, made: Path, code: bytes) -> list[Seen]:
    """What capstone sees; llvm-objdump where capstone does not know the target."""
    if all(hasattr(capstone, name) for name in case.disassembler):
        engine = capstone.Cs(*(getattr(capstone, name) for name in case.disassembler))
        found = [Seen(each.address, each.size, each.mnemonic, each.op_str) for each in engine.disasm(code, 0)]
    elif OBJDUMP:
        command = [OBJDUMP, "-d", "-M", "no-aliases", "--section=.text", made]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows = re.findall(r"^ +(\w+): ((?:\w\w )+) +\t(\S+)(?:\t([^<\n]*?))?(?: <.*)?$", text, re.MULTILINE)
        found = [Seen(int(at, 16), len(data.split()), name, operands) for at, data, name, operands in rows]
    else:
        pytest.skip("needs a capstone that knows the target, or llvm-objdump-19")
    assert sum(each.size for each in found) == len(code)
    return found


def check(case: Case, made: Path, code: bytes) -> list[Instruction]:
    decoded = case.decode(code)
    assert [facts(each) for each in decoded] == [case.classify(each) for each in disassemble(case, made, code)]
    return decoded


@needs_clang
@every_target
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Oz"])
@pytest.mark.parametrize("flags", [(), ("-fno-jump-tables",)], ids=["tables", "jumps"])
def test_compiled_code(case: Case, level: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    decoded = check(case, *build(case, tmp_path, PAGE, ".c", level, *flags))
    assert sum(each.returns for each in decoded) > 10
    assert sum(each.calls for each in decoded) > 15
    assert any(each.jump and each.condition is not None for each in decoded)
    assert any(each.frame and each.frame > 0 for each in decoded) and any(each.frame is None for each in decoded)
    if level != "-O0":
        assert any(each.indirect_jump for each in decoded)


@needs_clang
@every_target
def test_rare_forms(case: Case, tmp_path: Path) -> None:
    check(case, *build(case, tmp_path, case.forms, ".s"))


@needs_clang
@every_target
def test_invert(case: Case, tmp_path: Path) -> None:
    for pair in case.opposites:
        conditions = []
        for text in pair:
            (branch,) = case.decode(build(case, tmp_path, f"x: {text}\n", ".s")[1])
            assert branch.displacement == -branch.size
            conditions.append(branch.condition)
        one, two = conditions
        assert (case.module.invert(one), case.module.invert(two)) == (two, one), pair


@needs_clang
@every_target
def test_a_condition_is_the_branch_without_its_displacement(case: Case, tmp_path: Path) -> None:
    for text in [text for pair in case.opposites for text in pair]:
        far = build(case, tmp_path, f"{text}\n.skip 200\nx:\n.skip 200\n{text}\n", ".s")[1]
        size = (len(far) - 400) // 2
        (forward,), (backward,) = case.decode(far[:size]), case.decode(far[-size:])
        assert (forward.displacement, backward.displacement) == (200, -200 - size)
        assert forward.condition == backward.condition
        (again,) = case.decode((forward.condition or 0).to_bytes(4, "little"))
        assert (again.condition, again.displacement) == (forward.condition, -4)


@every_target
def test_unknown_instructions_are_refused(case: Case) -> None:
    for data in map(bytes.fromhex, case.unknown):
        with pytest.raises(ValueError, match=f"unknown instruction {data.hex(' ')} at offset 0"):
            case.decode(data)


@every_target
@given(words=st.lists(st.integers(0, 2**32 - 1), max_size=4), cut=st.integers(0, 3))
def test_any_bytes_are_decoded_or_refused(case: Case, words: list[int], cut: int) -> None:
    code = b"".join(word.to_bytes(4, "little") for word in words)
    code = code[: len(code) - cut]
    try:
        decoded = case.decode(code)
    except ValueError as error:
        assert re.search(r"^(unknown )?(the )?instruction .*at offset \d+( is cut off)?$", str(error))
        return
    at = 0
    for each in decoded:
        assert each.offset == at
        at += each.size
    assert at == len(code)
