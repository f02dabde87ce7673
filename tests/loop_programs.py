"""Loops of every shape with bodies of every kind, as texts."""

from __future__ import annotations

import re

from cnp.ir import Function
from cnp.ir.text import parse

CALLEE = "func g(a: i64) -> i64\n  i64.mul a, a, 3\n  ret a\nend\n"
HEAD = """func f(b: i64, n: i64, k: i64, m: i64) -> i64
  reg acc, s, t, u, v, w, z, old: i64
  reg c, d, e: i32
  reg x, y: f64
  reg p, q: f32
  i64.const acc, 1
  i64.const s, 1000
  i64.const old, 7
"""

BODIES = {
    "one op": "i64.mul t, k, m; i64.add acc, acc, t",
    "a chain": "i64.mul t, k, m; i64.xor u, t, k; i64.sub w, u, t; i64.add acc, acc, w",
    "a chain in one register": "i64.mul t, k, m; i64.xor t, t, k; i64.sub t, t, m; i64.add acc, acc, t",
    "a temporary of many values": "i64.mul t, k, m; i64.add acc, acc, t; i64.mul t, k, k; i64.add acc, acc, t; "
    "i64.xor t, m, 5; i64.sub acc, acc, t",
    "a temporary of constant and changing values": "i64.mul t, k, m; i64.add acc, acc, t; i64.mul t, acc, m; "
    "i64.add acc, acc, t; i64.mul t, k, 7; i64.add acc, acc, t",
    "equal ops": "i64.mul t, k, m; i64.mul u, k, m; i64.add acc, acc, t; i64.add acc, acc, u; i64.mul t, k, m; "
    "i64.sub acc, acc, t",
    "equal ops in one register": "i64.mul t, k, m; i64.add acc, acc, t; i64.mul t, k, m; i64.add acc, acc, t",
    "an equal op whose first value is gone": "i64.mul t, k, m; i64.add t, t, acc; i64.mul u, k, m; i64.add acc, t, u",
    "ops that differ in an operand": "i64.sub t, k, m; i64.sub u, m, k; i64.sub v, k, k; i64.sub w, k, 5; "
    "i64.sub t, t, u; "
    "i64.add t, t, v; i64.add t, t, w; i64.sub w, k, 6; i64.add t, t, w; i64.add acc, acc, t",
    "sums that differ in a shift": "i64.shl t, m, 1; i64.add u, k, t; i64.shl t, m, 2; i64.add v, k, t; "
    "i64.add w, k, m; i64.sub u, u, v; i64.add u, u, w; i64.add acc, acc, u; i64.shl t, m, 3; i64.add w, k, t; "
    "i64.add acc, acc, w",
    "selects that differ": "i64.lt_s c, k, m; select t, k, m, c; select u, m, k, c; select v, k, m, e; "
    "i64.sub t, t, u; i64.xor t, t, v; i64.add acc, acc, t",
    "an operand that changes": "i64.mul t, k, m; i64.add acc, acc, t; i64.add k, k, 1",
    "an operand that changes first": "i64.add k, k, 1; i64.mul t, k, m; i64.add acc, acc, t",
    "an operand that changes sometimes": "i64.mul t, k, m; i64.add acc, acc, t; branch i64.ne n, 2, @1; "
    "i64.add k, k, 1; @1:",
    "an operand that a call changes": "i64.mul t, k, m; i64.add acc, acc, t; call k, g(k)",
    "an operand that a load changes": "i64.store acc, b, 8; i64.mul t, k, m; i64.add acc, acc, t; i64.load k, b, 8",
    "an operand set to what it was": "i64.mul t, k, m; i64.add acc, acc, t; move v, k; i64.const k, 9; "
    "i64.mul t, k, m; i64.add acc, acc, t; move k, v",
    "used in the next round": "i64.add acc, acc, s; i64.mul s, k, m",
    "used after the loop": "i64.mul s, k, m",
    "used in the next round, and made again": "i64.add acc, acc, s; i64.mul s, k, m; i64.xor s, s, 1",
    "used in another block": "i64.mul t, k, m; branch i64.gt_s n, 3, @1; i64.add acc, acc, 1; @1: i64.add acc, acc, t",
    "made twice for another block": "i64.mul t, k, m; branch i64.gt_s n, 3, @1; i64.xor t, k, m; @1: "
    "i64.add acc, acc, t",
    "sometimes": "branch i64.ne n, 2, @1; i64.mul t, k, m; i64.add acc, acc, t; @1:",
    "never": "branch i64.ne n, -77, @1; i64.mul t, k, m; i64.add acc, acc, t; @1:",
    "sometimes, into a register of others": "branch i64.ne n, 2, @1; i64.mul s, k, m; @1: i64.add acc, acc, s",
    "one or the other": "branch i64.eq n, 2, @1; i64.mul t, k, m; i64.add acc, acc, t; jump @2; @1: i64.sub t, k, m; "
    "i64.xor acc, acc, t; @2:",
    "equal in both": "branch i64.eq n, 2, @1; i64.mul t, k, m; i64.add acc, acc, t; jump @2; @1: i64.mul u, k, m; "
    "i64.xor acc, acc, u; @2:",
    "a table": "i32.wrap_i64 c, n; i64.mul v, k, m; branch_table c, [@1, @2, @1], @3; @1: i64.mul t, k, m; "
    "i64.add acc, acc, t; @2: i64.sub t, k, m; i64.add acc, acc, t; jump @4; @3: i64.xor t, k, m; "
    "i64.add acc, acc, t; @4: i64.xor acc, acc, 3",
    "a table of something steady": "i64.and t, k, 3; i32.wrap_i64 c, t; branch_table c, [@1, @2], @1; @1: "
    "i64.mul t, k, m; i64.add acc, acc, t; @2: i64.add acc, acc, 5",
    "a division": "i64.add acc, acc, 1; i64.div_s t, k, 7; i64.add acc, acc, t",
    "a division that must not happen": "branch i64.ge_s n, 0, @1; i64.sub u, k, k; i64.div_u t, m, u; "
    "i64.add acc, acc, t; @1: i64.add acc, acc, 2",
    "a conversion that must not happen": "branch i64.ge_s n, 0, @1; f64.div x, 0.0, 0.0; i64.trunc_f64_s t, x; "
    "i64.add acc, acc, t; @1: i64.add acc, acc, 2",
    "a division that traps": "i64.store acc, b, 8; i64.add acc, acc, 1; i64.sub u, k, k; i64.rem_s t, m, u; "
    "i64.add acc, acc, t",
    "an unreachable": "branch i64.ne n, 2, @1; i64.mul t, k, m; i64.store t, b, 16; unreachable; @1: "
    "i64.add acc, acc, 3",
    "loads and stores": "i64.load t, b, 8; i64.add acc, acc, t; i64.store acc, b, 8; i64.load u, b, 8; "
    "i64.xor acc, acc, u",
    "a steady address": "i64.and t, k, 7; i64.shl t, t, 3; i64.add t, t, b; i64.load u, t; i64.add acc, acc, u; "
    "i64.store acc, t",
    "a steady address, used twice": "i64.and t, k, 7; i64.shl t, t, 3; i64.add t, b, t; i64.load u, t; "
    "i64.add acc, acc, u; i64.store acc, t",
    "addresses in one register": "i64.and u, k, 7; i64.shl t, u, 3; i64.add t, t, b; i64.load v, t; "
    "i64.add acc, acc, v; i64.shl t, u, 2; i64.add t, b, t; i64.store acc, t; i64.and t, acc, 7; i64.add t, b, t; "
    "i64.store8 acc, t, 5; i64.add t, b, u; i64.load v, t, 1; i64.xor acc, acc, v",
    "a constant offset of a steady sum": "i64.and u, k, 7; i64.add t, b, u; i64.add v, t, 8; i64.load w, v; "
    "i64.add acc, acc, w; i64.add v, t, 16; i64.store acc, v",
    "an index that is a sum": "i64.add t, k, n; i64.shl t, t, 3; i64.add t, b, t; i64.load u, t; i64.add acc, acc, u",
    "an index that is a sum, the other way": "i64.add t, n, k; i64.shl u, t, 3; i64.add v, u, b; i64.load w, v; "
    "i64.add acc, acc, w; i64.add t, n, k; i64.shl u, t, 3; i64.add v, u, b; i64.store acc, v",
    "an index that is a sum, unshifted": "i64.add t, n, k; i64.add t, t, b; i64.load u, t; i64.add acc, acc, u; "
    "i64.add t, k, n; i64.add t, b, t; i64.store acc, t, 9",
    "an index that is a sum used twice": "i64.add t, n, k; i64.shl u, t, 3; i64.add v, u, b; i64.load w, v; "
    "i64.add acc, acc, w; i64.add acc, acc, t",
    "an index that is a sum in its own register": "move t, n; i64.add t, t, k; i64.shl t, t, 3; i64.add t, t, b; "
    "i64.load t, t; i64.add acc, acc, t",
    "an index that is a sum of what changes": "i64.add t, n, acc; i64.and t, t, 7; i64.add u, t, n; i64.shl u, u, 3; "
    "i64.add u, u, b; i64.load v, u; i64.add acc, acc, v",
    "an index that is a sum whose varying part changes": "move v, n; i64.add t, v, k; i64.const v, 99; "
    "i64.shl t, t, 3; "
    "i64.add t, t, b; i64.load u, t; i64.add acc, acc, u; i64.add acc, acc, v",
    "an index that is a sum whose varying part a call changes": "move v, n; i64.add t, v, k; call v, g(v); "
    "i64.shl t, t, 3; i64.add t, t, b; i64.load u, t; i64.add acc, acc, u; i64.add acc, acc, v",
    "an index that is a sum whose steady part changes later": "i64.and v, old, 7; i64.add t, n, old; i64.shl t, t, 3; "
    "i64.add t, t, b; i64.load u, t, -72; i64.add acc, acc, u; i64.xor old, old, 1",
    "an index that is a sum with a base that is made later": "i64.add t, k, n; i64.and v, k, 8; i64.add v, v, b; "
    "i64.shl t, t, 3; i64.add t, t, v; i64.load u, t; i64.add acc, acc, u",
    "an index that is a sum with a base that changes": "i64.add t, k, n; i64.and v, acc, 8; i64.add v, v, b; "
    "i64.shl t, t, 3; i64.add t, t, v; i64.load u, t; i64.add acc, acc, u",
    "an index that is a sum with a steady part that is made here": "i64.and v, k, 7; i64.add t, v, n; i64.shl t, t, 3; "
    "i64.add t, t, b; i64.load u, t; i64.add acc, acc, u; i64.store acc, t",
    "an index that is a sum of sums": "i64.and v, m, 3; i64.add t, k, n; i64.add t, t, v; i64.shl t, t, 3; "
    "i64.add t, t, b; "
    "i64.load u, t; i64.add acc, acc, u; i64.add t, k, v; i64.add t, t, n; i64.shl t, t, 3; i64.add t, t, b; "
    "i64.store acc, t",
    "an index that is a sum in another block": "i64.add t, k, n; branch i64.eq n, 2, @1; i64.shl u, t, 3; "
    "i64.add u, u, b; "
    "i64.load v, u; i64.add acc, acc, v; @1: i64.add acc, acc, 1",
    "an index that is a sum, sometimes": "branch i64.ne n, 2, @1; i64.add t, k, n; i64.shl u, t, 3; i64.add u, u, b; "
    "i64.load v, u; i64.add acc, acc, v; @1: i64.add acc, acc, 1",
    "an index that is a sum, in a little loop": "i64.const w, 3; @1: i64.add t, k, w; i64.shl t, t, 3; "
    "i64.add t, t, b; "
    "i64.load u, t; i64.add acc, acc, u; i64.add t, n, w; i64.shl t, t, 3; i64.add t, t, b; i64.load u, t; "
    "i64.add acc, acc, u; i64.sub w, w, 1; branch i64.nez w, @1; i64.add t, k, n; i64.shl t, t, 3; i64.add t, t, b; "
    "i64.load u, t; i64.add acc, acc, u",
    "stores at an index that is a sum": "i64.add t, k, n; i64.add t, b, t; i64.store8 5, t; i64.add t, k, n; "
    "i64.shl t, t, 2; "
    "i64.add t, t, b; i64.store32 acc, t, 4; i64.add t, k, n; i64.add t, b, t; f64.store 1.5, t",
    "a call": "call t, g(k); i64.add acc, acc, t; i64.mul t, k, m; i64.add acc, acc, t",
    "a call with something steady": "i64.mul t, k, m; call u, g(t); i64.add acc, acc, u; i64.mul t, k, m; "
    "call t, g(t); "
    "i64.xor acc, acc, t",
    "calls around": "i64.mul t, k, m; call u, g(acc); i64.add acc, u, t; call u, g(acc); i64.mul t, k, m; "
    "i64.add acc, u, t",
    "a call whose result hides it": "i64.mul t, k, m; i64.add acc, acc, t; call t, g(t); i64.add acc, acc, t",
    "a steady condition": "i64.lt_s c, k, m; branch i32.nez c, @1; i64.add acc, acc, 5; @1: i64.add acc, acc, 1",
    "a steady condition, kept": "i64.lt_s c, k, m; i64.extend_i32_u t, c; i64.add acc, acc, t; branch i32.nez c, @1; "
    "i64.add acc, acc, 5; @1: i64.add acc, acc, 1",
    "a steady choice": "i64.eqz c, k; select t, k, m, c; i64.add acc, acc, t; i64.eqz c, acc; select t, k, m, c; "
    "i64.sub acc, acc, t",
    "floats": "f64.convert_i64_s x, k; f64.mul y, x, x; i64.reinterpret_f64 t, y; i64.add acc, acc, t",
    "floats of both sizes in one register file": "f64.convert_i64_s x, k; f32.demote_f64 p, x; f32.mul q, p, 3.25; "
    "f64.promote_f32 y, q; i64.reinterpret_f64 t, y; i64.add acc, acc, t",
    "float comparisons": "f64.convert_i64_s x, k; f64.lt c, x, 0.5; i32.eqz c, c; i64.extend_i32_u t, c; "
    "i64.add acc, acc, t; f64.convert_i64_s x, n; f64.lt c, x, 1.5; branch i32.eqz c, @1; i64.xor acc, acc, 9; @1:",
    "words": "i32.wrap_i64 c, k; i32.mul d, c, c; i32.sub d, d, 5; i64.extend_i32_u t, d; i64.add acc, acc, t",
    "all types": "i32.wrap_i64 c, k; i32.add c, c, 1; f32.convert_i32_s p, c; f32.add p, p, 0.5; f64.promote_f32 x, p; "
    "f64.abs x, x; f64.sqrt y, x; i64.reinterpret_f64 t, y; i64.add acc, acc, t; i64.trunc_sat_f64_s t, y; "
    "i64.add acc, acc, t",
    "moves": "move t, k; i64.add t, t, acc; move u, m; i64.add acc, t, u; move v, k; i64.add acc, acc, v",
    "a move to a parameter's register": "i64.add acc, acc, m; move m, k",
    "constants": "i64.const t, 5; i64.add acc, acc, t; i64.const t, 0x123456789abc; i64.add acc, acc, t",
    "an op of constants": "i64.mul t, 5, 0x123456789abc; i64.add acc, acc, t; f64.add x, 1.5, 2.5; "
    "i64.reinterpret_f64 t, x; i64.add acc, acc, t",
    "wide constants": "i64.xor acc, acc, 0x123456789abcdef; i64.mul acc, acc, 0x123456789abcdef; "
    "i64.add acc, acc, -0x123456789abcdef; i64.and acc, acc, 0x7fffffffffffffff",
    "wide constants of steady ops": "i64.xor t, k, 0x123456789abcdef; i64.add acc, acc, t; "
    "i64.sub t, 0x123456789abcdef, m; i64.add acc, acc, t",
    "a division by a wide constant": "i64.rem_u t, acc, 0x123456789ab; i64.div_s u, acc, -0x123456789ab; "
    "i64.mul v, acc, 0x10000000000; i64.div_u w, acc, 0x10000000000; i64.sub acc, t, u; i64.xor acc, acc, v; "
    "i64.sub acc, acc, w",
    "wide counts": "i64.shl t, acc, 0x100000003; i64.rotr u, acc, 0x100000003; i64.shr_s v, acc, -0x100000003; "
    "i64.xor t, t, u; i64.add acc, t, v",
    "a branch on a wide constant": "i64.add acc, acc, 0x2000000000; branch i64.gt_u acc, 0x4000000000, @1; "
    "i64.add acc, acc, 5; @1: i64.lt_s c, 0x4000000000, acc; branch i32.eqz c, @2; i64.xor acc, acc, 8; @2:",
    "stored constants": "i64.store 0x123456789abc, b, 8; i64.load t, b, 8; i64.add acc, acc, t; i64.store 5, b, 16",
    "more than are remembered": "; ".join(
        f"i64.xor t, k, {n % 10}; i64.add acc, acc, t; i64.sub u, m, {n % 10}; i64.add acc, acc, u" for n in range(20)
    ),
    "more than there are registers": "; ".join(
        [f"i64.xor t, k, {n}; i64.add acc, acc, t; i64.mul u, m, {n + 3}; i64.sub acc, acc, u" for n in range(14)]
    ),
    "a safepoint": "i64.mul t, k, m; safepoint; i64.add acc, acc, t",
    "nothing": "safepoint",
    "a label in the middle": "i64.mul t, k, m; i64.add acc, acc, t; @1: i64.mul t, k, m; i64.add acc, acc, t",
    "a jump ahead": "i64.mul t, k, m; i64.add acc, acc, t; jump @1; @1: i64.xor acc, acc, 5",
    "code that nothing reaches": "jump @1; i64.mul t, k, m; i64.add acc, acc, t; @1: i64.add acc, acc, 1",
    "undefined where nothing reaches": "i64.add acc, acc, 1; jump @1; i64.mul t, w, m; i64.add acc, acc, t; @1:",
    "a little loop": "i64.const w, 3; @1: i64.mul t, k, m; i64.add acc, acc, t; i64.xor u, k, w; i64.add acc, acc, u; "
    "i64.sub w, w, 1; branch i64.nez w, @1; i64.mul t, k, m; i64.sub acc, acc, t",
    "two little loops": "; ".join(
        f"i64.const w, {n}; @{n}: i64.mul t, k, m; i64.add acc, acc, t; i64.mul u, k, n; i64.add acc, acc, u; "
        f"i64.sub w, w, 1; branch i64.nez w, @{n}"
        for n in (1, 2)
    ),
    "a little loop that is entered by a jump": "i64.const w, 3; jump @2; @1: i64.mul t, k, m; i64.add acc, acc, t; "
    "i64.mul t, n, m; i64.add acc, acc, t; @2: i64.sub w, w, 1; branch i64.nez w, @1",
    "a little loop that is never entered": "jump @2; @1: i64.mul t, k, m; i64.add acc, acc, t; branch i64.nez acc, @1; "
    "@2: i64.xor acc, acc, 1",
}

# What may stand for {body} is put there with labels of its own; {count} counts n down; {more} is code between.
SHAPES = {
    "do while": "branch i64.le_s n, 0, done; head: {body}; {count}; branch i64.gt_s n, 0, head; done:",
    "while": "head: branch i64.le_s n, 0, done; {body}; {count}; jump head; done:",
    "while, with a condition": "head: i64.le_s e, n, 0; branch i32.nez e, done; {body}; {count}; jump head; done:",
    "entered by a jump to the bottom": "jump test; head: {body}; {count}; test: branch i64.gt_s n, 0, head",
    "entered by a jump to the middle": "jump middle; head: {body}; middle: branch i64.le_s n, 0, done; {count}; "
    "jump head; done:",
    "entered by a jump to the head": "jump head; head: branch i64.le_s n, 0, done; {body}; {count}; jump head; done:",
    "entered by a jump to the head, from afar": "branch i64.eq n, 2, head; i64.add acc, acc, 3; head: "
    "branch i64.le_s n, 0, done; {body}; {count}; jump head; done:",
    "entered by a jump over something": "jump before; i64.add acc, acc, 3; before: head: branch i64.le_s n, 0, done; "
    "{body}; {count}; jump head; done:",
    "entered in two places": "branch i64.eq n, 2, middle; head: branch i64.le_s n, 0, done; {body}; "
    "middle: i64.add acc, acc, 17; {body}; {count}; jump head; done:",
    "entered in two places, by two jumps": "branch i64.eq n, 2, middle; jump test; head: {body}; "
    "middle: i64.add acc, acc, 17; {count}; test: branch i64.gt_s n, 0, head",
    "entered by a table": "i32.wrap_i64 e, n; branch_table e, [test, middle, test], head; head: "
    "branch i64.le_s n, 0, done; {body}; middle: {count}; test: branch i64.gt_s n, 0, head; done:",
    "with a table for the entry": "i32.wrap_i64 e, n; branch_table e, [done], head; head: {body}; {count}; "
    "branch i64.gt_s n, 0, head; done:",
    "several ways back": "branch i64.le_s n, 0, done; head: {body}; {count}; branch i64.gt_s n, 5, head; "
    "i64.add acc, acc, 3; {body}; branch i64.gt_s n, 2, head; {body}; branch i64.gt_s n, 0, head; done:",
    "a way back by table": "branch i64.le_s n, 0, done; head: {body}; {count}; i32.wrap_i64 e, n; "
    "branch_table e, [done, head, head], other; other: {body}; branch i64.gt_s n, 0, head; done:",
    "a way back that is far": "branch i64.le_s n, 0, done; head: {body}; {count}; branch i64.gt_s n, 4, head; "
    "branch i64.gt_s n, 0, outside; jump done; outside: i64.add acc, acc, 5; jump head; done:",
    "left, and entered again in the middle": "branch i64.le_s n, 0, done; head: {body}; inside: {body}; {count}; "
    "branch i64.gt_s n, 4, head; branch i64.gt_s n, 0, outside; jump done; outside: i64.add k, k, 1; "
    "jump inside; done:",
    "entered in two places, one after the other": "branch i64.le_s n, 0, done; i64.const z, 3; again: i64.sub z, z, 1; "
    "branch i64.eq z, 1, middle; jump test; head: {body}; middle: {body}; {count}; test: branch i64.gt_s n, 4, head; "
    "i64.add k, k, 1; branch i64.gt_s z, 0, again; done:",
    "a loop around": "i64.const z, 3; again: i64.const n, 2; head: {body}; {count}; branch i64.gt_s n, 0, head; "
    "i64.sub z, z, 1; branch i64.gt_s z, 0, again",
    "out of the middle": "head: branch i64.le_s n, 0, done; {body}; branch i64.eq n, 3, done; {count}; jump head; "
    "done:",
    "overlapping loops": "branch i64.le_s n, 0, done; one: {body}; two: {count}; i64.add acc, acc, 5; "
    "branch i64.gt_s n, 4, one; {body}; branch i64.gt_s n, 0, two; done:",
    "one behind the other": "i64.add z, n, 2; head: {body}; i64.sub z, z, 1; branch i64.gt_s z, 0, head; "
    "again: {body}; "
    "{count}; branch i64.gt_s n, 0, again",
    "a jump behind another loop": "i64.const v, 2; first: i64.add acc, acc, v; i64.sub v, v, 1; "
    "branch i64.le_s v, 0, test; "
    "jump first; head: {body}; {count}; test: branch i64.gt_s n, 0, head",
    "around behind a return": "jump start; head: {body}; {count}; branch i64.gt_s n, 0, head; ret acc; start: "
    "branch i64.gt_s n, 0, head",
    "nothing but the loop": "start: head: {body}; {count}; branch i64.gt_s n, 0, head",
}


def on_lines(lines: str) -> str:
    """An op or a label a line."""
    return re.sub(r": (?![if]\d\d[^.])", ":\n", lines).replace(";", "\n").replace(":\n\n", ":\n")


def program(shape: str, body: str, before: str = "", after: str = "") -> Function:
    lines, number = SHAPES.get(shape, shape), 0
    while "{body}" in lines:
        own = body
        for k in range(5):
            own = own.replace(f"@{k}", f"l{number}_{k}")
        lines = lines.replace("{body}", own, 1)
        number += 1
    lines = lines.replace("{count}", "i64.sub n, n, 1")
    lines = "; ".join(each for each in (before, lines, after) if each)
    lines = on_lines(lines)
    text = (
        f"{CALLEE}{HEAD}  i32.wrap_i64 e, m\n{lines}\n  i64.add acc, acc, s\n  i64.xor acc, acc, old\n  ret acc\nend\n"
    )
    return list(parse(text).values())[1]


CROWD = "; ".join(f"i64.mul crowd{n}, m, {n + 5}" for n in range(14))


def crowded(shape: str, body: str) -> Function:
    """With more values alive than there are registers."""
    after = "; ".join(f"i64.xor acc, acc, crowd{n}; i64.mul acc, acc, 3" for n in range(14))
    registers = ", ".join(f"crowd{n}" for n in range(14))
    return program(shape, body, f"reg {registers}: i64; {CROWD}", after)
