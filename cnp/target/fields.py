"""Reads numbers out of instructions, and says that one is not known: what the decoders of several targets share."""

from __future__ import annotations


def bits(word: int, low: int, count: int) -> int:
    """`count` bits of a word from bit `low` up, as an unsigned number."""
    return word >> low & ((1 << count) - 1)


def signed(value: int, count: int) -> int:
    """The lowest `count` bits of a value as a two's complement number."""
    sign = 1 << (count - 1)
    return (value & (2 * sign - 1) ^ sign) - sign


def word_at(code: bytes, offset: int, size: int = 4) -> int:
    """The little-endian word at an offset. ValueError if the code ends within it."""
    if offset + size > len(code):
        raise ValueError(f"the instruction at offset {offset} is cut off")
    return int.from_bytes(code[offset : offset + size], "little")


def unknown(code: bytes, offset: int, size: int = 4) -> ValueError:
    """The error that a decoder raises at an instruction that it does not know."""
    return ValueError(f"unknown instruction {code[offset : offset + size].hex(' ')} at offset {offset}")
