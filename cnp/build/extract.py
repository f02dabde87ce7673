"""Turns a function of an object file into a stencil's code and holes: the last jump dropped, the others resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cnp.build.elf import Constant, Function, Reference
from cnp.build.immediates import tighten
from cnp.build.jumps import END, Piece, simplify
from cnp.errors import BuildError, TrapKind
from cnp.stencil.words import Value
from cnp.target.patch import PatchKind
from cnp.target.record import Instruction, JumpForm, Target

_ADDRESSES = (Value.TARGET, Value.EXIT, Value.LIBRARY, Value.CALLEE, Value.TABLE)


@dataclass(frozen=True, slots=True)
class CodeHole:
    """A hole whose place in the library is not known yet."""

    offset: int
    value: Value
    kind: PatchKind
    addend: int
    extra: int | Constant | str  # str: a routine of the core


@dataclass(frozen=True, slots=True)
class Code:
    """A stencil before it is cut into chunks; `short` is the same with a short final jump."""

    data: bytes
    holes: tuple[CodeHole, ...]
    short: Code | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a function may do beside ending in a jump to a hole."""

    hand_written: bool = False  # may call and return, and if it does may use the stack
    indirect_jump: bool = False
    frame: bool = False  # may use the stack, if it is as it was wherever the code leaves
    low_half_only: bool = False  # 32-bit fields need not be signed: only their bits are read
    narrow: frozenset[str] = frozenset()  # holes whose values fit 8 bits
    routines: frozenset[str] = frozenset()  # exported by the core


def extract(function: Function, target: Target, rules: Rules) -> Code:
    """The stencil of a function. BuildError, naming the function and the offset, at anything not foreseen."""
    try:
        instructions = target.decode(function.code)
    except ValueError as error:
        raise BuildError(f"{function.name}: {error}") from None
    _check(function, instructions, rules)
    pieces = _pieces(function, instructions, target)
    _check_balance(function, instructions, pieces)
    _check_end(function, instructions, rules)
    pieces = simplify(tighten(pieces, target, rules.narrow), target)
    code = _assemble(pieces, target, function, rules, shorten_last=False)
    if not pieces or not (pieces[-1].jump and pieces[-1].symbol == "TARGET"):
        return code
    if len(target.jumps(pieces[-1].condition)) < 2:
        return code
    short = _assemble(pieces, target, function, rules, shorten_last=True)
    return Code(code.data, code.holes, short)


def _check(function: Function, instructions: Sequence[Instruction], rules: Rules) -> None:
    """Refuse frames, calls, returns and indirect jumps where the rules do not allow them."""
    calls = any(each.calls or each.returns for each in instructions)
    frame = rules.frame or (rules.hand_written and calls)
    for each in instructions:
        what = None
        if (each.frame is None and not rules.hand_written) or (each.frame and not frame):
            what = "a stack frame"
        elif each.calls and not rules.hand_written:
            what = "a call"
        elif each.returns and not rules.hand_written:
            what = "a return"
        elif each.indirect_jump and not rules.indirect_jump:
            what = "an indirect jump"
        if what:
            shown = function.code[each.offset : each.offset + each.size].hex(" ")
            raise BuildError(f"{function.name}: {what} at offset {each.offset} ({shown}), where none is accepted")


def _check_balance(function: Function, instructions: Sequence[Instruction], pieces: Sequence[Piece]) -> None:
    """Prove that the stack is as it was wherever the code leaves, and the same on every way to an instruction."""
    number = {each.offset: index for index, each in enumerate(instructions)}
    depths: dict[int, int] = {}
    ways = [(0, 0)]
    while ways:
        index, depth = ways.pop()
        if index in depths:
            if depths[index] != depth:
                at = instructions[index].offset
                raise BuildError(f"{function.name}: the stack differs on two ways to offset {at}")
            continue
        depths[index] = depth
        each, piece = instructions[index], pieces[index]
        # Hand-written code that aligns the stack pointer has kept it in a register, and takes it from there.
        depth = 0 if each.frame is None else depth + each.frame
        if depth and (piece.leaves or each.returns or each.indirect_jump):
            raise BuildError(f"{function.name}: {depth} bytes are on the stack at the jump at offset {each.offset}")
        if piece.jump and not piece.leaves:
            ways.append((number[piece.to], depth))
        if not piece.ends and index + 1 < len(instructions):
            ways.append((index + 1, depth))


def _pieces(function: Function, instructions: Sequence[Instruction], target: Target) -> list[Piece]:
    known = {each.offset for each in instructions}
    pieces, remaining = [], list(function.references)
    for each in instructions:
        data = function.code[each.offset : each.offset + each.size]
        references = []
        while remaining and remaining[0].offset < each.offset + each.size:
            row = remaining.pop(0)
            references.append(replace(row, offset=row.offset - each.offset))
        if not each.jump:
            final = each.returns or each.indirect_jump
            pieces.append(Piece(each.offset, data, tuple(references), final=final))
        elif references:
            pieces.append(_outside_jump(function, each, references, target))
        else:
            destination = each.offset + each.size + (each.displacement or 0)
            if destination not in known:
                raise BuildError(f"{function.name}: the jump at offset {each.offset} goes to {destination}, outside")
            pieces.append(Piece(each.offset, jump=True, condition=each.condition, to=destination))
    return pieces


def _outside_jump(
    function: Function, instruction: Instruction, references: Sequence[Reference], target: Target
) -> Piece:
    row = references[0]
    place = f"{function.name}: the jump at offset {instruction.offset}"
    if not isinstance(row.symbol, str):
        raise BuildError(f"{place} goes to a constant")
    if len(references) != 1 or row.offset != instruction.field or row.addend != target.jump_addend:
        raise BuildError(f"{place} to {row.symbol} does not have one field that arrives there")
    if row.symbol == "NEXT":
        return Piece(instruction.offset, jump=True, condition=instruction.condition, to=END)
    return Piece(instruction.offset, jump=True, condition=instruction.condition, symbol=row.symbol)


def _check_end(function: Function, instructions: Sequence[Instruction], rules: Rules) -> None:
    """Prove that the code does not run off its end."""
    final = instructions[-1]
    if final.jump and final.condition is None:
        return
    if (rules.indirect_jump and final.indirect_jump) or (rules.hand_written and (final.returns or final.calls)):
        return
    shown = function.code[final.offset :].hex(" ")
    raise BuildError(f"{function.name}: ends in {shown} at offset {final.offset}, not in a jump to NEXT or TARGET")


def _form(piece: Piece, target: Target, last: bool, shorten_last: bool) -> JumpForm:
    forms = target.jumps(piece.condition)
    return forms[-1] if (last and shorten_last) or piece.symbol is None else forms[0]


def _assemble(pieces: Sequence[Piece], target: Target, function: Function, rules: Rules, shorten_last: bool) -> Code:
    forms = [
        _form(each, target, index == len(pieces) - 1, shorten_last) if each.jump else None
        for index, each in enumerate(pieces)
    ]
    starts, at = {}, 0
    for each, form in zip(pieces, forms):
        starts[each.label] = at
        at += len(each.data) if form is None else len(form.code)
    starts[END] = at
    data, holes = bytearray(), []
    for each, form in zip(pieces, forms):
        if form is None:
            for row in each.references:
                holes += _holes(row, len(data), target, function, rules)
            data += _cleared(each, target)
            continue
        field = len(data) + len(form.code) - form.kind.width
        data += form.code
        if each.symbol is None:
            _patch(data, starts[each.to] - field + form.addend, form.kind, function)
        else:
            row = Reference(0, 0, each.symbol, form.addend)
            holes.append(_hole(row, field, form.kind, function, rules))
    return Code(bytes(data), tuple(holes))


def _patch(data: bytearray, value: int, kind: PatchKind, function: Function) -> None:
    """Fill in the field at the end of some code."""
    try:
        field = kind.encode(value)
    except (OverflowError, ValueError):
        raise BuildError(f"{function.name}: a jump within the stencil is too far for its short form") from None
    size = kind.width
    word = int.from_bytes(data[-size:].rjust(4, b"\0"), "little") | field
    data[-size:] = word.to_bytes(4, "little")[4 - size :]


def _cleared(piece: Piece, target: Target) -> bytes:
    """A piece's bytes with zeros where holes are, so that equal stencils are equal bytes."""
    data = bytearray(piece.data)
    for row in piece.references:
        for offset, kind in _fields(row, target):
            end = row.offset + offset + kind.width
            word = int.from_bytes(data[end - kind.width : end].rjust(4, b"\0"), "little") & ~kind.mask
            data[end - kind.width : end] = word.to_bytes(4, "little")[4 - kind.width :]
    return bytes(data)


def _fields(row: Reference, target: Target) -> Sequence[tuple[int, PatchKind]]:
    if row.kind is not None:
        return ((0, row.kind),)
    relocation = target.relocations.get(row.type)
    return relocation.fields if relocation else ()


def _holes(row: Reference, base: int, target: Target, function: Function, rules: Rules) -> list[CodeHole]:
    fields = _fields(row, target)
    symbol = row.symbol if isinstance(row.symbol, str) else "a constant"
    place = f"{function.name}: offset {base + row.offset}"
    if not fields:
        known = ", ".join(kind.name for kind in target.relocations.values())
        raise BuildError(f"{place}: relocation type {row.type} against {symbol} is unknown: accepted are {known}")
    relocation = target.relocations.get(row.type) if row.kind is None else None
    if relocation is not None and relocation.low_half and not rules.low_half_only:
        name = relocation.name
        raise BuildError(f"{place}: {name} against {symbol} is not sign-extended, but the value may be negative")
    if isinstance(row.symbol, Constant) and not fields[0][1].pc_relative:
        raise BuildError(f"{place}: refers to a constant by absolute address, which is not known when code is emitted")
    # A distance counts from where the relocation is, whichever of its fields it is for.
    return [
        _hole(
            replace(row, addend=row.addend + offset) if kind.pc_relative else row,
            base + row.offset + offset, kind, function, rules, target,
        )
        for offset, kind in fields
    ]  # fmt: skip


def _hole(
    row: Reference, offset: int, kind: PatchKind, function: Function, rules: Rules, target: Target | None = None
) -> CodeHole:
    value, extra = _value(row.symbol, offset, function, rules)
    if value == Value.LIBRARY and isinstance(extra, Constant) and target is not None and target.limits["pools"]:
        value = Value.CONSTANT
    is_address = value in _ADDRESSES
    # A value that is no address, referred to by one, goes to a place in the function's pool that has one.
    if is_address and not kind.pc_relative:
        raise BuildError(f"{function.name}: offset {offset}: {row.symbol} is referred to in a way it cannot be")
    if kind.pc_relative and not is_address and (target is None or not target.limits["pools"]):
        raise BuildError(f"{function.name}: offset {offset}: {row.symbol} is referred to in a way it cannot be")
    return CodeHole(offset, value, kind, row.addend, extra)


def _value(symbol: str | Constant, offset: int, function: Function, rules: Rules) -> tuple[Value, int | Constant | str]:
    if isinstance(symbol, Constant):
        return Value.LIBRARY, symbol
    if symbol in Value.__members__ and symbol not in ("EXIT", "LIBRARY"):
        return Value[symbol], 0
    kind = symbol.removeprefix("EXIT_")
    if kind != symbol and kind in TrapKind.__members__:
        return Value.EXIT, int(TrapKind[kind])
    if symbol in rules.routines:
        return Value.LIBRARY, symbol
    raise BuildError(f"{function.name}: offset {offset} refers to the unexpected symbol {symbol}")
