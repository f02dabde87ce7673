"""Finds the field of an immediate by comparing the code of one placement compiled for several literals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cnp.build.elf import Function, Reference
from cnp.build.functions import Immediate
from cnp.build.immediates import LITERAL
from cnp.target.immediate import encoded
from cnp.target.patch import PatchKind
from cnp.target.record import Target

_WORD = 4
_MOST_ENCODED = (1 << 13) - 1  # of what logical_immediate gives


def merge_samples(samples: Sequence[Function], immediates: Sequence[Immediate], target: Target) -> Function | None:
    """One function with a reference where the literals are, or None if the samples differ in any other way.

    `samples[n]` was compiled with the nth literal of every immediate. A literal that appears nowhere may be ignored by
    the op, or have something in common with the others, as that it is odd: where there is another way than to sample,
    that is for the other way to tell. A field must hold the literal itself. clang also compares with a literal plus or
    minus one (x <= C as x < C + 1), which is wrong where that wraps (an unsigned x <= -1) and leaves the class where
    it does not: such code is not a stencil for every value, unless the class keeps clear of the field's ends.
    """
    first = samples[0]
    for other in samples[1:]:
        if len(other.code) != len(first.code) or other.references != first.references:
            return None
    references = list(first.references)
    codes = [bytearray(sample.code) for sample in samples]
    for immediate in immediates:
        fields = list(_fields(codes, immediate, target))
        if len(fields) != 1 and target.sample_kinds:
            return None
        for end, kind, delta in fields:
            references.append(Reference(end - kind.width, LITERAL, immediate.hole, delta, kind))
            for code in codes:
                _clear(code, end, kind)
    if any(code != codes[0] for code in codes):
        return None
    references.sort(key=lambda row: row.offset)
    return Function(first.name, bytes(codes[0]), tuple(references))


def read_sample(sample: Function, like: Function, immediates: Sequence[Immediate], target: Target) -> Function | None:
    """One function from its first sample alone, with references where the fields of another placement's are, counted
    from the end; None if it takes a second sample to tell where they are.
    """
    by_hole = {each.hole: each for each in immediates}
    references, code = list(sample.references), bytearray(sample.code)
    for field in like.references:
        if field.type != LITERAL or field.kind is None or not isinstance(field.symbol, str):
            continue
        end = field.offset + field.kind.width + len(code) - len(like.code)
        ends = [end] if target.sample_kinds is None else range(field.kind.width, len(code) + 1)
        immediate = by_hole[field.symbol]
        if [each for each in ends if _matches([code], immediate, each, field.kind, field.addend)] != [end]:
            return None
        references.append(replace(field, offset=end - field.kind.width))
        _clear(code, end, field.kind)
    references.sort(key=lambda row: row.offset)
    return Function(sample.name, bytes(code), tuple(references))


def _fields(codes: Sequence[bytearray], immediate: Immediate, target: Target) -> Iterator[tuple[int, PatchKind, int]]:
    """Where an immediate's field ends, its kind, and what clang has added to the literal."""
    if target.sample_kinds:
        name = target.sample_kinds[immediate.name]
        (kind,) = (each for each in target.kinds if each.name == name)
        for end in range(kind.width, len(codes[0]) + 1):
            if _matches(codes, immediate, end, kind, 0):
                yield end, kind, 0
        return
    for instruction in target.decode(bytes(codes[0])):
        end = instruction.offset + instruction.size
        words = [_word(code, end, instruction.size) for code in codes]
        changed = 0
        for word in words:
            changed |= word ^ words[0]
        if not changed:
            continue
        for delta in (0, -1, 1) if immediate.may_shift else (0,):
            kinds = [
                each
                for each in target.kinds
                if each.width == instruction.size and not each.pc_relative and not changed & ~each.mask
                and _matches(codes, immediate, end, each, delta)
            ]  # fmt: skip
            if kinds:
                # The samples alone do not tell a rotation in 32 bits from one in 64: the class does.
                whole = [each for each in kinds if _holds(each, immediate, delta, target)]
                yield end, min(whole or kinds, key=lambda each: each.mask.bit_count()), delta
                break


def _matches(codes: Sequence[bytearray], immediate: Immediate, end: int, kind: PatchKind, delta: int) -> bool:
    if end < kind.width:
        return False
    try:
        return all(
            _word(code, end, kind.width) & kind.mask == kind.encode(_given(immediate, literal) + delta)
            for code, literal in zip(codes, immediate.literals)
        )
    except (OverflowError, ValueError):
        return False


def _holds(kind: PatchKind, immediate: Immediate, delta: int, target: Target) -> bool:
    """Whether a kind takes every value of the class."""
    if immediate.pattern:
        return kind.low <= 0 and kind.high >= _MOST_ENCODED
    (each,) = (each for each in target.classes if each.name == immediate.name)
    return kind.low <= each.low + delta and each.high + delta <= kind.high


def _given(immediate: Immediate, literal: int) -> int:
    """What a hole of the immediate's class is patched with."""
    if not immediate.pattern:
        return literal
    given = encoded(literal, immediate.pattern)
    assert given is not None
    return given


def _word(code: bytes | bytearray, end: int, size: int) -> int:
    return int.from_bytes(bytes(code[end - min(size, _WORD) : end]).rjust(_WORD, b"\0"), "little")


def _clear(code: bytearray, end: int, kind: PatchKind) -> None:
    word = _word(code, end, kind.width) & ~kind.mask
    code[end - kind.width : end] = word.to_bytes(_WORD, "little")[_WORD - kind.width :]
