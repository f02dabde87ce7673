"""Guards in templates: an interpreter of the guest goes on where compiled code leaves, and finds what it needs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from guest_machines import REGISTER_GUEST, STACK_GUEST, Guest, guarded, runs

import cnp
from cnp import BytecodeError, DataCell, UserError, VerifyError, f64, i64
from cnp.bytecode import Exit, Field, Instruction, Page, Prefix, Registers, Table, Target, Variable, peek, pop, push
from cnp.ir.text import print_function

R = Registers(i64, 3, initial=0)
SUM = Variable(i64)
LOCALS, STACK = Registers(i64, 2, initial=7), Registers(i64, 4)
LEAVE, LEAVE_ALL = Exit(R), Exit(LOCALS, STACK)
RETURN = Instruction("return", ("ret", R[0]), length=1)


def table(*ops: tuple[Any, ...], **options: Any) -> Table:
    """Opcode 1 with these ops, two bytes, and opcode 0, which returns."""
    made = {0: RETURN, 1: Instruction("guarded", *ops, length=2)}
    return Table(Page(Field(0), made), **{"parameters": [R], **options})


class Left(list[Any]):
    """A handler: what it was given, and the offset as its result."""

    def __call__(self, point: int, values: tuple[Any, ...]) -> int:
        self.append((point, values))
        return point


@pytest.mark.parametrize("guest", [REGISTER_GUEST, STACK_GUEST], ids=["registers", "stack"])
def test_an_interpreter_goes_on(guest: Guest) -> None:
    """Random programs, each of them left wherever a value becomes greater than some limit: the result is the same."""
    limit = DataCell()
    with_guards = guarded(guest, limit)
    left = set()
    for seed, code, arguments, wanted in runs(guest):
        r = random.Random(seed)

        def go_on(point: int, values: tuple[int, ...], code: bytes = code, seed: int = seed) -> int:
            left.add((seed, point))
            return guest.run(code, list(values), point)

        function = with_guards.table.function("guest", [i64, i64], i64, code, handler=go_on)
        compiled = function.compile()
        reference = function.compile(backend="reference") if seed % 8 == 0 else compiled
        for limit.value in (2**63 - 1, r.randrange(-9, 9), r.randrange(2**15), 2 ** r.randrange(63)):
            assert compiled(*arguments) == reference(*arguments) == wanted, f"seed {seed}: {code.hex()}"
    assert len(left) > 200 and len({point for _, point in left}) > 20


def test_where_it_leaves_and_with_what() -> None:
    """The state in front of the instruction, of which the first byte is that of its prefix."""
    left = Left()
    add = Instruction("add", ("i64_add", SUM, pop, pop), ("branch_i64_gt_s", SUM, 9, LEAVE_ALL), ("move", push, SUM))
    made = Table(
        Page(
            Field(0),
            {
                0: Instruction("push", ("i64_const", push, Field(1)), length=2),
                1: Prefix(Page(Field(0), {5: add}, 1)),
                2: Instruction("return", ("ret", pop)),
            },
            length=1,
        ),
        parameters=[LOCALS],
        stack=STACK,
    )
    f = made.function("f", [i64], i64, bytes([0, 1, 0, 2, 0, 4, 1, 5, 1, 5, 2]), handler=left)
    assert f.compile()(3) == f.compile(backend="reference")(3) == 7
    f = made.function("f", [i64], i64, bytes([0, 1, 0, 2, 0, 8, 1, 5, 1, 5, 2]), handler=left)
    g = f.compile()
    assert g(3) == f.compile(backend="reference")(3) == 6
    assert left == [(6, (3, 7, 1, 2, 8))] * 2
    assert [point for point, _, _ in g.exits] == [6, 8]


def test_an_entry_has_the_exits_too() -> None:
    count = Instruction("count", ("branch_i64_gt_s", R[0], 5, LEAVE), ("i64_add", R[0], R[0], 1), length=1)
    again = Instruction("again", ("jump", Target(Field(1), "zero")), length=2)
    made, left = Table(Page(Field(0), {1: count, 2: again}), parameters=[R]), Left()
    f = made.function("f", [i64], i64, bytes([1, 2, 0]), handler=left)
    entry = f.entered_at(f.label_at(0), f.params)
    with pytest.raises(VerifyError, match="offset 0"):
        entry.compile()
    (leave,) = f.exits.values()
    entry = f.entered_at(f.label_at(0), leave.values)
    assert entry.compile()(entry.pack([4, 0, 0])) == 0 and left == [(0, (6, 0, 0))]


def test_an_entry_is_at_the_start_of_its_instruction() -> None:
    """Not at a label of the instruction's own."""
    up = Instruction("up", ("i64_add", R[1], R[1], 1), ("branch_i64_ge_s", R[0], 0, "done"), ("place", "done"))
    again = Instruction("again", ("i64_sub", R[0], R[0], 1), ("branch_i64_nez", R[0], Target(Field(1), "zero")))
    made = Table(Page(Field(0), {1: up, 2: again, 3: Instruction("return", ("ret", R[1]))}, length=2), parameters=[R])
    f = made.function("f", [i64, i64], i64, bytes([1, 0, 2, 0, 1, 0, 3, 0]))
    entry = f.entered_at(f.label_at(0), f.params)
    assert entry.compile()(entry.pack([3, 0])) == f.compile()(3, 0) == 4
    with pytest.raises(UserError, match=r"no jump leads to offset 4; accepted: 0$"):
        f.label_at(4)


def test_cells_and_assumptions() -> None:
    """By name and by field; what is not read is not kept, and what is makes code depend on it."""
    named, numbered, other, left = cnp.Assumption("named"), cnp.Assumption("numbered"), cnp.Assumption("other"), Left()
    cell = DataCell(40)
    made = Table(
        Page(
            Field(0),
            {
                0: RETURN,
                1: Instruction("named", ("assume", named, LEAVE), length=1),
                2: Instruction("numbered", ("assume", Field(1), LEAVE), length=2),
                3: Instruction("get", ("load_cell", R[0], Field(1)), length=2),
                4: Instruction("other", ("assume", other, LEAVE), length=1),
            },
        ),
        parameters=[R],
    )
    f = made.function("f", [i64], i64, bytes([1, 2, 1, 3, 0, 0]), cells=[cell, numbered, other], handler=left)
    g, reference = f.compile(), f.compile(backend="reference")
    assert f._cells == [cell, numbered, named]
    assert g(1) == reference(1) == 40
    fallback = made.function("fallback", [i64], i64, b"\0").compile()
    called = cnp.Cell("called", [i64], i64, fallback)
    assert called.set(g) and called(1) == 40
    numbered.invalidate()
    assert g(1) == reference(1) == 1 and called(1) == 1 and called.target is fallback
    named.invalidate()
    assert g(2) == 0 and left == [(1, (1, 0, 0))] * 2 + [(0, (2, 0, 0))]
    with pytest.raises(BytecodeError, match=r"offset 0 \(opcode 0x3 get\): .* is 3; accepted: one of 3 cells, from 0"):
        made.function("f", [i64], i64, bytes([3, 3, 0]), cells=[cell, numbered, other])
    with pytest.raises(UserError, match=r"function 'f': 7 is no cell; accepted: cnp\.DataCells and cnp\.Assumptions"):
        made.function("f", [i64], i64, b"\0", cells=[7])  # type: ignore[list-item]


def test_an_exit_of_every_kind() -> None:
    """Floats, several exits of an instruction, one of several ops, a jump, a table, a function without result."""
    x, left = Variable(f64, initial=0.5), Left()
    some, none = Exit(x), Exit()
    made = Table(
        Page(
            Field(0),
            {
                1: Instruction("double", ("f64_add", x, x, x)),
                2: Instruction("test", ("branch_f64_gt", x, 10.0, some), ("branch_f64_gt", x, 3.0, none)),
                3: Instruction("stop", ("jump", some)),
                4: Instruction("switch", ("branch_table", 1, none, some, some)),
            },
            length=1,
        ),
        parameters=[x],
    )

    def note(point: int, values: tuple[float, ...]) -> None:
        left(point, values)

    for code, start in ((bytes([1, 2, 3]), 1.0), (bytes([1, 2, 3]), 2.0), (bytes([2, 3]), 20.0), (bytes([1, 4]), 1.0)):
        f = made.function("f", [f64], None, code, handler=note)
        assert f.compile()(start) is f.compile(backend="reference")(start) is None
    assert left[::2] == left[1::2] == [(2, (2.0,)), (1, ()), (0, (20.0,)), (1, (2.0,))]
    assert "exit @" in str(print_function(f))


def test_a_function_may_have_no_exits() -> None:
    made = table(("branch_i64_gt_s", R[0], 5, LEAVE))
    assert made.function("f", [i64], i64, b"\0").compile()(4) == 4
    for handler in (None, 7):
        with pytest.raises(UserError, match=rf"'f': .* offset 0 .* handler is {handler}; accepted: any callable"):
            made.function("f", [i64], i64, b"\1\0\0", handler=handler)  # type: ignore[arg-type]


CHANGES: list[tuple[tuple[Any, ...], ...]] = [
    (("move", R[1], 7), ("branch_i64_gt_s", R[0], 5, LEAVE)),
    (("load_cell", R[Field(1)], Field(1)), ("assume", Field(1), LEAVE)),
    (("place", "again"), ("branch_i64_eqz", R[1], LEAVE), ("move", R[1], 7), ("branch_i64_gt_s", R[0], 5, "again")),
]


@pytest.mark.parametrize("ops", CHANGES)
def test_what_an_exit_passes_on_is_changed_behind_it(ops: tuple[Any, ...]) -> None:
    with pytest.raises(UserError, match=r"op \d \(\w+\) changes <3 registers .* the exit of op \d passes on as it was"):
        table(*ops)


def test_the_stack_is_changed_behind_it() -> None:
    ops = [("i64_add", push, pop, pop), ("branch_i64_gt_s", peek(0), 5, LEAVE_ALL)]
    with pytest.raises(UserError, match=r"op 0 \(i64_add\) changes <4 registers"):
        table(*ops, parameters=[LOCALS], stack=STACK)
    table(("i64_const", push, 7), ("branch_i64_gt_s", pop, 5, LEAVE_ALL), parameters=[LOCALS], stack=STACK)


MISTAKES: dict[str, tuple[tuple[Any, ...], str]] = {
    "label": (("jump", R), "found <3 registers .*; accepted: a Target, an Exit, or a str"),
    "cell": (("load_cell", R[0], 7), r"found 7; accepted: a cnp\.DataCell, or a Field"),
    "no assumption": (("assume", DataCell(), LEAVE), r"accepted: a cnp\.Assumption, or a Field"),
    "few": (("assume", LEAVE), r"1 operands; accepted: 2 \(assumption, otherwise\)"),
    "no label": (("assume", Field(1), 7), "found 7; accepted: a Target, an Exit, or a str"),
    "destination": (("load_cell", 7, DataCell()), "found 7; accepted: a register"),
    "type": (("load_cell", Variable(f64), DataCell()), "accepted: one of type i64"),
    "placed": (("place", LEAVE), "accepted: a str for a label"),
}


@pytest.mark.parametrize(("op", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(op: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=rf"^instruction 'guarded' \(opcode 0x1\), op 0 \(\w+\): .*{message}"):
        table(op)


def test_what_an_exit_cannot_pass_on() -> None:
    with pytest.raises(UserError, match="exit: it cannot pass on 7; accepted: Variables and files of Registers"):
        Exit(R, 7)  # type: ignore[arg-type]


def test_the_registers_of_a_file() -> None:
    f = table(("move", R[0], SUM)).function("f", [i64], i64, b"\0", sizes={R: 2})
    assert [each.code - f.params[0].code for each in f.registers(R)] == [0, 1]
    assert [each.code - f.params[0].code for each in f.registers(SUM)] == [2]
    with pytest.raises(UserError, match="function 'f': its table does not have <2 registers 'register'"):
        f.registers(LOCALS)
