"""Fills in a field of code: what the core does when it emits, for who links what it has emitted."""

from __future__ import annotations

from cnp.errors import InternalError

TYPE_CHECKING = False  # the `typing` module is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence

_NEGATE, _INVERT = 1, 2  # cnp.target.patch, which `dataclasses` makes slow to import
_WORD = 4
_HEAD = 6


def patch(data: bytearray, offset: int, kind: Sequence[int], value: int) -> None:
    """Put a value into the field at an offset. `kind` is a row of Library.kinds.

    OverflowError if the field does not take it.
    """
    _, width, bias, scale, low, high = kind[:_HEAD]
    if not low <= value <= high or value % scale:
        raise OverflowError(
            f"{value} does not fit the field at {offset}: multiples of {scale} from {low} to {high} are accepted"
        )
    end = offset + width
    if not width <= end <= len(data):
        raise InternalError(f"a field at {offset} of {len(data)} bytes")
    word = int.from_bytes(data[end - width : end].rjust(_WORD, b"\0"), "little")
    value += bias
    for at in range(_HEAD, len(kind), _WORD):
        start, bits, to, flags = kind[at : at + _WORD]
        part = -value if flags & _NEGATE else value
        part = ~part if flags & _INVERT else part
        mask = (1 << bits) - 1
        word = word & ~(mask << to) | (part >> start & mask) << to
    data[end - width : end] = word.to_bytes(_WORD, "little")[_WORD - width :]
