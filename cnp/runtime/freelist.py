"""Turns one range of offsets into allocated and free ranges: size classes, immediate coalescing, O(1) either way.

The classes are those of TLSF (Masmano et al., ECRTS 2004): exact up to 1 KiB, then 32 to each doubling, and one integer
whose bits say which classes hold a range, so that the smallest sufficient class is one shift and one bit trick away.
Everything above `top` has never been used, or has been given back: it is one free range that sits in no class.

Pages are asked for ahead of `top` and given back behind it through two callbacks, both with page-aligned (start, end).
"""

from __future__ import annotations

from cnp.errors import InternalError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

UNIT = 16  # bytes; every range starts at and spans a multiple of it
PREFAULT_MIN = 64 << 10  # pages are asked for in steps that double from here ...
PREFAULT_MAX = 256 << 10  # ... to here: a small user pays for little, a large one makes few system calls
RELEASE = 256 << 10  # this many idle bytes in one free range are worth the system call that gives them back


class FreeList:
    """The free ranges of [0, capacity), in bytes. Not locked: its owner is."""

    __slots__ = (
        "_bins",
        "_occupied",
        "_page",
        "_populate",
        "_release",
        "_released",
        "_size_at",
        "_start_of",
        "_step",
        "capacity",
        "high_water",
        "populated",
        "top",
    )

    def __init__(
        self, capacity: int, page: int, populate: Callable[[int, int], None], release: Callable[[int, int], None]
    ) -> None:
        self.capacity = capacity
        self.top = 0
        self.high_water = 0
        self.populated = 0  # pages below this offset have been asked for
        self._page = page
        self._populate = populate
        self._release = release
        self._step = PREFAULT_MIN
        self._size_at: dict[int, int] = {}  # start -> size of each free range below top
        self._start_of: dict[int, int] = {}  # end -> start of the same
        self._released: dict[int, int] = {}  # start -> how many of its bytes, at the most, have been given back already
        self._bins: list[dict[int, None]] = [{} for _ in range(_size_class(capacity // UNIT) + 1)]
        self._occupied = 0

    def take(self, size: int) -> int:
        """The offset of `size` bytes (a positive multiple of UNIT) that were free, or -1 if no range is that large."""
        units = size >> 4
        if units < 64:
            first = units
        else:  # round up: every range in the class found must be large enough
            shift = units.bit_length() - 6
            first = (shift << 5) + ((units + (1 << shift) - 1) >> shift)
        found = self._occupied >> first
        if found:
            number = first + (found & -found).bit_length() - 1
            ranges = self._bins[number]
            start = ranges.popitem()[0]
            if not ranges:
                self._occupied ^= 1 << number
            return self._split(start, size)
        start = self.top
        end = start + size
        if end > self.capacity:
            return self._take_last_resort(size)
        self.top = end
        if end > self.high_water:
            self.high_water = end
        if end > self.populated:
            self._populate_ahead(end)
        return start

    def take_aligned(self, size: int, align: int) -> int:
        """Like `take`, at a multiple of `align` (a power of two); what the alignment skips stays free."""
        start = self.take(size + align - UNIT)
        if start < 0:
            return start
        aligned = -(-start // align) * align
        spare = start + align - UNIT - aligned
        if spare:
            self.give(aligned + size, spare)
        if aligned > start:
            self.give(start, aligned - start)
        return aligned

    def give(self, start: int, size: int) -> None:
        """Frees a range that was taken, and joins it with the free ranges on either side."""
        end = start + size
        released = 0
        before = self._start_of.pop(start, -1)
        if before >= 0:
            self._leave_bin(before, self._size_at.pop(before))
            if self._released:
                released = self._released.pop(before, 0)
            start = before
        if end == self.top:
            self.top = start
            if released or self.populated - start >= 2 * RELEASE:
                self._trim(0 if released else RELEASE)
            return
        after = self._size_at.pop(end, 0)
        if after:
            del self._start_of[end + after]
            self._leave_bin(end, after)
            if self._released:
                released += self._released.pop(end, 0)
            end += after
        size = end - start
        self._insert(start, size)
        if size - released >= RELEASE:
            self._release(*self._whole_pages(start, end))
            self._released[start] = size
        elif released:
            self._released[start] = released

    def rebuilt(self, used: Iterable[tuple[int, int]]) -> FreeList:
        """One in which all is free but these ranges, as (start, size): after an exception, this one may be torn."""
        fresh = FreeList(self.capacity, self._page, self._populate, self._release)
        fresh.high_water, fresh.populated = self.high_water, self.populated
        for start, size in sorted(used):
            if start > fresh.top:
                fresh._insert(fresh.top, start - fresh.top)
            fresh.top = start + size
        return fresh

    def largest(self) -> int:
        """The size of the largest free range."""
        return max(self.capacity - self.top, *self._size_at.values(), 0)

    def ranges(self) -> list[tuple[int, int]]:
        """All free ranges as (start, size), in order; the last one, if any, reaches to the capacity."""
        ranges = sorted(self._size_at.items())
        return [*ranges, (self.top, self.capacity - self.top)] if self.top < self.capacity else ranges

    def extents(self) -> Iterator[tuple[int, int]]:
        """The (start, end) of what is in use; free gaps too small to have been given back count as used."""
        start = 0
        for hole, size in sorted(self._size_at.items()):
            if size >= RELEASE:
                if hole > start:
                    yield start, hole
                start = hole + size
        if self.top > start:
            yield start, self.top

    def _split(self, start: int, size: int) -> int:
        whole = self._size_at.pop(start)
        rest = whole - size
        released = self._released.pop(start, 0) if self._released else 0
        if rest:
            self._insert(start + size, rest)
            if released:  # at the most: which of the bytes they are is not known
                self._released[start + size] = min(released, rest)
        else:
            del self._start_of[start + whole]
        if released:
            page = self._page
            self._populate(start // page * page, -(-(start + size) // page) * page)
        return start

    def _take_last_resort(self, size: int) -> int:
        """Looks where rounding up did not: in the class that `size` itself falls into."""
        number = _size_class(size // UNIT)
        for start in self._bins[number] if number < len(self._bins) else ():
            if self._size_at[start] >= size:
                self._leave_bin(start, self._size_at[start])
                return self._split(start, size)
        return -1

    def _insert(self, start: int, size: int) -> None:
        self._size_at[start] = size
        self._start_of[start + size] = start
        units = size >> 4
        if units < 64:
            number = units
        else:
            shift = units.bit_length() - 6
            number = (shift << 5) + (units >> shift)
        self._bins[number][start] = None
        self._occupied |= 1 << number

    def _leave_bin(self, start: int, size: int) -> None:
        units = size >> 4
        if units < 64:
            number = units
        else:
            shift = units.bit_length() - 6
            number = (shift << 5) + (units >> shift)
        ranges = self._bins[number]
        del ranges[start]
        if not ranges:
            self._occupied ^= 1 << number

    def _populate_ahead(self, end: int) -> None:
        start = self.populated
        self.populated = min(-(-(end + self._step) // self._page) * self._page, self.capacity)
        self._step = min(2 * self._step, PREFAULT_MAX)
        self._populate(start, self.populated)

    def _trim(self, keep: int) -> None:
        start = -(-(self.top + keep) // self._page) * self._page
        if start < self.populated:
            self._release(start, self.populated)
            self.populated = start

    def _whole_pages(self, start: int, end: int) -> tuple[int, int]:
        return -(-start // self._page) * self._page, end // self._page * self._page

    def check(self) -> None:
        """For tests: raises InternalError unless the tables agree with one another."""
        ranges = sorted(self._size_at.items())
        ends = [start + size for start, size in ranges]
        problems = {
            "two free ranges touch": any(end >= start for end, (start, _) in zip(ends, ranges[1:], strict=False)),
            "a free range touches the top": bool(ends) and ends[-1] >= self.top,
            "the index by end differs": self._start_of != dict(zip(ends, (s for s, _ in ranges), strict=True)),
            "a bin is wrong": {s: n for n, b in enumerate(self._bins) for s in b}
            != {start: _size_class(size // UNIT) for start, size in ranges},
            "the bitmap is wrong": self._occupied != sum(1 << n for n, b in enumerate(self._bins) if b),
            "a released range is not free": not self._released.keys() <= self._size_at.keys(),
        }
        for problem, present in problems.items():
            if present:
                raise InternalError(f"the free list is inconsistent: {problem}")


def _size_class(units: int) -> int:
    if units < 64:
        return units
    shift = units.bit_length() - 6
    return (shift << 5) + (units >> shift)
