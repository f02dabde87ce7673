"""The decoders of foreign targets see in clang's code what capstone (or, where it is too old, llvm-objdump) sees."""

from __future__ import annotations

import importlib
import itertools
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import capstone
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st
from toolchain import need_clang, need_objdump

from cnp.target import TARGETS
from cnp.target.record import Instruction

UNKNOWN = "<unknown>"

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
add sp, sp, #1, lsl #12; sub sp, sp, #4095; sub sp, sp, #1, lsl #12; add x0, sp, #16; sub sp, x29, #16; mov sp, x3
mov x3, sp; add wsp, wsp, #16; and sp, x3, #-16; ands xzr, x3, #-16; orr sp, x1, #8; add sp, sp, x3; subs xzr, x3, #16
adds xzr, x3, x4; cmp sp, x3; sub sp, sp, w3, uxtw #2; add xzr, x1, x2; eor sp, x4, #1; stp x29, x30, [sp, #-16]!
ldp x29, x30, [sp], #16; stp w1, w2, [sp, #-8]!; ldpsw x1, x2, [sp], #8; stp s1, s2, [sp, #-8]!; ldp d1, d2, [sp], #32
stp q1, q2, [sp, #-64]!; ldp q1, q2, [sp], #64; stp x1, x2, [sp, #16]; stnp x1, x2, [sp]; str x1, [sp, #-16]!
ldr x1, [sp], #16; strb w1, [sp, #-1]!; ldrsh x1, [sp], #2; str q3, [sp], #16; ldr b3, [sp, #-1]!; ldr x1, [x2], #16
str x1, [sp, x2, lsl #3]; ldr d1, [sp, #8]; ldur x1, [sp, #-8]; prfm #0, [sp]; st1 {v0.16b}, [sp], #16
ld1 {v0.8b, v1.8b}, [sp], #16; st4 {v0.2d-v3.2d}, [sp], #64; st3 {v0.8b-v2.8b}, [sp], #24
ld2 {v0.8b-v1.8b}, [sp], #16; ld1 {v0.8b-v3.8b}, [sp], #32; ld3 {v0.4h-v2.4h}, [sp], x3
ld1 {v0.16b-v2.16b}, [sp], #48; ld1 {v0.b}[3], [sp], #1; st2 {v0.h, v1.h}[3], [sp], #4; ld3 {v0.s-v2.s}[1], [sp], #12
st4 {v0.d-v3.d}[1], [sp], #32; ld1r {v0.8h}, [sp], #2; ld4r {v0.2d-v3.2d}, [sp], #32; ld2r {v0.2s, v1.2s}, [sp], x1
ld1 {v0.16b}, [sp]; ld1 {v0.s}[1], [x1], #4; ldxr x1, [sp]; stlxp w1, x2, x3, [x4]; ldar w1, [sp]; ldr x1, y
ldr q1, x; adr x1, y; adrp x1, y; svc #1; brk #1; nop; bti c; paciasp; autiasp; dmb ish; isb; clrex; mrs x1, tpidr_el0
dc zva, x3; extr x1, x2, x3, #7; bfi x1, x2, #3, #4; movk x1, #7, lsl #48; adc x1, x2, x3; ccmp x1, x2, #3, eq
ccmn x1, #2, #3, ne; csinc x1, x2, x3, ge; sdiv x1, x2, x3; rorv w1, w2, w3; rev x1, x2; cls w1, w2; smulh x1, x2, x3
umaddl x1, w2, w3, x4; fmov x1, d2; fmov d1, #1.0; fcvtzs x1, d2; ucvtf s1, w2; fmadd d1, d2, d3, d4; fcmp d1, #0.0
fccmp s1, s2, #1, lt; fcsel d1, d2, d3, eq; movi v1.2d, #0; cnt v1.8b, v2.8b; addv b1, v1.8b; dup v1.4s, w2
umov x1, v2.d[1]; ext v1.8b, v2.8b, v3.8b, #3
"""

AARCH64_OPPOSITES = """
b.eq x; b.ne x
b.hs x; b.lo x
b.mi x; b.pl x
b.vs x; b.vc x
b.hi x; b.ls x
b.ge x; b.lt x
b.gt x; b.le x
cbz x3, x; cbnz x3, x
cbz w30, x; cbnz w30, x
tbz x1, #63, x; tbnz x1, #63, x
tbz w1, #5, x; tbnz w1, #5, x
"""
AARCH64_UNKNOWN = """
00000000 udf
00000010 udf
02000000 unallocated
04000000 of SVE
c0000000 of SME
d4000002 hvc
d4400000 hlt
d69f03e0 eret
54000010 bc.eq, of v8.8
d65f0bff retaa, of v8.3
91800000 addg, of v8.5
f8208000 swp, of v8.1
f8200400 ldraa, of v8.3
e8800000 unallocated: a pair of opcode 3
68800000 stgp, of v8.5
"""

RISCV64_FORMS = """
x: beq a0, a1, y; bne sp, a1, x; blt a0, a1, y; bge a0, a1, x; bltu a0, a1, y; bgeu sp, zero, x; c.beqz a0, y
c.bnez s1, x; c.j y; c.j x; j y; .insn j 0x6f, zero, x; .insn j 0x6f, ra, y; jr t1; c.jr ra; jalr zero, 0(ra)
jalr zero, 4(ra); jalr zero, 8(a1); jalr ra, 8(a1); c.jalr a0; jalr t1; auipc t1, 1; jalr zero, -8(t1); auipc ra, 3
jalr ra, 4(ra); auipc t1, 0xfffff; jalr zero, 2047(t1); auipc t1, 3; jalr zero, 8(t2); auipc t1, 1; jalr ra, 8(t1)
auipc sp, 1; jalr zero, 4(sp); auipc t1, 1; c.jr t1; auipc a0, 5; tail y; call x; y: addi sp, sp, -16
addi sp, sp, -2048; addi sp, sp, 2047; c.addi16sp sp, 496; c.addi16sp sp, -512; c.addi sp, 4; c.addi sp, -32
addi sp, s0, -32; mv sp, s0; c.mv sp, a0; c.add sp, a0; sub sp, sp, t0; ld sp, 0(a0); c.ldsp sp, 8(sp)
c.lwsp sp, 4(sp); lui sp, 3; c.lui a0, 3; c.li sp, 3; c.slli sp, 2; c.addiw sp, 1; addiw sp, sp, 16; andi sp, sp, -16
c.addi4spn a0, sp, 16; addi a0, sp, 16; addi s0, sp, -16; sd sp, 8(a0); c.sdsp ra, 8(sp); sw sp, 0(sp)
c.swsp sp, 4(sp); c.fldsp fa0, 8(sp); c.fsdsp fs0, 8(sp); fld fs0, 8(sp); fsw ft2, 8(sp); c.ld a0, 8(a1)
c.sd a0, 8(a1); c.fld fa0, 8(a0); ecall; ebreak; c.ebreak; c.nop; nop; fence rw, rw; fence.i; csrrw sp, 0x305, a0
csrrs a0, 0x305, a1; lr.w sp, (a1); sc.d a0, a2, (a1); amoadd.w sp, a0, (a1); amoswap.d.aqrl a0, a1, (sp)
mulhu a0, a1, a2; divw a0, a1, a2; remuw sp, a0, a1; fadd.d ft2, ft1, ft3; fmadd.s ft2, ft1, ft3, ft4
fcvt.l.d a0, ft2, rtz; fcvt.w.s sp, ft1; fmv.x.d sp, ft1; fcvt.d.l ft2, a0; fmv.w.x ft2, a1; feq.d sp, ft1, ft2
fclass.s sp, ft1; fsgnjn.d ft2, ft1, ft1; fsqrt.d ft2, ft2; c.srli a0, 3; c.srai a0, 40; c.andi a0, 7; c.sub a0, a1
c.xor a0, a1; c.or a0, a1; c.and a0, a1; c.subw a0, a1; c.addw a0, a1; slliw sp, a0, 3; sraiw a0, a1, 3
srai a0, a0, 40; sltiu a0, a1, 1; lui a0, 0xfffff; lbu a0, 0(sp); lwu a0, 0(sp); .insn i 0x67, 0, zero, ra, 0
.insn i 0x67, 0, zero, a6, 0; .insn i 0x67, 0, ra, a6, 0; fnmadd.d ft2, ft1, ft3, ft4; fnmsub.d ft2, ft1, ft3, ft4
fmsub.s ft2, ft1, ft3, ft4; lui t1, 3; jalr zero, 8(t1)
auipc t1, 1; jalr zero, 4(t1)
"""
RISCV64_OPPOSITES = """
beq a0, sp, x; bne a0, sp, x
blt a0, a1, x; bge a0, a1, x
bltu t6, a1, x; bgeu t6, a1, x
c.beqz a0, x; c.bnez a0, x
beqz s1, x; c.bnez s1, x
"""
RISCV64_UNKNOWN = """
0000 unimp
8000 c.lbu, of Zcb
9c41 c.mul, of Zcb
6101 c.addi16sp by zero
6281 c.lui by zero
2001 c.addiw to zero
4002 c.lwsp to zero
6002 c.ldsp to zero
8002 c.jr to zero
0000001f longer than 4 bytes
ffffffff longer than 4 bytes
0000016f jal that links in sp
000502e7 jalr that links in t0
00051067 jalr of another function
00002063 a branch of another function
02000057 of the vectors
00007007 a load of vectors
30200073 mret
0000200f cbo.inval
0000000b custom
"""

LOONGARCH64_FORMS = """
x: beq $a0, $a1, y; bne $sp, $a1, x; blt $a0, $a1, y; bge $a0, $a1, x; bltu $sp, $a1, y; bgeu $a0, $zero, x
beqz $a0, y; bnez $sp, x; bceqz $fcc1, y; bcnez $fcc7, x; b y; b x; bl y; bl x; ret; jr $ra; jr $t1
jirl $zero, $ra, 4; jirl $zero, $a1, 8; jirl $ra, $a1, 0; jirl $ra, $ra, -8; pcaddu18i $t8, 0; jirl $zero, $t8, 8
pcaddu18i $ra, 1; jirl $ra, $ra, -4; pcaddu18i $t8, -1; jirl $zero, $t8, -131072; pcaddu18i $t8, 7; jirl $zero, $t7, 8
pcaddu18i $t8, 1; jirl $ra, $t8, 4; pcaddu18i $sp, 1; jirl $zero, $sp, 4; pcaddu18i $a0, 5; ld.d $a0, $a0, 0
y: addi.d $sp, $sp, -16; addi.d $sp, $sp, -2048; addi.d $sp, $sp, 2047; addi.d $sp, $fp, -32; addi.d $a0, $sp, 16
addi.w $sp, $sp, 16; move $sp, $fp; move $fp, $sp; or $sp, $sp, $a0; sub.d $sp, $sp, $t0; add.d $sp, $sp, $t0
bstrins.d $sp, $zero, 3, 0; bstrpick.d $sp, $sp, 5, 1; slli.d $sp, $a0, 3; lu12i.w $sp, 3; lu32i.d $sp, 1
lu52i.d $sp, $a0, 1; ld.d $sp, $a0, 8; ld.wu $sp, $a0, 8; ldx.d $sp, $a0, $a1; ldptr.d $sp, $a0, 8; st.d $sp, $a0, 8
stx.d $sp, $a0, $a1; stptr.w $sp, $a0, 8; st.b $ra, $sp, 1; ld.d $ra, $sp, 8; fld.d $fs0, $sp, 8; fst.s $fa3, $sp, 8
fldx.d $fa3, $a0, $a1; fstx.s $fa3, $a0, $a1; vld $vr3, $sp, 16; vst $vr3, $sp, 16; vldx $vr3, $a0, $a1
vadd.w $vr3, $vr1, $vr2; vseteqz.v $fcc3, $vr1; vpickve2gr.d $sp, $vr1, 1; vpickve2gr.bu $sp, $vr1, 3
vinsgr2vr.w $vr3, $sp, 1; vreplgr2vr.d $vr3, $a0; vldrepl.d $vr3, $sp, 8; vfmadd.d $vr3, $vr1, $vr2, $vr3
vbitsel.v $vr3, $vr1, $vr2, $vr3; vshuf.b $vr3, $vr1, $vr2, $vr3; vfcmp.clt.d $vr3, $vr1, $vr2; ll.w $sp, $a0, 0
sc.d $sp, $a0, 0; amadd_db.w $sp, $a0, $a1; amswap.d $a0, $a1, $a2; dbar 0; ibar 0; break 0; syscall 0
mul.d $a0, $a1, $a2; mulh.du $sp, $a1, $a2; div.wu $a0, $a1, $a2; mod.d $a0, $a1, $a2; alsl.d $sp, $a0, $a1, 2
alsl.wu $a0, $a1, $a2, 1; bytepick.d $sp, $a0, $a1, 3; clz.d $sp, $a0; revb.d $a0, $a1; ext.w.h $sp, $a0
bitrev.d $a0, $a1; masknez $sp, $a0, $a1; crc.w.d.w $a0, $a1, $a2; cpucfg $sp, $a0; rotri.w $sp, $a0, 3
srai.d $a0, $a1, 60; nop; andi $sp, $sp, 15; fadd.d $fa3, $fa1, $fa2; fmadd.s $fa3, $fa1, $fa2, $fa3
fcmp.clt.d $fcc3, $fa1, $fa2; fsel $fa3, $fa1, $fa2, $fcc0; movgr2fr.d $fa3, $a0; movfr2gr.d $sp, $fa1
movfr2gr.s $sp, $fa1; movcf2gr $sp, $fcc1; movgr2cf $fcc3, $a0; movfcsr2gr $sp, $fcsr0; movgr2fcsr $fcsr3, $a0
ftintrz.l.d $fa3, $fa1; ffint.d.l $fa3, $fa1; fcvt.s.d $fa3, $fa1; fsqrt.d $fa3, $fa1; fneg.d $fa3, $fa1
frint.d $fa3, $fa1; fcopysign.d $fa3, $fa1, $fa2; fmax.d $fa3, $fa1, $fa2; preld 3, $sp, 8; addu16i.d $sp, $sp, 1
pcalau12i $sp, 3; pcaddi $sp, 3; pcaddu12i $a0, 3; slti $sp, $a0, 3; xori $sp, $sp, 1; pcaddu18i $t8, 1
jirl $zero, $t8, 4
"""
LOONGARCH64_OPPOSITES = """
beq $a0, $sp, x; bne $a0, $sp, x
blt $a0, $a1, x; bge $a0, $a1, x
bltu $a0, $t8, x; bgeu $a0, $t8, x
beqz $s8, x; bnez $s8, x
bceqz $fcc6, x; bcnez $fcc6, x
"""
LOONGARCH64_UNKNOWN = """
00000000 unallocated
ffffffff unallocated
78000000 unallocated
04000003 csrrd
06483800 ertn
00006000 rdtimel.w, which sets two registers
48000200 jiscr0
4c000003 jirl that links in sp
4c000004 jirl that links in a0
74000000 of the 256-bit vectors
38590000 amcas.w, of v1.1
"""


def number(text: str) -> int:
    """A number that a disassembler may have written as the unsigned 64-bit number with the same bits."""
    value = int(text, 0)
    return value - (1 << 64) if value >= 1 << 63 else value


@dataclass(frozen=True)
class Seen:
    """An instruction as a disassembler shows it."""

    offset: int
    size: int
    name: str
    operands: str

    @property
    def words(self) -> list[str]:
        """Its registers and numbers."""
        return re.findall(r"[\w.-]+", self.operands)

    @property
    def number(self) -> int:
        """The last operand; of a branch, where it goes."""
        return number(self.words[-1])


Facts = tuple[int, int, str, "int | None", bool, "int | None"]
"""Offset, size, what it does to control, the destination, whether that depends, and the frame."""


def facts(each: Instruction) -> Facts:
    kinds = {"jump": each.jump, "return": each.returns, "indirect": each.indirect_jump, "call": each.calls}
    kind = " ".join(name for name, holds in kinds.items() if holds)
    destination = None if each.displacement is None else each.offset + each.size + each.displacement
    return each.offset, each.size, kind, destination, each.condition is not None, each.frame


def aarch64(seen: list[Seen]) -> Iterator[Facts]:
    for each in seen:
        kind = {"bl": "call", "blr": "call", "br": "indirect", "ret": "return", "b": "jump"}.get(each.name, "")
        if re.match(r"b\.|cbn?z$|tbn?z$", each.name):
            kind = "jump"
        depends = kind == "jump" and each.name not in ("b", "b.al", "b.nv")
        destination = each.number if kind == "jump" else None
        yield each.offset, each.size, kind, destination, depends, aarch64_frame(each)


def aarch64_frame(each: Seen) -> int | None:
    if post := re.search(r"\[sp\], (#(\S+)|x\d+)$", each.operands):
        return -number(post[2]) if post[2] else None
    if pre := re.search(r"\[sp, #(\S+)\]!$", each.operands):
        return -number(pre[1])
    if adjustment := re.fullmatch(r"sp, sp, #(\w+)(?:, lsl #(\d+))?", each.operands):
        amount = int(adjustment[1], 0) << int(adjustment[2] or 0)
        return {"add": -amount, "sub": amount}.get(each.name)
    writes = each.name in ("add", "sub", "mov", "and", "orr", "eor") and re.match("w?sp,", each.operands)
    return None if writes and each.operands != "sp, sp" else 0


def risc(seen: list[Seen]) -> Iterator[Facts]:
    """RISC-V as capstone shows it and LoongArch as llvm-objdump does: registers and branches are spelled alike."""
    skip = False
    for each, after in itertools.zip_longest(seen, seen[1:]):
        if skip:
            skip = False
            continue
        offset, size, words = each.offset, each.size, each.words
        if after and (far := far_jump(each, after)):
            kind, distance = far
            skip = True
            yield offset, size + after.size, kind, offset + distance if kind == "jump" else None, False, 0
        elif linked := register_jump(each):
            link, base, distance = linked
            kind = "call" if link == "ra" else "return" if base == "ra" and not distance else "indirect"
            yield offset, size, kind, None, False, 0
        elif each.name in ("b", "j", "c.j", "bl", "jal"):
            kind = "call" if each.name in ("bl", "jal") else "jump"
            yield offset, size, kind, offset + each.number if kind == "jump" else None, False, 0
        elif re.match(r"(c\.)?bc?(eq|ne|lt|le|ge|gt)", each.name):
            yield offset, size, "jump", offset + each.number, True, 0
        elif (
            words[:1] != ["sp"]
            or (each.name == "mv" and words == ["sp", "sp"])
            or re.match(r"(c\.)?s[bhwd](sp)?$|st(ptr|x)?\.", each.name)
        ):
            yield offset, size, "", None, False, 0
        else:
            adds = re.fullmatch(r"(c\.)?addi(16sp|\.d)?", each.name) and (len(words) == 2 or words[1] == "sp")
            yield offset, size, "", None, False, -each.number if adds else None


def register_jump(each: Seen) -> tuple[str, str, int] | None:
    """What it links, the register that it goes to, and what it adds to that."""
    words = each.words
    if each.name == "ret":
        return "zero", "ra", 0
    if each.name not in ("jr", "c.jr", "jalr", "c.jalr", "jirl"):
        return None
    if len(words) == 1:
        return "ra" if each.name in ("jalr", "c.jalr") else "zero", words[0], 0
    return words[0], words[1], int(words[2], 0)


def far_jump(each: Seen, after: Seen) -> tuple[str, int] | None:
    """Its kind and its distance, if two instructions are one jump that reaches far."""
    shift, linked = {"auipc": 12, "pcaddu18i": 18}.get(each.name), register_jump(after)
    base = each.words[:1]
    if shift is None or linked is None or linked[1] != base[0] or base[0] == "sp" or after.size == 2:
        return None
    count = 32 - 12 if shift == 12 else 20
    high = each.number - (1 << count if each.number >> (count - 1) == 1 else 0)
    if linked[0] == "ra" == base[0]:
        return "call", 0
    return ("jump", (high << shift) + linked[2]) if linked[0] == "zero" else None


@dataclass(frozen=True)
class Case:
    """A target: how to compile for it, and how to read what a disassembler says of it."""

    name: str
    flags: tuple[str, ...]
    forms: str  # assembly of what clang seldom emits
    opposites: str  # a pair of branches to x a line
    unknown: str  # a word, in hexadecimal, and what it is, a line
    classify: Callable[[list[Seen]], Iterator[Facts]]
    nop: int
    stack_pointer: int
    register_fields: tuple[int, ...]  # their lowest bits
    disassembler: tuple[str, ...]  # capstone's names of the architecture and its modes

    def decode(self, code: bytes) -> list[Instruction]:
        return self.module.decode(code)  # type: ignore[no-any-return]

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"cnp.target.{self.name}_decode")

    @property
    def pairs(self) -> list[list[str]]:
        return [line.split("; ") for line in self.opposites.split("\n") if line]


CASES = (
    Case(
        "aarch64",
        ("-march=armv8-a", "-mno-outline-atomics"),
        AARCH64_FORMS,
        AARCH64_OPPOSITES,
        AARCH64_UNKNOWN,
        aarch64,
        0xD503201F,
        31,
        (0, 5, 16),
        ("CS_ARCH_ARM64", "CS_MODE_ARM"),
    ),
    Case(
        "riscv64",
        ("-march=rv64gc", "-mno-relax"),
        RISCV64_FORMS,
        RISCV64_OPPOSITES,
        RISCV64_UNKNOWN,
        risc,
        0x00000013,
        2,
        (7, 15),
        ("CS_ARCH_RISCV", "CS_MODE_RISCV64", "CS_MODE_RISCVC"),
    ),
    Case(
        "loongarch64",
        ("-march=la64v1.0",),
        LOONGARCH64_FORMS,
        LOONGARCH64_OPPOSITES,
        LOONGARCH64_UNKNOWN,
        risc,
        0x03400000,
        3,
        (0, 5),
        ("CS_ARCH_LOONGARCH", "CS_MODE_LOONGARCH64"),
    ),
)
every_target = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def build(case: Case, directory: Path, text: str, suffix: str, *flags: str) -> tuple[Path, bytes]:
    """The object file of a source, and its code."""
    source, made = directory / f"source{suffix}", directory / "made.o"
    source.write_text(text)
    clang, words = need_clang(), [*case.flags, *flags, "-c", str(source), "-o", str(made)]
    clang.run(clang.arguments(TARGETS[case.name], words), directory)
    with made.open("rb") as stream:
        return made, ELFFile(stream).get_section_by_name(".text").data()


def disassemble(case: Case, made: Path, code: bytes) -> list[Seen]:
    """What capstone sees; llvm-objdump where capstone does not know the target."""
    if all(hasattr(capstone, name) for name in case.disassembler):
        return disassemble_with_capstone(case, code)
    command = [need_objdump(), "-d", "--section=.text", made]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^ +(\w+): ((?:\w\w )+) +\t(\S+)(?:\t([^<\n]*?))?(?: <.*)?$", text, re.MULTILINE)
    return [Seen(int(at, 16), len(data.split()), name, operands) for at, data, name, operands in rows]


def disassemble_with_capstone(case: Case, code: bytes) -> list[Seen]:
    architecture, *modes = (getattr(capstone, name) for name in case.disassembler)
    engine = capstone.Cs(architecture, sum(modes))
    found: list[Seen] = []
    while (at := sum(each.size for each in found[-1:]) + (found[-1].offset if found else 0)) < len(code):
        each = next(engine.disasm(code[at : at + 4], at, 1), None)
        found.append(Seen(at, each.size, each.mnemonic, each.op_str) if each else Seen(at, 4, UNKNOWN, ""))
    return found


def check(case: Case, made: Path, code: bytes) -> list[Instruction]:
    decoded, seen = case.decode(code), disassemble(case, made, code)
    assert UNKNOWN not in [each.name for each in seen]
    assert [facts(each) for each in decoded] == list(case.classify(seen))
    return decoded


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


@every_target
def test_rare_forms(case: Case, tmp_path: Path) -> None:
    check(case, *build(case, tmp_path, case.forms, ".s"))


@every_target
def test_random_words(case: Case, tmp_path: Path) -> None:
    """What the decoder and the disassembler both know is the same to both."""
    generator, words = random.Random(case.name), []
    _, code = build(case, tmp_path, case.forms, ".s")
    forms = [int.from_bytes(code[each.offset : each.offset + 4], "little") for each in case.decode(code)]
    while len(words) < 20_000:
        word = generator.getrandbits(32)
        if generator.random() < 0.7:  # one to three bits away from a form
            word = generator.choice(forms)
            for low in generator.sample(range(32), generator.randrange(1, 4)):
                word ^= 1 << low
        for low in generator.sample(case.register_fields, generator.randrange(3)):
            word = word & ~(31 << low) | generator.choice((0, case.stack_pointer)) << low
        try:
            instruction, *more = case.decode(word.to_bytes(4, "little"))
        except ValueError:
            continue
        if not more:  # two compressed ones
            words.append((word, instruction))
    text = "".join(f".4byte {word}\n" for word, _ in words)
    seen = disassemble(case, *build(case, tmp_path, text, ".s"))
    assert len(seen) == len(words)
    known = 0
    for (word, instruction), each in zip(words, seen):
        if each.name != UNKNOWN:
            known += 1
            moved = replace(instruction, offset=each.offset)
            assert [facts(moved)] == list(case.classify([each])), f"{word:#010x} {each}"
    assert known > 10_000


@pytest.mark.skipif(not hasattr(capstone, "CS_ARCH_RISCV"), reason="NOT TESTED: there is no capstone that knows RISC-V")
def test_every_compressed_instruction() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    for word in range(1 << 16):
        if word & 3 == 3:
            continue
        code = word.to_bytes(2, "little")
        (each,) = disassemble_with_capstone(case, code)
        try:
            decoded = [facts(instruction) for instruction in case.decode(code)]
        except ValueError:
            reserved = each.name in (UNKNOWN, "c.unimp") or (each.name == "c.lui" and each.number == 0)
            assert reserved, f"{word:#06x} {each}"
            continue
        if each.name == UNKNOWN:  # not to every capstone: hints, which would set the zero register
            assert word >> 7 & 31 == 0 and decoded == [(0, 2, "", None, False, 0)], f"{word:#06x}"
        else:
            assert decoded == list(case.classify([each])), f"{word:#06x} {each}"


@every_target
def test_invert(case: Case, tmp_path: Path) -> None:
    for pair in case.pairs:
        conditions = []
        for text in pair:
            (branch,) = case.decode(build(case, tmp_path, f"x: {text}\n", ".s")[1])
            assert branch.displacement == -branch.size
            conditions.append(branch.condition)
        one, two = conditions
        assert (case.module.invert(one), case.module.invert(two)) == (two, one), pair


@every_target
def test_a_condition_is_the_branch_without_its_displacement(case: Case, tmp_path: Path) -> None:
    for text in itertools.chain(*case.pairs):
        far = build(case, tmp_path, f"{text}\n.skip 200\nx:\n.skip 200\n{text}\n", ".s")[1]
        size = (len(far) - 400) // 2
        (forward,), (backward,) = case.decode(far[:size]), case.decode(far[-size:])
        assert (forward.displacement, backward.displacement) == (200, -200 - size)
        assert forward.condition == backward.condition
        (again,) = case.decode((forward.condition or 0).to_bytes(4, "little"))
        assert (again.condition, again.displacement) == (forward.condition, -4)


def test_a_compressed_branch_has_the_condition_of_the_wide_one() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    for number in range(8):
        for distance in (0, 0x1C7C):  # no bit of the displacement, and every one
            for half, wide in ((0xC001, 0x00040063), (0xE001, 0x00041063)):  # c.beqz s0 and beqz s0, and of bnez
                (each,) = case.decode((half | number << 7 | distance & ~0x380).to_bytes(2, "little"))
                assert each.condition == wide | number << 15


@every_target
def test_unknown_instructions_are_refused(case: Case) -> None:
    for word in re.findall(r"^\w+", case.unknown, re.MULTILINE):
        data = bytes.fromhex(word)[::-1]
        with pytest.raises(ValueError, match=f"unknown instruction {data.hex(' ')} at offset 0"):
            case.decode(data)


@every_target
def test_code_that_ends_within_an_instruction_is_refused(case: Case) -> None:
    nop = case.nop.to_bytes(4, "little")
    assert [each.offset for each in case.decode(nop * 2)] == [0, 4]
    for cut in (1, 2, 3):
        with pytest.raises(ValueError, match="the instruction at offset 4 is cut off"):
            case.decode((nop * 2)[:-cut])


def test_only_the_unknown_instruction_is_shown() -> None:
    case = next(case for case in CASES if case.name == "riscv64")
    with pytest.raises(ValueError, match=r"^unknown instruction 00 80 at offset 2$"):
        case.decode(bytes.fromhex("0100 0080 0100"))


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
