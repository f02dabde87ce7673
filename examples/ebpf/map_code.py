"""Turns a map into cnp functions that do what lookup, update and delete of maps.py do, in the same memory."""

from __future__ import annotations

import errno
from functools import cached_property

import cnp
from cnp import Register, i64

from .maps import ARRAY, BUCKETS, COUNT, EXIST, FREE, KEY, MULTIPLIER, NOEXIST, Map, pieces

_UNROLLED = 64  # bytes of a value up to which it is copied without a loop


def load(f: cnp.Function, size: int, target: Register, base: Register | int, offset: int = 0) -> None:
    """An unsigned load of 1, 2, 4 or 8 bytes into an i64."""
    name = {1: "i64_load8_u", 2: "i64_load16_u", 4: "i64_load32_u", 8: "i64_load"}[size]
    getattr(f, name)(target, base, offset)


def store(f: cnp.Function, size: int, value: Register | int, base: Register | int, offset: int = 0) -> None:
    """A store of the low 1, 2, 4 or 8 bytes of an i64."""
    name = {1: "i64_store8", 2: "i64_store16", 4: "i64_store32", 8: "i64_store"}[size]
    getattr(f, name)(value, base, offset)


def lookup_in_array(f: cnp.Function, each: Map, result: Register, key: Register) -> None:
    """Emit the lookup of an array inline: the address of a value, or 0."""
    number = f.reg(i64)
    missing = f.label()
    f.i64_load32_u(number, key)
    f.i64_const(result, 0)
    f.branch_i64_ge_u(number, each.spec.max_entries, missing)
    f.i64_mul(number, number, each.stride)
    f.i64_add(result, number, each.values.address)
    f.place(missing)


class MapCode:
    """The functions of one map, each made when it is asked for. Parameters are addresses, and flags."""

    def __init__(self, each: Map) -> None:
        self.map = each

    @cached_property
    def lookup(self) -> cnp.Function:
        """`(key) -> address`, 0 if there is none."""
        f, (key,) = self._function("lookup", 1)
        result = f.reg(i64)
        self.emit_lookup(f, result, key)
        f.ret(result)
        return f

    def emit_lookup(self, f: cnp.Function, result: Register, key: Register) -> None:
        """Emit a lookup into any function: result = the address of the value of the key at an address, or 0."""
        if self.map.spec.kind == ARRAY:
            lookup_in_array(f, self.map, result, key)
            return
        _, number, _ = self._find(f, key)
        missing = f.label()
        f.i64_const(result, 0)
        f.branch_i64_eqz(number, missing)
        f.move(result, self._value(f, number))
        f.place(missing)

    @cached_property
    def update(self) -> cnp.Function:
        """`(key, value, flags) -> 0 or -errno`."""
        f, (key, value, flags) = self._function("update", 3)
        bad_flags, exists, absent, full = f.label(), f.label(), f.label(), f.label()
        copy, insert = f.label(), f.label()
        f.branch_i64_gt_u(flags, EXIST, bad_flags)
        if self.map.spec.kind == ARRAY:
            target = f.reg(i64)
            lookup_in_array(f, self.map, target, key)
            f.branch_i64_eqz(target, full)
            f.branch_i64_eq(flags, NOEXIST, exists)
        else:
            link, number, words = self._find(f, key)
            f.branch_i64_eqz(number, insert)
            f.branch_i64_eq(flags, NOEXIST, exists)
            f.jump(copy)
            f.place(insert)
            f.branch_i64_eq(flags, EXIST, absent)
            self._insert(f, link, number, words, full)
            f.place(copy)
            target = self._value(f, number)
        self._copy(f, target, value)
        f.ret(0)
        for label, number_of_error in (
            (bad_flags, errno.EINVAL), (exists, errno.EEXIST), (absent, errno.ENOENT), (full, errno.E2BIG),
        ):  # fmt: skip
            f.place(label)
            f.ret(-number_of_error)
        return f

    @cached_property
    def delete(self) -> cnp.Function:
        """`(key) -> 0 or -errno`."""
        f, (key,) = self._function("delete", 1)
        if self.map.spec.kind == ARRAY:
            f.ret(-errno.EINVAL)
            return f
        link, number, _ = self._find(f, key)
        absent = f.label()
        f.branch_i64_eqz(number, absent)
        entry, word = self._entry(f, number), f.reg(i64)
        index = self.map.index.address
        f.i64_load(word, entry)
        f.i64_store(word, link)
        f.i64_load(word, index + FREE)
        f.i64_store(word, entry)
        f.i64_store(number, index + FREE)
        self._count(f, -1)
        f.ret(0)
        f.place(absent)
        f.ret(-errno.ENOENT)
        return f

    def _function(self, name: str, parameters: int) -> tuple[cnp.Function, tuple[Register, ...]]:
        f = cnp.Function(f"{name}_{self.map.spec.name}", params=[i64] * parameters, result=i64)
        return f, f.params

    def _find(self, f: cnp.Function, key: Register) -> tuple[Register, Register, list[Register]]:
        """Emit the search for a key: the address of the link, the entry's number it holds, and the key's words."""
        words = self._words(f, key)
        link, number, mixed, other = f.reg(i64), f.reg(i64), f.reg(i64), f.reg(i64)
        again, found = f.label(), f.label()
        f.i64_const(mixed, 0)
        for word in words:
            f.i64_xor(mixed, mixed, word)
            f.i64_mul(mixed, mixed, MULTIPLIER)
            f.i64_shr_u(other, mixed, 32)
            f.i64_xor(mixed, mixed, other)
        f.i64_and(mixed, mixed, self.map.buckets - 1)
        f.i64_shl(mixed, mixed, 3)
        f.i64_add(link, mixed, self.map.index.address + BUCKETS)
        f.place(again)
        f.i64_load(number, link)
        f.branch_i64_eqz(number, found)
        entry = self._entry(f, number)
        differs = f.label()
        for position, word in enumerate(words):
            f.i64_load(other, entry, KEY + 8 * position)
            f.branch_i64_ne(other, word, differs)
        f.jump(found)
        f.place(differs)
        f.move(link, entry)
        f.jump(again)
        f.place(found)
        return link, number, words

    def _words(self, f: cnp.Function, key: Register) -> list[Register]:
        """Emit the loads of a key, zeros after its end."""
        words = [f.reg(i64) for _ in range(self.map.key_words)]
        part = f.reg(i64)
        for start, size in pieces(self.map.spec.key_size):
            word, shift = words[start // 8], start % 8 * 8
            if not shift:
                load(f, size, word, key, start)
                continue
            load(f, size, part, key, start)
            f.i64_shl(part, part, shift)
            f.i64_or(word, word, part)
        return words

    def _insert(
        self, f: cnp.Function, link: Register, number: Register, words: list[Register], full: cnp.Label
    ) -> None:
        """Emit what takes a free entry for a key; `number` becomes its."""
        index = self.map.index.address
        word = f.reg(i64)
        f.i64_load(number, index + FREE)
        f.branch_i64_eqz(number, full)
        entry = self._entry(f, number)
        f.i64_load(word, entry)
        f.i64_store(word, index + FREE)
        f.i64_store(0, entry)
        for position, each in enumerate(words):
            f.i64_store(each, entry, KEY + 8 * position)
        f.i64_store(number, link)
        self._count(f, 1)

    def _count(self, f: cnp.Function, more: int) -> None:
        count = f.reg(i64)
        f.i64_load(count, self.map.index.address + COUNT)
        f.i64_add(count, count, more)
        f.i64_store(count, self.map.index.address + COUNT)

    def _entry(self, f: cnp.Function, number: Register) -> Register:
        entry = f.reg(i64)
        f.i64_mul(entry, number, self.map.entry_size)
        f.i64_add(entry, entry, self.map.index.address + self.map.entries - self.map.entry_size)
        return entry

    def _value(self, f: cnp.Function, number: Register) -> Register:
        value = f.reg(i64)
        f.i64_mul(value, number, self.map.stride)
        f.i64_add(value, value, self.map.values.address - self.map.stride)
        return value

    def _copy(self, f: cnp.Function, target: Register, source: Register) -> None:
        """Emit a copy of a value, in pieces from its start."""
        part, to, at, end = f.reg(i64), f.reg(i64), f.reg(i64), f.reg(i64)
        f.move(to, target)
        f.move(at, source)
        whole = self.map.spec.value_size // 8 * 8 if self.map.spec.value_size > _UNROLLED else 0
        if whole:
            again = f.label()
            f.i64_add(end, at, whole)
            f.place(again)
            f.i64_load(part, at)
            f.i64_store(part, to)
            f.i64_add(at, at, 8)
            f.i64_add(to, to, 8)
            f.branch_i64_ne(at, end, again)
        for start, size in pieces(self.map.spec.value_size - whole):
            load(f, size, part, at, start)
            store(f, size, part, to, start)
