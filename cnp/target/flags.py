"""Compiler flags that every target has, each with its reason."""

from __future__ import annotations

from cnp.target.record import Flag

COMMON_FLAGS = (
    Flag("-std=gnu2x", "statement expressions and enums as the sources use them"),
    Flag("-ffreestanding", "the code runs without a C library"),
    Flag("-fno-builtin", "no loop may become a call of memcpy or memset"),
    Flag("-fno-stack-protector", "its canary is a hidden extern symbol and a frame"),
    Flag("-fno-asynchronous-unwind-tables", "unwind tables of snippets describe nothing that exists at run time"),
    Flag("-fno-unwind-tables", "the same, as zig asks for them"),
    Flag("-fomit-frame-pointer", "a frame pointer costs a prologue (and zig asks for one)"),
    Flag("-fno-jump-tables", "jump tables are hidden relocations into data"),
    Flag("-fno-strict-aliasing", "guest memory has no C types"),
    Flag("-fwrapv", "signed overflow wraps in every op"),
    Flag("-ffp-contract=off", "a fused multiply-add rounds once where WebAssembly rounds twice"),
    Flag("-Xclang", "the next flag is of the compiler proper"),
    Flag("-no-enable-noundef-analysis", "registers that hold nothing are passed on undefined, which is no mistake"),
    Flag("-fno-math-errno", "sqrt is one instruction, not a call"),
    Flag("-Wall", "an op's mistakes should show at build time"),
    Flag("-Wextra", "the same"),
    Flag("-Wno-unused", "a stencil has all registers as parameters and uses few"),
    Flag("-Wno-uninitialized", "registers that a call destroys are passed on undefined, on purpose"),
    Flag("-Wno-unknown-warning-option", "the same list serves clang 19 and later"),
    Flag("-Wno-sign-compare", "literal samples are signed where an operand is not"),
)

STENCIL_FLAGS = (
    Flag("-Os", "-O2 duplicates tails and turns one division into two paths; smaller also copies faster"),
    Flag("-mllvm -disable-vector-combine", "an f32 in a vector register would be computed as four"),
    Flag("-fno-slp-vectorize", "for the same reason"),
    Flag("-fno-pic", "no global offset table between a stencil and its holes"),
)

NO_FLOATS_FLAGS = (
    Flag("-mno-implicit-float", "float registers, which such stencils have no names for, stay as they are"),
    Flag("-mllvm -enable-misched=false", "so few instructions leave nothing to schedule: a sixth of clang's time"),
)

CORE_FLAGS = (
    Flag("-O2", "the core's loops are what compile time is made of"),
    Flag("-fPIC", "the core is copied to wherever code memory is"),
    Flag("-fvisibility=hidden", "and reaches its own parts directly, without a global offset table"),
)
