"""What loops would compute again and again is computed once, in front of them: nobody can tell but by the clock."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from agreement import check, check_calls, emitted
from guest_support import NATIVE, machine_names
from machines import Machine
from random_programs import EXTERNS
from test_random import native_finding
from trials import EDGES

from cnp.errors import TrapKind
from cnp.ir import Extern, Function, Label
from cnp.ir.optable import default_ops
from cnp.ir.text import parse
from cnp.ir.verifier import Finding, VerifyCode, find
from cnp.stencil.model import OpFlag, Shape
from cnp.types import Type

i32, i64, f32, f64 = Type
ROWS = default_ops().by_name

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


def _shapes_and_bodies() -> list[tuple[str, str, str]]:
    """Every pair on this machine, every eighth on others."""
    pairs = [(shape, body) for shape, body in itertools.product(enumerate(SHAPES), enumerate(BODIES))]
    return [
        (name, shape, body)
        for name in machine_names()
        for (m, shape), (n, body) in pairs
        if name == NATIVE or (m + n) % 8 == 0
    ]


@pytest.mark.parametrize(("machine", "shape", "body"), _shapes_and_bodies(), indirect=["machine"])
def test_shapes_of_loops(machine: Machine, shape: str, body: str) -> None:
    f = program(shape, BODIES[body])
    base = machine.middle - 64
    check_calls(machine, f, [[base, 0, 3, 5], [base, 1, 3, 5], [base, 2, -7, 2**40 + 1], [base, 6, 3, 5]], pins=[])
    check_calls(machine, crowded(shape, BODIES[body]), [[base, rounds, -7, 5] for rounds in (0, 3)], pins=[])


def nest(depth: int, body: str, tests_first: bool) -> str:
    lines = body
    for level in range(depth):
        count = f"n{level}"
        if tests_first:
            lines = (
                f"i64.const {count}, 2; h{level}: branch i64.le_s {count}, 0, d{level}; i64.mul u, k, {level + 2}; "
                f"i64.add acc, acc, u; {lines}; i64.sub {count}, {count}, 1; jump h{level}; d{level}:"
            )
        else:
            lines = (
                f"i64.const {count}, 2; h{level}: {lines}; i64.mul u, k, {count}; i64.xor acc, acc, u; "
                f"i64.mul u, k, m; "
                f"i64.add acc, acc, u; i64.sub {count}, {count}, 1; branch i64.gt_s {count}, 0, h{level}"
            )
    return f"reg {', '.join(f'n{level}' for level in range(depth))}: i64; {lines}"


STRAIGHT = [name for name, lines in BODIES.items() if "@" not in lines]


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("tests_first", [False, True])
def test_nests(machine: Machine, depth: int, tests_first: bool) -> None:
    for name in STRAIGHT:
        if len(BODIES[name]) < 600:
            check(machine, program(nest(depth, BODIES[name], tests_first), ""), [machine.middle - 64, 2, 3, 5], pins=[])


@pytest.mark.parametrize("depth", range(1, 7))
def test_what_each_level_of_a_nest_has_to_itself(machine: Machine, depth: int) -> None:
    """An op of every level's counter and every outer one's, in the innermost loop and in between."""
    lines = "; ".join(f"i64.mul t, n{level}, k; i64.add acc, acc, t" for level in range(depth))
    lines += "; " + "; ".join(f"i64.xor t, n{n}, n{(n + 1) % depth}; i64.add acc, acc, t" for n in range(depth))
    for tests_first in (False, True):
        f = program(nest(depth, lines, tests_first), "")
        check_calls(machine, f, [[machine.middle, 2, 3, 5], [machine.middle, 2, -(2**63), 2**63 - 1]], pins=[])


# -- what is moved, and what is not


def _is_in_front(machine: Machine, f: Function, op: str, marker: str = "i64.load") -> bool:
    """Whether the code of the last op of a name comes before that of the last marker."""
    code, mark = ROWS[op].code, ROWS[marker].code
    numbers = dict.fromkeys(number for number, _ in emitted(machine, f) if number < len(f.ops))  # others have no op
    order = [f.ops[number][0] for number in numbers]
    last = {each: n for n, each in enumerate(order)}
    return last[code] < last[mark]


LOAD = "i64.load u, b, 8; i64.add acc, acc, u; "
MUL = "i64.mul t, k, m; i64.sub acc, acc, t"
HOISTED = {
    "do while": ("do while", MUL),
    "while": ("while", MUL),
    "while, with a condition": ("while, with a condition", MUL),
    "by a jump": ("entered by a jump to the bottom", MUL),
    "by a jump to the middle": ("entered by a jump to the middle", MUL),
    "conditional": ("do while", "branch i64.eq n, 2, @1; i64.mul t, k, m; i64.sub acc, acc, t; @1:"),
    "in one register with others": (
        "do while",
        "i64.xor t, acc, m; i64.sub acc, acc, t; i64.mul t, k, m; i64.sub acc, acc, t",
    ),
    "with a call": ("do while", "call t, g(k); i64.mul t, k, m; i64.sub acc, acc, t"),
}
SPLIT = {
    "before": "i64.mul acc, acc, 3; i64.add t, k, n; i64.shl t, t, 3; i64.add t, b, t; i64.load u, t; "
    "i64.xor acc, acc, u",
    "after": "i64.mul acc, acc, 3; i64.add t, k, n; i64.sub w, b, k; i64.shl t, t, 3; i64.add t, w, t; i64.load u, t; "
    "i64.xor acc, acc, u",
}
"""The base is made before or after the sum that makes the index."""

STAYS = {
    "two entries": ("entered in two places", MUL),
    "two jumps": ("entered in two places, by two jumps", MUL),
    "a table's entries": ("entered by a table", MUL),
    "changes": ("do while", "i64.mul t, k, m; i64.sub acc, acc, t; i64.add k, k, 1"),
    "changes before": ("do while", "i64.add k, k, 1; i64.mul t, k, m; i64.sub acc, acc, t"),
    "elsewhere": ("do while", "i64.sub acc, acc, s; i64.mul s, k, m"),
    "a call's doing": ("do while", "i64.mul t, k, m; i64.sub acc, acc, t; call k, g(k)"),
}


@pytest.mark.parametrize("name", HOISTED)
def test_hoisted(machine: Machine, name: str) -> None:
    shape, body = HOISTED[name]
    assert _is_in_front(machine, program(shape, LOAD + body), "i64.mul")


@pytest.mark.parametrize("name", STAYS)
def test_not_hoisted(machine: Machine, name: str) -> None:
    shape, body = STAYS[name]
    assert not _is_in_front(machine, program(shape, LOAD + body), "i64.mul")


@pytest.mark.parametrize("name", SPLIT)
def test_the_steady_part_of_an_index_joins_the_base(machine: Machine, name: str) -> None:
    f = program("do while", SPLIT[name])
    check(machine, f, [machine.middle, 4, 3, 5], pins=[])
    if not machine.target.indexed_offsets:  # there is no instruction whose index could be split
        return
    numbers = [number for number, _ in emitted(machine, f) if number < len(f.ops)]
    first_in_loop = next(n for n, op in enumerate(f.ops) if op[0] == ROWS["i64.mul"].code)
    steady = first_in_loop + (1 if name == "before" else 2)  # the index's sum, or the base: a sum behind it stays
    assert numbers.index(steady) < numbers.index(first_in_loop)


def _trapping() -> list[str]:
    return [name for name, row in ROWS.items() if row.shape == Shape.VALUE and row.flags & OpFlag.MAY_TRAP]


@pytest.mark.parametrize("name", _trapping())
def test_what_may_trap_is_not_moved(machine: Machine, name: str) -> None:
    """In front of a loop of no rounds it would trap; in a loop it traps after what comes before it."""
    row = ROWS[name]
    types = [Type(each) for each in row.operand_types]
    f = Function("f", [i64, i64, *types], i64)
    b, n, *operands = f.params
    d, head, done = f.reg(Type(row.result_type)), f.label(), f.label()
    f.place(head)
    f.branch_i64_le_s(n, 0, done)
    f.i64_store(n, b, 0)
    getattr(f, row.method)(d, *operands)
    f.i64_sub(n, n, 1)
    f.jump(head)
    f.place(done)
    f.ret(n)
    bad: list[Any] = [float("nan")] if types[0].is_float else [7, 0]
    never, twice = check_calls(machine, f, [[machine.address, rounds, *bad] for rounds in (0, 2)], pins=[])
    assert never == ("returns", 0)
    assert twice[0] == "traps"
    assert twice[1] in (TrapKind.INTEGER_DIVIDE_BY_ZERO, TrapKind.INVALID_CONVERSION_TO_INTEGER)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.shape == Shape.VALUE])
def test_every_op_in_a_loop(machine: Machine, name: str) -> None:
    """Twice, with an op that makes operands change in between, and with a constant for each operand."""
    row = ROWS[name]
    types, result = [Type(each) for each in row.operand_types], Type(row.result_type)
    r = random.Random(name)
    for constant in (None, *range(len(types))):
        f = Function("f", [i64, i64, *types], None)
        b, n, *params = f.params
        operands: list[Any] = list(params)
        if constant is not None:
            operands[constant] = r.choice([each for each in EDGES[types[constant]] if each == each and each])
        d, e, head = f.reg(result), f.reg(result), f.label()
        f.place(head)
        getattr(f, row.method)(d, *operands)
        if result.is_float:
            is_number = f.reg(i32)
            getattr(f, f"{result}_eq")(is_number, d, d)
            f.select(d, d, 0.0, is_number)
        getattr(f, f"{result}_store")(d, b, 8)
        getattr(f, row.method)(e, *operands)
        if result.is_float:
            getattr(f, f"{result}_eq")(is_number, e, e)
            f.select(e, e, 0.0, is_number)
        getattr(f, f"{result}_store")(e, b, 16)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, head)
        f.ret()
        numbers = {type: [each for each in EDGES[type] if each == each] for type in types}
        calls = [[machine.address, 2, *[r.choice(numbers[type]) for type in types]] for _ in range(3)]
        check_calls(machine, f, calls, pins=[])


# -- constants in registers

WIDE: dict[Type, list[Any]] = {
    i32: [5, -1, 2**31 - 1, -(2**31), 0x12345678, 77, 78, 79, 80, 81],
    i64: [
        2**31,
        -(2**31) - 1,
        2**32 - 1,
        2**32,
        2**40,
        -(2**63),
        2**63 - 1,
        2**63 - 2,
        2**50,
        2**51,
        2**52,
        -(2**31),
        5,
    ],
    f32: [0.5, -0.0, 0.0, 1.5, -2.5, 1e-40, float("inf"), 3.0, 4.0, 5.0, 6.0, 7.0],
    f64: [0.5, -0.0, 0.0, 1.5, -2.5, 5e-324, float("inf"), 1e300, 3.0, 4.0, 5.0, 6.0, 7.0],
}


def _uses(f: Function, type: Type, acc: Any, value: Any, number: int, callee: Extern | None) -> None:
    how = number % 6
    if how == 0:
        getattr(f, f"{type}_add")(acc, acc, value)
    elif how == 1:
        getattr(f, f"{type}_sub")(acc, value, acc)
    elif how == 2:
        d = f.reg(type)
        f.move(d, value)
        getattr(f, f"{type}_add")(acc, acc, d)
    elif how == 3:
        f.select(acc, acc, value, f.params[2])
    elif how == 4:
        past = f.label()
        getattr(f, f"branch_{type}_eq")(acc, value, past)
        getattr(f, f"{type}_add")(acc, acc, 1)
        f.place(past)
    else:
        d = f.reg(i32)
        getattr(f, f"{type}_{'lt' if type.is_float else 'lt_s'}")(d, value, acc)
        f.select(acc, acc, value, d)
    if callee is not None:
        f.call(f.reg(i32), callee, *[5] * len(callee.params))


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("types", [[each] for each in Type] + [list(Type)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 8, 9, 13])
def test_constants(machine: Machine, types: list[Type], count: int, calls: bool) -> None:
    callee = (EXTERNS[8] if machine.is_native else machine.extern("narrow")) if calls else None
    for turn, loops in itertools.product(range(6), (1, 2)):
        f = Function("f", [i64, i64, i32], None)
        b, n, _ = f.params
        accs = {type: f.reg(type) for type in types}
        for type, acc in accs.items():
            getattr(f, f"{type}_const")(acc, 1)
        outer, m = f.label(), f.reg(i64)
        f.place(outer)
        for loop in range(loops):
            f.move(m, 2)
            head = f.label()
            f.place(head)
            for number in range(count):
                for type, acc in accs.items():
                    value = WIDE[type][(number + loop * 4) % len(WIDE[type])]
                    _uses(f, type, acc, value, number + turn, None if number % 4 else callee)
            f.i64_sub(m, m, 1)
            f.branch_i64_gt_s(m, 0, head)
        for type, acc in accs.items():
            clean, is_number = f.reg(type), f.reg(i32)
            f.move(clean, acc)
            if type.is_float:
                getattr(f, f"{type}_eq")(is_number, acc, acc)
                f.select(clean, acc, 0.0, is_number)
            getattr(f, f"{type}_store")(clean, b, 8 * type)
        f.i64_sub(n, n, 1)
        f.branch_i64_gt_s(n, 0, outer)
        f.ret()
        check_calls(machine, f, [[machine.address, 2, condition] for condition in (0, 1)], pins=[])


def test_a_constant_of_two_types(machine: Machine) -> None:
    """The same bits as an i64 and as an f64 are two constants, in two kinds of registers."""
    bits = 0x3FF8000000000000
    f = Function("f", [i64, i64, f64], i64)
    _, n, x = f.params
    total, d, head = f.reg(i64), f.reg(i64), f.label()
    f.i64_const(total, 0)
    f.place(head)
    f.f64_add(x, x, 1.5)
    f.i64_add(total, total, bits)
    f.i64_reinterpret_f64(d, x)
    f.i64_xor(total, total, d)
    f.i64_sub(n, n, 1)
    f.branch_i64_gt_s(n, 0, head)
    f.ret(total)
    check(machine, f, [machine.address, 3, 0.25], pins=[])


# -- what is wrong is found where it is


def _same_findings(f: Function, what: str) -> Finding:
    wanted = find(f)
    found = native_finding(f)
    assert found == wanted, f"{what}: expected {wanted}, found {found}: {f.ops[wanted.op]}"
    return wanted


@pytest.mark.parametrize("shape", SHAPES)
def test_an_op_is_missing(shape: str) -> None:
    """Each op in turn: its result may then be used before it is made, its label be unbound, or the end be reached."""
    codes = set()
    for name, body in BODIES.items():
        if len(body) > 600:
            continue
        f = program(shape, body)
        for number in range(len(f.ops)):
            op = f._ops.pop(number)
            codes.add(_same_findings(f, f"{name}, without op {number}").code)
            f._ops.insert(number, op)
    assert codes >= {VerifyCode.OK, VerifyCode.UNBOUND_LABEL, VerifyCode.USE_BEFORE_DEFINITION}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_operand_is_wrong(shape: str) -> None:
    """Each operand in turn is something else: never assigned, of another type, of another function, a label."""
    r = random.Random(shape)
    other = Function("other", [i64], None)
    codes = set()
    for name, body in BODIES.items():
        if len(body) > 300:
            continue
        f = program(shape, body)
        never = {type: f.reg(type) for type in Type}
        for number, op in enumerate(f.ops):
            for operand in range(1, len(op)):
                instead = r.choice(
                    [never[i64], never[i64], never[i32], never[f64], other.params[0], f.label(), None, 1.5]
                )
                f._ops[number] = (*op[:operand], instead, *op[operand + 1 :])
                codes.add(_same_findings(f, f"{name}, operand {operand} of op {number}").code)
                f._ops[number] = op
    assert len(codes) >= 6


FOLDED = {
    "a base": "i64.add t, {}, i; i64.load u, t; ret u",
    "an index": "i64.add t, i, {}; i64.load u, t; ret u",
    "what is shifted": "i64.shl t, {}, 3; i64.add t, t, i; i64.load u, t; ret u",
    "a base of what is shifted": "i64.shl t, i, 3; i64.add t, t, {}; i64.load u, t; ret u",
    "a sum of a constant": "i64.add t, {}, 3; i64.load u, t; ret u",
    "an address": "i64.add t, i, 3; i64.load u, {}; ret t",
    "a stored value": "i64.add t, i, i; i64.store {}, t; ret i",
    "a compared value": "i64.lt_s c, {}, i; branch i32.nez c, out; out: ret i",
    "another compared value": "i64.lt_s c, i, {}; branch i32.eqz c, out; out: ret i",
    "a value compared for a select": "i64.eqz c, {}; select t, i, i, c; ret t",
    "a value that is selected": "i64.eqz c, i; select t, i, {}, c; ret t",
    "another value that is selected": "i64.eqz c, i; select t, {}, i, c; ret t",
    "a sum of a shift": "i64.shl t, {}, 2; i64.add t, i, t; ret t",
    "a dead sum": "i64.add t, {}, i; i64.load t, i; ret t",
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("others", [0, 1, 2])
def test_an_undefined_operand_of_what_is_folded(name: str, others: int) -> None:
    """At the op that has it, although that op has no code, and where others are undefined, the first."""
    lines = FOLDED[name].format("w")
    before = ["", "branch i64.eqz i, on; i64.const w, 8; on: ", "branch i64.eqz i, on; i64.add x, w, w; on: "][others]
    body = on_lines(f"i64.const w, 9; {before}{lines}")
    f = parse(f"func f(i: i64) -> i64\nreg t, u, w, x: i64\nreg c: i32\n{body}\nend").popitem()[1]
    del f._ops[0]
    assert _same_findings(f, name).code == VerifyCode.USE_BEFORE_DEFINITION


class _Counting:
    """A constant that counts how often it is read."""

    def __init__(self) -> None:
        self.count = 0

    def __index__(self) -> int:
        self.count += 1
        return 5


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_well_formed_is_compiled_once(shape: str) -> None:
    """The core begins again, and leaves everything where it was, when it has moved ops so that a register is used
    before it is made. Only what nothing reaches may make it do so."""
    for name, body in BODIES.items():
        f = program(shape, body)
        constant = _Counting()
        f._ops.insert(0, (ROWS["i64.add"].code, f.params[0], f.params[0], constant))
        f.compile()
        assert constant.count == 1 or name == "undefined where nothing reaches", name


# -- compile time


def _back_in_order(f: Function, n: int) -> None:
    labels = [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(f.params[0], f.params[0], 1)
    for each in labels:
        f.branch_i64_eqz(f.params[0], each)


def _nested(f: Function, n: int) -> None:
    labels = [f.label() for _ in range(n)]
    for each in labels:
        f.place(each)
        f.i64_add(f.params[0], f.params[0], 1)
    for each in reversed(labels):
        f.i64_add(f.params[0], f.params[0], 1)
        f.branch_i64_eqz(f.params[0], each)


def _continues(f: Function, n: int) -> None:
    head = f.label()
    f.place(head)
    for _ in range(n):
        inner: Label = f.label()
        f.place(inner)
        f.i64_add(f.params[0], f.params[0], 1)
        f.branch_i64_nez(f.params[0], inner)
        f.branch_i64_eqz(f.params[0], head)


def _far_uses(f: Function, n: int) -> None:
    a, b = f.params
    head, made = f.label(), [f.reg(i64) for _ in range(n)]
    f.place(head)
    for number, each in enumerate(made):
        f.i64_xor(each, b, number)
    for each in made:
        f.i64_add(a, a, each)
    f.branch_i64_nez(a, head)


def _copies(f: Function, n: int) -> None:
    a, b = f.params
    head, t, u = f.label(), f.reg(i64), f.reg(i64)
    f.place(head)
    for _ in range(n):
        f.i64_mul(t, b, b)
        f.i64_xor(u, t, 5)
        f.i64_add(a, a, u)
    f.branch_i64_nez(a, head)


MANY_LOOPS: dict[str, Callable[[Function, int], None]] = {
    "overlapping loops": _back_in_order,
    "nested loops": _nested,
    "continues": _continues,
    "far uses": _far_uses,
    "copies": _copies,
}


@pytest.mark.parametrize("name", MANY_LOOPS)
def test_compile_time_stays_linear(name: str) -> None:
    """Twice as many take about twice as long: four times as long is what no part of the work may come to.

    Of this thread's own time the least counts, in as many turns as it takes to see it on a machine that others use.
    """
    functions = []
    for n in (4_000, 16_000):
        functions.append(f := Function("f", [i64, i64], i64))
        MANY_LOOPS[name](f, n)
        f.ret(f.params[0])
    few = many = float("inf")
    for turn in range(20):
        few, many = (min(least, _seconds(f)) for least, f in zip((few, many), functions))
        if turn >= 2 and many < 12 * few:
            return
    pytest.fail(f"{many / few:.1f} times as long for four times as many")


def _seconds(f: Function) -> float:
    start = time.thread_time()
    f.compile()
    return time.thread_time() - start
