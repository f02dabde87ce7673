"""What memory for code costs before anything is emitted into it: faults, reprotecting, the second mapping."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from cnp import Function, extern, i32, i64
from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.harness import Step, Work, libc, timed
from cnp.bench.measure import interleaved, median, repeats_for, seconds
from cnp.errors import Unsupported
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.libc import MADV_POPULATE_WRITE, PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, madvise
from cnp.runtime.linux_mapping import DoubleMapping, FlipMapping
from cnp.runtime.mapping import Way, machine

PAGES = 256
"""Pages of a fresh mapping."""
FLIPPED = 16
"""Pages reprotected at once, beside one."""
WRITTEN = 64
"""Bytes written where writing is part of what is measured: a line of the cache."""


def run(recorder: Recorder) -> None:
    """Microseconds, under names that begin with `code_memory`."""
    for part in (_first_touch, _populate, _writing, _making):
        try:
            part(recorder)
        except (Unsupported, Unavailable) as error:
            recorder.unavailable(f"code_memory.{part.__name__.lstrip('_')}", str(error))
    for way in Way:
        _block(recorder, way)


def _first_touch(recorder: Recorder) -> None:
    size = PAGES * PAGE
    source = ctypes.create_string_buffer(b"\1" * size, size)
    samples: dict[str, list[float]] = {}
    for _ in range(recorder.rounds(31)):
        written, copied, private = DoubleMapping(size), DoubleMapping(size), FlipMapping(size)
        private.begin(0, size)
        copy = functools.partial(timed, libc("memcpy"), copied.writable, ctypes.addressof(source), size)
        taken = {
            "write": seconds(lambda: _touch(libc("memset"), written.writable)),  # noqa: B023
            "again": seconds(lambda: _touch(libc("memset"), written.writable)),  # noqa: B023
            "read": seconds(lambda: _touch(libc("memchr"), written.executable)),  # noqa: B023
            "private": seconds(lambda: _touch(libc("memset"), private.writable)),  # noqa: B023
            "copy": copy(),
            "copy again": copy(),
        }
        for mapping in (written, copied, private):
            mapping.close()
        for name, each in taken.items():
            samples.setdefault(name, []).append(each)
    microseconds = {name: [each / PAGES * 1e6 for each in series] for name, series in samples.items()}
    note = f"first write to a page through the writable view: a fault, and a byte written; {PAGES} pages in a row"
    again = f"; the second time {median(microseconds['again']):.3f} us"
    recorder.sampled("code_memory.fault_us", microseconds["write"], "us", note=note + again)
    note = "the same in one private mapping, as the way `flip` has it"
    recorder.sampled("code_memory.fault_us.private", microseconds["private"], "us", note=note)
    note = "first read of a page through the executable view, when it has been written; the kernel maps several at once"
    recorder.sampled("code_memory.fault_us.executable_view", microseconds["read"], "us", note=note)
    rate = [size / each / 1e9 for each in samples["copy"]]
    note = (
        f"memcpy into pages that nothing has touched; {size / median(samples['copy again']) / 1e9:.0f} the second time"
    )
    recorder.sampled("code_memory.first_touch_GB_per_s", rate, "GB/s", note=note)


def _populate(recorder: Recorder) -> None:
    size, samples = PAGES * PAGE, []
    for _ in range(recorder.rounds(31)):
        mapping = DoubleMapping(size)
        if not madvise(mapping.writable, size, MADV_POPULATE_WRITE):
            raise Unavailable("this kernel has no MADV_POPULATE_WRITE (it came with Linux 5.14)")
        mapping.release(0, size)
        samples.append(seconds(lambda: mapping.populate(0, size)) / PAGES * 1e6)  # noqa: B023
        mapping.close()
    note = f"a page, when {PAGES} are asked for at once, for both views: how the arena gets its pages, 16 to 64 at once"
    recorder.sampled("code_memory.populate_us", samples, "us", note=note)


def _writing(recorder: Recorder) -> None:
    """Loops of system calls and copies, none of them in Python; the pages have been touched before."""
    double, flip = DoubleMapping(PAGE), FlipMapping(FLIPPED * PAGE)
    works = _ways_to_write(double, flip)
    repeats = {name: repeats_for(work.repeat, 0.0005) for name, work in works.items()}
    calls = {name: functools.partial(work.repeat, repeats[name]) for name, work in works.items()}
    samples = interleaved(calls, recorder.rounds(51))
    double.close()
    flip.close()
    notes = {
        "second_mapping_us": f"{WRITTEN} bytes written through the writable view, then run once through the other",
        "second_mapping_us.write": f"{WRITTEN} bytes written through the writable view, and not run",
        "flip_us": f"a page made writable, {WRITTEN} bytes written, the page made executable and run once",
        f"flip_us.{FLIPPED}_pages": "the same, reprotecting so many pages at once",
        "mprotect_us": "a page made writable, then executable, and neither written nor run: two system calls",
    }
    for name, note in notes.items():
        microseconds = [taken / repeats[name] * 1e6 for taken in samples[name]]
        recorder.sampled(f"code_memory.{name}", microseconds, "us", note=note)


def _ways_to_write(double: DoubleMapping, flip: FlipMapping) -> dict[str, Work]:
    flip.begin(0, FLIPPED * PAGE)
    code = _returning()
    for page in range(FLIPPED):
        ctypes.memmove(flip.writable + page * PAGE, code, WRITTEN)
    source = ctypes.addressof(code)
    copy, protect = libc("memcpy"), libc("mprotect")
    writes: Step = (copy, (0, 1, 2))
    flips = ((protect, (0, 3, 4)), (protect, (0, 3, 5)))

    def arguments(size: int) -> tuple[int, ...]:
        return (flip.writable, source, WRITTEN, size, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC)

    through = (double.writable, source, WRITTEN)
    written_between = (flips[0], writes, flips[1], (flip.executable, ()))
    return {
        "second_mapping_us": Work((writes, (double.executable, ())), through),
        "second_mapping_us.write": Work((writes,), through),
        "flip_us": Work(written_between, arguments(PAGE)),
        f"flip_us.{FLIPPED}_pages": Work(written_between, arguments(FLIPPED * PAGE)),
        "mprotect_us": Work(flips, arguments(PAGE)),
    }


@functools.cache
def _returning() -> ctypes.Array[ctypes.c_char]:
    """A routine that returns at once, and what pads it."""
    code, trap = machine()
    return ctypes.create_string_buffer(code.ljust(WRITTEN, bytes([trap])), WRITTEN)


def _making(recorder: Recorder) -> None:
    size = PAGES * PAGE
    works: dict[str, Callable[[], object]] = {
        "double": lambda: DoubleMapping(size).close(),
        "flip": lambda: FlipMapping(size).close(),
    }
    samples = interleaved(works, recorder.rounds(51))
    notes = {
        "double": "an unnamed file, mapped twice, and unmapped",
        "flip": "one mapping, and unmapped",
    }
    for name, note in notes.items():
        microseconds = [taken * 1e6 for taken in samples[name]]
        recorder.sampled(f"code_memory.making_us.{name}", microseconds, "us", note=f"{note}; from Python, untouched")


def _block(recorder: Recorder, way: Way) -> None:
    name = f"code_memory.block_us.{way.value}"
    try:
        memory = CodeMemory(way, capacity=1 << 20)
    except Unsupported as error:
        recorder.unavailable(name, str(error))
        return
    code = bytes(_returning())

    def blocks(n: int) -> None:
        for _ in range(n):
            block = memory.allocate(WRITTEN)
            block.write(code)
            memory.commit(block)
            memory.free(block)

    n = repeats_for(blocks, 0.001)
    samples = [seconds(lambda: blocks(n)) / n * 1e6 for _ in range(recorder.rounds(21))]
    memory.close()
    note = f"a block of {WRITTEN} bytes allocated, written, committed and freed, from Python"
    recorder.sampled(name, samples, "us", note=note)


@functools.cache
def _toucher(routine: int) -> Callable[..., None]:
    """f(pages, address) that calls a routine with (address of each page, 1, 1)."""
    f = Function("touch", params=[i32, i64])
    n, address = f.params
    head, done = f.label(), f.label()
    f.branch_table(n, [done], head)
    f.place(head)
    f.call(None, extern(routine, [i64, i64, i64], i64), address, 1, 1)
    f.i64_add(address, address, PAGE)
    f.i32_sub(n, n, 1)
    f.branch_table(n, [done], head)
    f.place(done)
    f.ret()
    made: Callable[..., None] = f.compile(safepoints=False)
    return made


def _touch(routine: int, address: int) -> None:
    _toucher(routine)(PAGES, address)
