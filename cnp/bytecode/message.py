"""What cnp_walk reports, a few numbers, -> an error that names the instruction and what is accepted."""

from __future__ import annotations

from cnp.bytecode.instruction import read
from cnp.bytecode.parts import MOST_TARGETS
from cnp.errors import BytecodeError
from cnp.runtime.guest_layout import WalkError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from cnp.bytecode.instruction import Page
    from cnp.bytecode.operands import Field
    from cnp.runtime.guest_layout import Walk

_MOST_BYTES = 2**26
_COLLECTED = 32


def message(name: str, page: Page, fields: list[Field], code: bytes, walk: Walk) -> BytecodeError:
    """The error for a walk that went wrong. It reads the code again, as far as that place."""
    error = WalkError(walk.error)
    start = f"function {name!r}"
    if error is WalkError.EMPTY:
        return BytecodeError(f"{start}: there is no bytecode; accepted: at least one instruction", 0)
    if error is WalkError.TOO_LARGE:
        text = f"{len(code)} bytes make too many ops; accepted: up to {_MOST_BYTES} bytes and as many ops"
        return BytecodeError(f"{start}: {text}", 0)
    at = next((each for each in read(page, code) if each.start == walk.error_offset), None)
    place = repr(at) if at is not None else f"offset {walk.error_offset}"
    text = _about(error, page, fields, code, walk)
    return BytecodeError(f"{start}, {place}: {text}", walk.error_offset)


def _about(error: WalkError, page: Page, fields: list[Field], code: bytes, walk: Walk) -> str:
    value, row = walk.error_value, walk.error_field
    if error is WalkError.TRUNCATED:
        return f"the instruction goes on past the last of {len(code)} bytes"
    if error is WalkError.NO_SUCH_OPCODE:
        return f"there is no instruction of opcode {value:#x}"
    if error is WalkError.TOO_MANY_PREFIXES:
        return f"its prefixes have more than {_COLLECTED} bits together"
    if error is WalkError.TARGET_OUTSIDE:
        return f"jump to {value}; accepted: 0 to {len(code) - 1}"
    if error is WalkError.TARGET_INSIDE:
        inside = max(each.start for each in read(page, code) if each.start < value)
        return f"jump to {value}, the middle of the instruction at {inside}"
    if error is WalkError.FALLS_OFF:
        return "control goes on past it, the last; accepted there: one that ends in a jump, a return or a trap"
    if error is WalkError.UNDERFLOW:
        return f"it takes {row} from the operand stack; accepted: up to {value}, which it has there"
    if error is WalkError.OVERFLOW:
        return f"the operand stack grows to {value}; accepted: up to {row}"
    if error is WalkError.DEPTHS_DIFFER:
        accepted = f"accepted: {walk.error_accepted}, with which others reach it"
        return f"it goes to {value} with {row} on the operand stack; {accepted}"
    if error is WalkError.VARINT_TOO_LONG:
        most = (row + 6) // 7
        found = code[value : value + most].hex(" ")
        return f"the varint at byte {value} is {found}...; accepted: {row} bits, in up to {most} bytes"
    what = {
        WalkError.NO_SUCH_REGISTER: f"accepted: one of {walk.error_accepted} registers, from 0",
        WalkError.CONSTANT_OUT_OF_RANGE: "accepted: a number in [-2^31, 2^32)",
        WalkError.OFFSET_OUT_OF_RANGE: "accepted: an offset in (-2^31, 2^31)",
        WalkError.NO_SUCH_CALLEE: f"accepted: one of {walk.error_accepted} callees, from 0",
        WalkError.BAD_COUNT: f"accepted: a number that makes it 0 to {MOST_TARGETS} targets",
        WalkError.NO_SUCH_CELL: f"accepted: one of {walk.error_accepted} cells, from 0",
    }[error]
    return f"{fields[row]!r} is {value}; {what}"
