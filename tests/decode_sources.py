"""What decoders are tried on: C for every target; and of each assembly that clang seldom emits, pairs of opposite
branches, and words that are refused."""

from __future__ import annotations

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
