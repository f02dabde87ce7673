"""Says a version's blocks in cnp ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cnp
from cnp import f64, i64

from .. import bytecode as bc
from ..interpreter import DEPTH
from . import arithmetic, builtins, cells, elements
from .code import Code, Point, type_of
from .kinds import BOOL, FLOAT, Kind, Known
from .translation import SENTINEL
from .version import Block, Step, Version

_WHOLE = {
    bc.ADD: arithmetic.add, bc.SUB: arithmetic.sub, bc.MUL: arithmetic.mul, bc.MOD: arithmetic.mod,
    bc.FLOOR_DIV: arithmetic.floor_div, bc.SHL: arithmetic.shl, bc.SHR: arithmetic.shr,
}  # fmt: skip
_BITS = {bc.AND: "i64_and", bc.OR: "i64_or", bc.XOR: "i64_xor"}
_FLOATS = {bc.ADD: "f64_add", bc.SUB: "f64_sub", bc.MUL: "f64_mul"}
_COMPARISONS = {
    bc.LT: ("lt", True), bc.LE: ("le", True), bc.EQ: ("eq", True), bc.NE: ("ne", True),
    bc.JUMP_LT: ("lt", True), bc.JUMP_NOT_LT: ("lt", False), bc.JUMP_LE: ("le", True), bc.JUMP_NOT_LE: ("le", False),
    bc.JUMP_EQ: ("eq", True), bc.JUMP_NE: ("ne", True),
}  # fmt: skip
_OPPOSITE = {"lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}


def declare(version: Version) -> None:
    """Give a version its function, so that others can call it."""
    result = f64 if version.result is FLOAT else i64
    represented = [type_of(kind) for _, kind in version.context if kind.represented]
    params: list[Any] = [i64, *represented] if version.pc == 0 else [cnp.ptr]
    version.function = cnp.Function(version.prototype.name, params=params, result=result)


def lower(
    version: Version, leave: Callable[[int, tuple[Any, ...]], Any], points: list[Point], live: Sequence[list[int]]
) -> None:
    """Fill in a version's function, the callees being declared. Its ways out call `leave` and are added to `points`."""
    _Lowering(version, Code(version, leave, points, live)).run()


def _layout(version: Version) -> list[Block]:
    """Reverse postorder: a loop's blocks are together, in front of what follows the loop."""
    order: list[Block] = []
    first = next(iter(version.blocks.values()))
    seen = {first}
    stack = [(first, iter(_inward(first)))]
    while stack:
        block, after = stack[-1]
        for each in after:
            if each not in seen:
                seen.add(each)
                stack.append((each, iter(_inward(each))))
                break
        else:
            order.append(block)
            stack.pop()
    return order[::-1]


def _inward(block: Block) -> list[Block]:
    """What may be next, ways out of loops first: the first to be visited is the last in the layout."""
    back = block.after and block.after[-1].pc <= block.pc
    return block.after if back else block.after[::-1]


class _Lowering:
    def __init__(self, version: Version, code: Code) -> None:
        self.version = version
        self.code = code
        self.f = version.function
        self.labels: dict[Block, cnp.Label] = {}

    def run(self) -> None:
        blocks = _layout(self.version)
        self.labels = {each: self.f.label() for each in blocks}
        for block, following in zip(blocks, [*blocks[1:], None]):
            self.f.place(self.labels[block])
            self.next = following
            for step, kinds in zip(block.steps, block.kinds):
                self.step(block, step, kinds)
            last = block.steps[-1]
            if last.op not in bc.JUMPS and not last.leaves and block.after:
                self.go(block.after[0])

    def go(self, block: Block) -> None:
        """Go on with a block, which costs nothing if it is the next."""
        if block is not self.next:
            self.f.jump(self.labels[block])

    def step(self, block: Block, step: Step, kinds: dict[int, Kind]) -> None:
        code, f, op = self.code, self.f, step.op
        _, a, b, c = self.version.prototype.code[step.pc]
        code.at(step.pc, kinds)
        if step.leaves or (op == bc.CALL and step.callee is not None and step.callee.result is None):
            f.jump(code.out())
        elif op in bc.JUMPS:
            self.jump(block, step, a, b, c)
        elif op == bc.CALL:
            self.call(step, a, b)
        elif op == bc.RETURN:
            f.ret(0 if not step.kinds[0].represented else code.value(a, step.kinds[0]))
        elif op == bc.INDEX:
            array, index = code.register(b, step.kinds[0]), code.value(c, step.kinds[1])
            assert step.result is not None
            elements.load_element(f, code.register(a, step.result), array, index, step.result, code.out())
        elif op == bc.STORE:
            array, index = code.register(a, step.kinds[0]), code.value(b, step.kinds[1])
            elements.store_element(f, code.value(c, step.kinds[2]), step.kinds[2], array, index, code.out())
        elif op in (bc.SET_UP, bc.SET_CELL):
            cell, kind = step.kinds
            assert isinstance(cell, Known)
            cells.set_cell(f, cell.value, code.value(b, kind), kind)
        elif op == bc.STEP:
            left, (address, _) = f.reg(i64), a.buffer_info()
            f.i64_load(left, address)
            f.branch_i64_eqz(left, code.out())
            f.i64_sub(left, left, 1)
            f.i64_store(left, address)
        elif step.result is not None and step.result.represented:
            self.compute(step, code.register(a, step.result), b, c)

    def compute(self, step: Step, d: cnp.Register, b: int, c: int) -> None:
        """Of a step that writes a number."""
        code, f, op, kinds = self.code, self.f, step.op, step.kinds
        if op == bc.MOVE:
            f.move(d, code.value(b, kinds[0]))
        elif op in (bc.GET_UP, bc.GET_CELL):
            assert isinstance(kinds[0], Known) and step.result is not None
            cells.get_cell(f, d, kinds[0].value, step.result, code.out())
        elif op in _COMPARISONS:
            made = f.reg(cnp.i32)
            self.compare(op, made, b, c, kinds)
            f.i64_extend_i32_u(d, made)
        elif op in _BITS:
            getattr(f, _BITS[op])(d, code.value(b, kinds[0]), code.value(c, kinds[1]))
        elif op == bc.NOT:
            made = f.reg(cnp.i32)
            if kinds[0] is FLOAT:
                f.f64_eq(made, code.value(b, FLOAT), 0.0)
            else:
                f.i64_eqz(made, code.value(b, kinds[0]))
            f.i64_extend_i32_u(d, made)
        elif op == bc.NEG:
            if kinds[0] is FLOAT:
                f.f64_neg(d, code.value(b, FLOAT))
            else:
                arithmetic.sub(f, d, 0, code.value(b, kinds[0]), code.out())
        elif op == bc.DIV:
            self.divide(d, b, c, kinds)
        elif step.result is FLOAT:
            getattr(f, _FLOATS[op])(d, code.real(b, kinds[0]), code.real(c, kinds[1]))
        else:
            _WHOLE[op](f, d, code.value(b, kinds[0]), code.value(c, kinds[1]), code.out())

    def divide(self, d: cnp.Register, b: int, c: int, kinds: Sequence[Kind]) -> None:
        code, f = self.code, self.f
        as_float = code.real if FLOAT in kinds else code.exact  # Python rounds once, whatever is divided
        left, right = as_float(b, kinds[0]), as_float(c, kinds[1])
        if isinstance(right, cnp.Register):
            f.branch_f64_eq(right, 0.0, code.out())
        elif right == 0:
            f.jump(code.out())
        f.f64_div(d, left, right)

    def compare(self, op: int, d: cnp.Register, b: int, c: int, kinds: Sequence[Kind]) -> None:
        """The i32 outcome of a comparison."""
        name, _ = _COMPARISONS[op]
        emit, left, right = self.comparison("", name, b, c, kinds)
        emit(d, left, right)

    def comparison(self, prefix: str, name: str, b: int, c: int, kinds: Sequence[Kind]) -> tuple[Any, Any, Any]:
        """The method of a comparison, and its operands."""
        code, f = self.code, self.f
        if FLOAT in kinds:  # an int is compared as it is, not rounded
            return getattr(f, f"{prefix}f64_{name}"), code.exact(b, kinds[0]), code.exact(c, kinds[1])
        sign = "" if name in ("eq", "ne") else "_s"
        return getattr(f, f"{prefix}i64_{name}{sign}"), code.value(b, kinds[0]), code.value(c, kinds[1])

    def jump(self, block: Block, step: Step, a: int, b: int, c: int) -> None:
        code, f, op, kinds = self.code, self.f, step.op, step.kinds
        if len(block.after) == 1:
            self.go(block.after[0])
            return
        on, target = block.after
        if op == bc.FOR:
            at = code.register(a, kinds[0])
            f.i64_add(at, at, 1)  # not beyond the end, which is an i64
            f.branch_i64_ge_s(at, code.value(a + 1, kinds[1]), self.labels[on])
            f.move(code.register(a + 2, kinds[0]), at)
            self.go(target)
        elif op == bc.FOR_PREPARE:
            first = code.value(a, kinds[0])
            f.branch_i64_ge_s(first, code.value(a + 1, kinds[1]), self.labels[target])
            f.move(code.register(a + 2, kinds[0]), first)
            self.go(on)
        elif op in (bc.JUMP_IF, bc.JUMP_IF_NOT):
            if op == bc.JUMP_IF_NOT:
                on, target = target, on
            if kinds[0] is FLOAT:
                f.branch_f64_ne(code.value(b, FLOAT), 0.0, self.labels[target])
                self.go(on)
            elif target is self.next:
                f.branch_i64_eqz(code.value(b, kinds[0]), self.labels[on])
            else:
                f.branch_i64_nez(code.value(b, kinds[0]), self.labels[target])
                self.go(on)
        else:
            self.compare_jump(on, target, op, b, c, kinds)

    def compare_jump(self, on: Block, target: Block, op: int, b: int, c: int, kinds: Sequence[Kind]) -> None:
        name, straight = _COMPARISONS[op]
        if not straight:
            on, target = target, on
        if FLOAT not in kinds and target is self.next:  # of floats, neither may hold
            name, on, target = _OPPOSITE[name], target, on
        emit, left, right = self.comparison("branch_", name, b, c, kinds)
        emit(left, right, self.labels[target])
        self.go(on)

    def call(self, step: Step, a: int, b: int) -> None:
        code, f = self.code, self.f
        if step.callee is None:
            assert step.result is not None and isinstance(step.kinds[0], Known)
            d = code.register(a, step.result) if step.result.represented else None
            builtins.call(code, step.kinds[0].value, d, b + 1, step.kinds[1:])
            return
        callee = step.callee
        arguments = [code.value(b + 1 + each, kind) for each, kind in callee.context if kind.represented]
        f.branch_i64_ge_s(code.depth, DEPTH, code.out())
        depth = f.reg(i64)
        f.i64_add(depth, code.depth, 1)
        result = callee.result
        assert result is not None
        d = code.register(a, result) if result.represented else f.reg(i64)
        f.call(d, callee.compiled or callee.function, depth, *arguments)
        back = code.out(a, result)
        if result is FLOAT:
            f.branch_f64_ne(d, d, back)
        elif result is not BOOL:
            f.branch_i64_eq(d, SENTINEL, back)
        else:
            f.branch_i64_lt_s(d, 0, back)
