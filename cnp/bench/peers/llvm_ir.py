"""Descriptions -> LLVM IR, by llvmlite's builder: every register is an alloca, as in what clang -O0 makes of C.

Ops mean what they mean in cnp, checks and traps included: a trap is llvm.trap, which ends the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from cnp.bench.peers.description import Description, External, Group
from cnp.bench.peers.llvm_ops import COMPARISONS, TYPES, VALUES, Builder, Value, is_not, trap
from cnp.ir.semantics import LOADS, STORES
from cnp.types import Type


def translate(group: Group) -> Any:
    """A module in which every function of the group is called by its symbol."""
    module = ir.Module(name="group")
    functions = [ir.Function(module, _function_type(each), each.symbol) for each in group]
    for description, function in zip(group, functions):
        _Body(description, function, functions).fill()
    return module


def _function_type(function: Description | External) -> Any:
    result = ir.VoidType() if function.result is None else TYPES[function.result]
    return ir.FunctionType(result, [TYPES[each.register_type] for each in function.parameters])


class _Body:
    """One function: the table holds allocas, constants, blocks and callees."""

    def __init__(self, description: Description, function: Any, functions: Sequence[Any]) -> None:
        self._description = description
        self._function = function
        self._registers = len(description.registers)
        self._builder: Builder = ir.IRBuilder(function.append_basic_block())
        self._table: list[Any] = [self._builder.alloca(TYPES[each]) for each in description.registers]
        self._table += [ir.Constant(TYPES[each.type], each.value) for each in description.constants]
        self._table += [function.append_basic_block() for _ in range(description.labels)]
        self._table += [each if isinstance(each, External) else functions[each] for each in description.callees]
        self._table.append(None)

    def fill(self) -> None:
        builder = self._builder
        for argument, slot in zip(self._function.args, self._table):
            builder.store(argument, slot)
        for name, places, _ in self._description.ops:
            if builder.block.is_terminated and name != "place":  # what nothing reaches
                builder.position_at_end(self._function.append_basic_block())
            special = _SPECIAL.get(name)
            if special is not None:
                special(self, places)
            elif name.startswith("branch "):
                self._branch(name[7:], places)
            elif name in STORES:
                self._store(name, places)
            elif name in LOADS:
                self._set(places[0], self._load(name, places))
            else:
                self._set(places[0], VALUES[name](builder, *[self._get(each) for each in places[1:]]))
        if not builder.block.is_terminated:  # after a label that nothing jumps to
            builder.unreachable()

    def _get(self, place: int) -> Value:
        value = self._table[place]
        return self._builder.load(value) if place < self._registers else value

    def _set(self, place: int, value: Value) -> None:
        if place >= 0:
            self._builder.store(value, self._table[place])

    def _address(self, base: int, offset: int, type: Any) -> Value:
        builder = self._builder
        return builder.inttoptr(builder.add(self._get(base), self._table[offset]), type.as_pointer())

    def _load(self, name: str, places: Sequence[int]) -> Value:
        width, signed, result = LOADS[name]
        _, base, offset = places
        type = TYPES[Type[result]]
        narrow = type if result[0] == "f" else ir.IntType(8 * width)
        value = self._builder.load(self._address(base, offset, narrow), align=1)
        if narrow is type:
            return value
        return self._builder.sext(value, type) if signed else self._builder.zext(value, type)

    def _store(self, name: str, places: Sequence[int]) -> None:
        width, stored = STORES[name]
        source, base, offset = places
        value = self._get(source)
        narrow = value.type if stored[0] == "f" else ir.IntType(8 * width)
        if narrow is not value.type:
            value = self._builder.trunc(value, narrow)
        self._builder.store(value, self._address(base, offset, narrow), align=1)

    def _branch(self, comparison: str, places: Sequence[int]) -> None:
        holds = COMPARISONS[comparison](self._builder, *[self._get(each) for each in places[:-1]])
        following = self._function.append_basic_block()
        self._builder.cbranch(holds, self._table[places[-1]], following)
        self._builder.position_at_end(following)

    def place(self, places: Sequence[int]) -> None:
        block = self._table[places[0]]
        if not self._builder.block.is_terminated:
            self._builder.branch(block)
        self._builder.position_at_end(block)

    def jump(self, places: Sequence[int]) -> None:
        self._builder.branch(self._table[places[0]])

    def ret(self, places: Sequence[int]) -> None:
        if places:
            self._builder.ret(self._get(places[0]))
        else:
            self._builder.ret_void()

    def branch_table(self, places: Sequence[int]) -> None:
        switch = self._builder.switch(self._get(places[0]), self._table[places[1]])
        for number, place in enumerate(places[2:]):
            switch.add_case(number, self._table[place])

    def unreachable(self, places: Sequence[int]) -> None:
        trap(self._builder)

    def safepoint(self, places: Sequence[int]) -> None:
        pass

    def move(self, places: Sequence[int]) -> None:
        self._set(places[0], self._get(places[1]))

    def select(self, places: Sequence[int]) -> None:
        a, b, condition = [self._get(each) for each in places[1:]]
        self._set(places[0], self._builder.select(is_not(self._builder, condition, 0), a, b))

    def call(self, places: Sequence[int]) -> None:
        callee = self._table[places[1]]
        if isinstance(callee, External):
            address = ir.Constant(TYPES[Type.i64], callee.address)
            callee = self._builder.inttoptr(address, _function_type(callee).as_pointer())
        self._set(places[0], self._builder.call(callee, [self._get(each) for each in places[2:]]))


_SPECIAL: dict[str, Callable[[_Body, Sequence[int]], None]] = {
    "place": _Body.place,
    "jump": _Body.jump,
    "ret": _Body.ret,
    "branch_table": _Body.branch_table,
    "unreachable": _Body.unreachable,
    "safepoint": _Body.safepoint,
    "move": _Body.move,
    "select": _Body.select,
    "call": _Body.call,
    **{f"{each}.const": _Body.move for each in Type},
}
