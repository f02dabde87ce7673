"""Arrays and hash maps: what they hold lies in memory that Python, the interpreter and compiled code share.

Values are a region that programs may point into; keys and links lie elsewhere, out of their reach. A hash map is
buckets of chains: a value stays where it is until its key is deleted. map_code.py does in cnp ops what is done here."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .instruction import EbpfError
from .memory import MASK, Region, buffer_region

HASH, ARRAY = 1, 2  # BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY
ANY, NOEXIST, EXIST = 0, 1, 2  # flags of an update
LOOKUP, UPDATE, DELETE = 1, 2, 3  # numbers of helpers, as in Linux
MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio
MAXIMUM_BYTES = 1 << 28

# The index of a hash map: words at these offsets, then the buckets, then the entries.
FREE, COUNT, BUCKETS = 0, 8, 16
KEY = 8  # offset of the key in an entry, after the link to the next


class Pointer(NamedTuple):
    """At `offset` of an array's values the address of byte `behind` of the values of the map numbered `to`."""

    offset: int
    to: int
    behind: int


@dataclass(frozen=True)
class MapSpec:
    """What a map is to be: sizes in bytes. `initial` and then `pointers`, which other maps of the program are needed
    for, fill an array, as the data sections of a program are."""

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    initial: bytes = b""
    writable: bool = True
    pointers: tuple[Pointer, ...] = ()

    def check(self) -> None:
        """Raises EbpfError for what cannot be made."""
        what = f"map {self.name!r}"
        if self.kind not in (HASH, ARRAY):
            raise EbpfError(f"{what}: type {self.kind}; accepted are {HASH} (hash) and {ARRAY} (array)")
        if self.kind == ARRAY and self.key_size != 4:
            raise EbpfError(f"{what}: key_size {self.key_size}; an array's is 4")
        for field, limit in (("key_size", 512), ("value_size", MAXIMUM_BYTES), ("max_entries", MAXIMUM_BYTES)):
            if not 1 <= getattr(self, field) <= limit:
                raise EbpfError(f"{what}: {field} {getattr(self, field)}; 1 to {limit} is accepted")
        if self.max_entries * (self.value_size + self.key_size) > MAXIMUM_BYTES:
            raise EbpfError(f"{what}: more than {MAXIMUM_BYTES} bytes; fewer or smaller entries are accepted")
        room = self.max_entries * self.value_size if self.kind == ARRAY else 0
        if len(self.initial) > room:
            raise EbpfError(f"{what}: {len(self.initial)} initial bytes; at most {room} are accepted")
        for offset, _, _ in self.pointers:
            if not 0 <= offset <= len(self.initial) - 8:
                raise EbpfError(f"{what}: a pointer at offset {offset} of {len(self.initial)} initial bytes")


class Map:
    """A map and its memory. Numbers that a program would get, -errno among them, are what update and delete give."""

    def __init__(self, spec: MapSpec) -> None:
        spec.check()
        self.spec = spec
        self.stride = -(-spec.value_size // 8) * 8
        self.values = buffer_region(f"map {spec.name!r}", self.stride * spec.max_entries, writable=spec.writable)
        self.key_words = -(-spec.key_size // 8)
        self.buckets = 1 << (spec.max_entries - 1).bit_length()
        self.entry_size = 8 * (1 + self.key_words)
        self.entries = BUCKETS + 8 * self.buckets
        size = self.entries + self.entry_size * spec.max_entries if spec.kind == HASH else 8
        self.index: Region = buffer_region(f"index of {spec.name!r}", size)
        self.initial = spec.initial
        self.reset()

    def link(self, maps: Sequence[Map]) -> None:
        """Put addresses where this one's data points at that of `maps`, those of the program."""
        data = bytearray(self.spec.initial)
        for offset, to, behind in self.spec.pointers:
            if not 0 <= to < len(maps):
                raise EbpfError(f"map {self.spec.name!r}: a pointer to map {to}; there are {len(maps)}")
            data[offset : offset + 8] = (maps[to].values.address + behind & MASK).to_bytes(8, "little")
        self.initial = bytes(data)
        self.reset()

    def reset(self) -> None:
        """Back to how it was made."""
        ctypes.memset(self.values.address, 0, self.values.length)
        ctypes.memset(self.index.address, 0, self.index.length)
        ctypes.memmove(self.values.address, self.initial, len(self.initial))
        if self.spec.kind == HASH:
            for number in range(self.spec.max_entries):
                self._put(self._entry(number + 1), (number + 2) % (self.spec.max_entries + 1))
            self._put(FREE, 1)

    # From Python.

    def __len__(self) -> int:
        return self._word(COUNT) if self.spec.kind == HASH else self.spec.max_entries

    def __getitem__(self, key: bytes) -> bytes:
        found = self.lookup(self._checked(key, self.spec.key_size, "key"))
        if not found:
            raise KeyError(key)
        return ctypes.string_at(found, self.spec.value_size)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        value = self._checked(value, self.spec.value_size, "value")
        keep = ctypes.create_string_buffer(value, len(value))
        result = self.update(self._checked(key, self.spec.key_size, "key"), ctypes.addressof(keep), ANY)
        if result:
            raise EbpfError(f"map {self.spec.name!r} is full: it holds {self.spec.max_entries} entries")

    def __delitem__(self, key: bytes) -> None:
        if self.delete(self._checked(key, self.spec.key_size, "key")):
            raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        """The keys."""
        if self.spec.kind == ARRAY:
            yield from (number.to_bytes(4, "little") for number in range(self.spec.max_entries))
            return
        for bucket in range(self.buckets):
            number = self._word(BUCKETS + 8 * bucket)
            while number:
                yield ctypes.string_at(self.index.address + self._entry(number) + KEY, self.spec.key_size)
                number = self._word(self._entry(number))

    def _checked(self, data: bytes, size: int, what: str) -> bytes:
        if len(data) != size:
            raise EbpfError(f"map {self.spec.name!r}: a {what} of {len(data)} bytes; {size} are accepted")
        return data

    # What helpers do. Keys come as bytes, values as addresses that have been checked.

    def lookup(self, key: bytes) -> int:
        """The address of the key's value, 0 if there is none."""
        if self.spec.kind == ARRAY:
            number = int.from_bytes(key, "little")
            return self.values.address + number * self.stride if number < self.spec.max_entries else 0
        number = self._word(self._find(key))
        return self._value(number) if number else 0

    def update(self, key: bytes, value: int, flags: int) -> int:
        """Set the key's value to what lies at an address: 0, or -errno."""
        if flags > EXIST:
            return -errno.EINVAL
        if self.spec.kind == ARRAY:
            if int.from_bytes(key, "little") >= self.spec.max_entries:
                return -errno.E2BIG
            if flags == NOEXIST:
                return -errno.EEXIST
            self._copy(self.lookup(key), value)
            return 0
        link = self._find(key)
        number = self._word(link)
        if number:
            if flags == NOEXIST:
                return -errno.EEXIST
        else:
            if flags == EXIST:
                return -errno.ENOENT
            number = self._word(FREE)
            if not number:
                return -errno.E2BIG
            entry = self._entry(number)
            self._put(FREE, self._word(entry))
            self._put(entry, 0)
            for position, word in enumerate(self._words(key)):
                self._put(entry + KEY + 8 * position, word)
            self._put(link, number)
            self._put(COUNT, self._word(COUNT) + 1)
        self._copy(self._value(number), value)
        return 0

    def delete(self, key: bytes) -> int:
        """Remove a key of a hash map: 0, or -errno."""
        if self.spec.kind == ARRAY:
            return -errno.EINVAL
        link = self._find(key)
        number = self._word(link)
        if not number:
            return -errno.ENOENT
        entry = self._entry(number)
        self._put(link, self._word(entry))
        self._put(entry, self._word(FREE))
        self._put(FREE, number)
        self._put(COUNT, self._word(COUNT) - 1)
        return 0

    # The index.

    def _find(self, key: bytes) -> int:
        """The offset of the link that leads to the key's entry, or of the one that ends its chain."""
        words = self._words(key)
        mixed = 0
        for word in words:
            mixed = (mixed ^ word) * MULTIPLIER & MASK
            mixed ^= mixed >> 32
        link = BUCKETS + 8 * (mixed & self.buckets - 1)
        while number := self._word(link):
            entry = self._entry(number)
            if all(self._word(entry + KEY + 8 * position) == word for position, word in enumerate(words)):
                break
            link = entry
        return link

    def _words(self, key: bytes) -> list[int]:
        return [int.from_bytes(key[start : start + 8], "little") for start in range(0, len(key), 8)]

    def _entry(self, number: int) -> int:
        """Entries count from 1: 0 ends a chain."""
        return self.entries + self.entry_size * (number - 1)

    def _value(self, number: int) -> int:
        return self.values.address + self.stride * (number - 1)

    def _word(self, offset: int) -> int:
        return ctypes.c_uint64.from_address(self.index.address + offset).value

    def _put(self, offset: int, value: int) -> None:
        ctypes.c_uint64.from_address(self.index.address + offset).value = value

    def _copy(self, target: int, source: int) -> None:
        """In pieces from the start, as compiled code does: what overlaps comes out alike."""
        for start, size in pieces(self.spec.value_size):
            ctypes.memmove(target + start, ctypes.string_at(source + start, size), size)


def pieces(size: int) -> Iterator[tuple[int, int]]:
    """The offset and length, 8, 4, 2 or 1 bytes, of each piece of so many bytes."""
    start = 0
    for length in (8, 4, 2, 1):
        while size - start >= length:
            yield start, length
            start += length
