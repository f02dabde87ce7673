"""Turns a function of an object file into a stencil's code and holes: the last jump dropped, the others resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnp.build.elf import Constant, Function, Reference
from cnp.build.immediates import tighten
from cnp.build.jumps import END, Piece, simplify
from cnp.errors import BuildError, TrapKind
from cnp.stencil.model import HoleFlag, Value
from cnp.target.record import Instruction, JumpEncoding, PatchKind, Target

_LITERAL_KINDS = {-1: PatchKind(1, signed=True), -4: PatchKind(4, signed=True)}


@dataclass(frozen=True, slots=True)
class CodeHole:
    """A hole whose place in the library is not known yet."""

    offset: int
    value: Value
    width: int
    flags: HoleFlag
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
    pieces = _pieces(function, instructions)
    _check_balance(function, instructions, pieces)
    _check_end(function, instructions, rules)
    pieces = simplify(tighten(pieces, target, rules.narrow), target)
    code = _assemble(pieces, target, function, rules, shorten_last=False)
    if target.short_jump is None or not pieces or not (pieces[-1].jump and pieces[-1].symbol == "TARGET"):
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


def _pieces(function: Function, instructions: Sequence[Instruction]) -> list[Piece]:
    known = {each.offset for each in instructions}
    pieces, remaining = [], list(function.references)
    for each in instructions:
        data = function.code[each.offset : each.offset + each.size]
        references = []
        while remaining and remaining[0].offset < each.offset + each.size:
            row = remaining.pop(0)
            references.append(Reference(row.offset - each.offset, row.type, row.symbol, row.addend))
        if not each.jump:
            final = each.returns or each.indirect_jump
            pieces.append(Piece(each.offset, data, tuple(references), final=final))
        elif references:
            pieces.append(_outside_jump(function, each, references))
        else:
            destination = each.offset + each.size + (each.displacement or 0)
            if destination not in known:
                raise BuildError(f"{function.name}: the jump at offset {each.offset} goes to {destination}, outside")
            pieces.append(Piece(each.offset, jump=True, condition=each.condition, to=destination))
    return pieces


def _outside_jump(function: Function, instruction: Instruction, references: Sequence[Reference]) -> Piece:
    row = references[0]
    place = f"{function.name}: the jump at offset {instruction.offset}"
    if not isinstance(row.symbol, str):
        raise BuildError(f"{place} goes to a constant")
    width = instruction.size - instruction.field
    if len(references) != 1 or row.offset != instruction.field or row.addend != -width or width != 4:
        raise BuildError(f"{place} to {row.symbol} does not have one 32-bit field that arrives there")
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


def _encoding(piece: Piece, target: Target, last: bool, shorten_last: bool) -> JumpEncoding:
    short = target.short_jump is not None and ((last and shorten_last) or piece.symbol is None)
    return target.short_jump if short and target.short_jump else target.long_jump


def _assemble(pieces: Sequence[Piece], target: Target, function: Function, rules: Rules, shorten_last: bool) -> Code:
    encodings = [
        _encoding(each, target, index == len(pieces) - 1, shorten_last) if each.jump else None
        for index, each in enumerate(pieces)
    ]
    starts, at = {}, 0
    for each, encoding in zip(pieces, encodings):
        starts[each.label] = at
        at += len(each.data) if encoding is None else len(encoding.opcodes[each.condition]) + encoding.kind.width
    starts[END] = at
    data, holes = bytearray(), []
    for each, encoding in zip(pieces, encodings):
        if encoding is None:
            for row in each.references:
                holes += _holes(row, len(data), target, function, rules)
            data += _cleared(each, target)
            continue
        data += encoding.opcodes[each.condition]
        if each.symbol is None:
            data += _field(starts[each.to] - len(data) + encoding.addend, encoding.kind, function)
        else:
            row = Reference(0, 0, each.symbol, encoding.addend)
            holes.append(_hole(row, len(data), encoding.kind, function, rules))
            data += bytes(encoding.kind.width)
    return Code(bytes(data), tuple(holes))


def _field(value: int, kind: PatchKind, function: Function) -> bytes:
    try:
        return value.to_bytes(kind.width, "little", signed=True)
    except OverflowError:
        raise BuildError(f"{function.name}: a jump within the stencil is too far for its short form") from None


def _cleared(piece: Piece, target: Target) -> bytes:
    """A piece's bytes with zeros where holes are, so that equal stencils are equal bytes."""
    data = bytearray(piece.data)
    for row in piece.references:
        for offset, kind in _fields(row, target):
            data[row.offset + offset : row.offset + offset + kind.width] = bytes(kind.width)
    return bytes(data)


def _fields(row: Reference, target: Target) -> Sequence[tuple[int, PatchKind]]:
    if row.type in _LITERAL_KINDS:
        return ((0, _LITERAL_KINDS[row.type]),)
    kind = target.relocations.get(row.type)
    return kind.fields if kind else ()


def _holes(row: Reference, base: int, target: Target, function: Function, rules: Rules) -> list[CodeHole]:
    fields = _fields(row, target)
    symbol = row.symbol if isinstance(row.symbol, str) else "a constant"
    place = f"{function.name}: offset {base + row.offset}"
    if not fields:
        known = ", ".join(kind.name for kind in target.relocations.values())
        raise BuildError(f"{place}: relocation type {row.type} against {symbol} is unknown: accepted are {known}")
    first = fields[0][1]
    if len(fields) == 1 and not first.signed and not first.pc_relative and not rules.low_half_only:
        name = target.relocations[row.type].name
        raise BuildError(f"{place}: {name} against {symbol} is not sign-extended, but the value may be negative")
    if isinstance(row.symbol, Constant) and not first.pc_relative:
        raise BuildError(f"{place}: refers to a constant by absolute address, which is not known when code is emitted")
    return [_hole(row, base + row.offset + offset, kind, function, rules) for offset, kind in fields]


def _hole(row: Reference, offset: int, kind: PatchKind, function: Function, rules: Rules) -> CodeHole:
    flags = (HoleFlag.PC_RELATIVE if kind.pc_relative else HoleFlag(0)) | (
        HoleFlag.HIGH_HALF if kind.high_half else HoleFlag(0)
    )
    value, extra = _value(row.symbol, offset, function, rules)
    if kind.pc_relative != (value in (Value.TARGET, Value.EXIT, Value.LIBRARY, Value.CALLEE)):
        raise BuildError(f"{function.name}: offset {offset}: {row.symbol} is referred to in a way it cannot be")
    return CodeHole(offset, value, kind.width, flags, row.addend, extra)


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
