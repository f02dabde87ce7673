"""The whole build: op sources to a stencil library file, in parallel, and only when something has changed."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cnp.build.assemble import assemble
from cnp.build.cache import Codes, cache_path, read_codes, stencil_sources, write_codes
from cnp.build.check import check_contents, check_convention, find_survivors
from cnp.build.clang import Clang
from cnp.build.compile import Compiler, compile_controls
from cnp.build.core import CORE_SOURCE, EMPTY, compile_core
from cnp.build.extension import Extension, pointers
from cnp.build.families import family_placements
from cnp.build.inputs import input_digests, inputs_key, is_current
from cnp.build.ops import CONTROL_SOURCE, read_sources
from cnp.build.placements import Placement, enumerate_placements
from cnp.build.progress import Progress
from cnp.build.routines import compile_routines, described
from cnp.build.runner import build_runner, lacks_runner
from cnp.build.support import build_support, lacks_support
from cnp.build.table import BuildOp, build_table
from cnp.build.work import Work
from cnp.errors import CnpError
from cnp.stencil.sources import abi_hash, library_path
from cnp.stencil.writer import library_bytes, write_file
from cnp.target.flags import NO_FLOATS_FLAGS
from cnp.target.record import Target, arguments

_ROUTINES = frozenset(
    ("cnp_trap", "cnp_poll_in_loop", "cnp_poll_before_call", "cnp_poll_large_frame", "cnp_enter_from_c")
)
"""What stencils may reach where the sources have no core."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a build made. `functions` counts compiled C functions, samples and fallbacks included."""

    target: str
    up_to_date: bool
    functions: int = 0
    placements: int = 0
    stencils: int = 0
    chunks: int = 0
    holes: int = 0
    code_bytes: int = 0  # of all stencils, each once
    file_bytes: int = 0
    seconds: float = 0.0  # from its start to its end, which others overlap

    def __str__(self) -> str:
        if self.up_to_date:
            return f"{self.target}: up to date"
        average = self.code_bytes / max(self.stencils, 1)
        return (
            f"{self.target}: {self.placements} placements, {self.functions} functions compiled, {self.stencils} unique "
            f"stencils of {average:.1f} bytes on average, {self.chunks} chunks, {self.holes} holes, "
            f"{self.file_bytes / 1e6:.2f} MB, {self.seconds:.1f} s"
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What to build, from what, and how."""

    clang: Clang
    target: Target
    stencils: Path  # directory of the op sources
    output: Path
    jobs: int = 0  # processes; 0 is one a processor
    force: bool = False
    keep: Path | None = None  # directory for the generated C and the objects
    extension: Path | None = None  # directory of ops of the user's own, which the library has besides


def build_library(settings: Settings, progress: Progress) -> Statistics:
    """Build one target's library unless the file there was built from the same inputs. BuildError if it cannot be."""
    (statistics,) = build_libraries([settings], lambda: progress)
    return statistics


def build_libraries(all_settings: Sequence[Settings], progress: Callable[[], Progress]) -> Iterator[Statistics]:
    """Build libraries in order, each as `build_library` does. BuildError for the first that cannot be built.

    While one is put together, which one process does, clang compiles for the next.
    """
    jobs = max((each.jobs for each in all_settings), default=0) or os.cpu_count() or 1
    with contextlib.ExitStack() as opened:
        pool = ProcessPoolExecutor(jobs)
        buildings = [_patient(_building(each, pool, progress)) for each in all_settings]
        for each in buildings:
            opened.callback(each.close)
        # The first that is called: the processes use files of the buildings.
        opened.callback(pool.shutdown, cancel_futures=True)
        for building, following in itertools.zip_longest(buildings, buildings[1:]):
            if building is buildings[0]:
                next(building)
            if following:
                next(following)
            yield _result(building)


Steps = Generator[None, None, Statistics]
"""The build of a library in two steps: after the first, clang is at work in the processes of a pool."""


def _patient(building: Steps) -> Steps:
    """The same, but what goes wrong in the first step is raised in the second: other libraries come before it."""
    try:
        next(building)
    except CnpError:
        yield
        raise
    yield
    return (yield from building)


def _result(building: Steps) -> Statistics:
    while True:
        try:
            next(building)
        except StopIteration as done:
            statistics: Statistics = done.value
            return statistics


def _building(settings: Settings, pool: ProcessPoolExecutor, progress: Callable[[], Progress]) -> Steps:
    started = time.monotonic()
    target, directory = settings.target, settings.stencils
    extension = Extension(settings.extension, settings.clang, target, directory) if settings.extension else None
    digests = input_digests(directory, target)
    added = extension.digests() if extension else {}
    key = inputs_key(settings.clang, target, digests | {f"extension/{name}": each for name, each in added.items()})
    lacks = lacks_runner(directory, settings.output) or lacks_support(directory, settings.output)
    if not settings.force and is_current(settings.output, key) and (extension or not lacks):
        yield
        return Statistics(target.name, up_to_date=True)
    files = sorted(path.name for path in directory.glob("*.c") if path.name != CONTROL_SOURCE)
    has_control = (directory / CONTROL_SOURCE).is_file()
    sources = read_sources(settings.clang, target, directory, [*files, *([CONTROL_SOURCE] if has_control else [])])
    own = extension.ops(sources.ops) if extension else []
    called = [op for op in own if op.is_call]
    ops = build_table([*sources.ops, *(op for op in own if not op.is_call)], target)
    first_own = len(build_table(sources.ops, target))
    with _workspace(settings.keep) as objects:
        compiler = Compiler(settings.clang, target, directory, frozenset(), objects)
        if extension:
            extension.check_syntax(compiler)
        check_convention(compiler)
        survivors = find_survivors(compiler)
        core = EMPTY
        if (directory / CORE_SOURCE).is_file():
            with extension.messages() if extension else contextlib.nullcontext():
                core = compile_core(compiler, compile_routines(compiler, called))
        routines = frozenset(core.exports) or _ROUTINES
        compiler = replace(compiler, routines=routines)
        controls = compile_controls(compiler, CONTROL_SOURCE, sources.controls) if sources.controls else {}
        stencils_key = inputs_key(settings.clang, target, stencil_sources(digests), stencils_only=True)
        kept = _kept(settings, stencils_key)
        built_in = Work(compiler, pool, [] if kept else _placements(ops[:first_own], target))
        work = Work(compiler, pool, _placements(ops[first_own:], target)) if extension else built_in
        if not extension:
            build_runner(compiler, settings.output)
            build_support(compiler, settings.output)
        yield
        codes, functions = kept or built_in.result(progress())
        if not kept:
            write_codes(cache_path(settings.output), stencils_key, (codes, functions))
        if extension:
            with extension.messages():
                more, functions = work.result(progress())
            codes = codes | more
    meta: dict[str, object] = {"clang": settings.clang.version, "flags": arguments(target.flags), "inputs": key}
    meta |= {"general_flags": arguments(target.general_flags), "no_floats_flags": arguments(NO_FLOATS_FLAGS)}
    meta |= {"core_flags": arguments(target.core_flags), "sources": digests}
    if extension:
        meta["extension"] = {
            "ops": [each.name for each in own if not each.is_call],
            "calls": described(called),
            "imports": core.imports,
            "pointers": pointers(own),
            "sources": added,
        }
    assembled = assemble(target, ops, codes, controls, core, abi_hash(directory), survivors, meta)
    contents = assembled.contents
    check_contents(contents, target)
    data = library_bytes(contents)
    write_file(settings.output, data)
    return Statistics(
        target.name, False, functions, assembled.placements, len(contents.stencils) - 1,
        len({chunk for stencil in contents.stencils for chunk in stencil.chunks}),
        sum(len(stencil.holes) for stencil in contents.stencils), sum(stencil.size for stencil in contents.stencils),
        len(data), time.monotonic() - started,
    )  # fmt: skip


@contextlib.contextmanager
def _workspace(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="cnp-build-") as directory:
            yield Path(directory)


def _placements(ops: Sequence[BuildOp], target: Target) -> list[Placement]:
    placements = [placement for op in ops for placement in enumerate_placements(op, target)]
    return placements + [placement for op in ops for placement in family_placements(op, target)]


def _kept(settings: Settings, key: str) -> Codes | None:
    """What was kept of what clang made of the built-in ops, under this key.

    An extension has the same ones as the package's own library, so that what was kept of that serves it too.
    """
    own = cache_path(settings.output)
    if settings.extension:
        return read_codes(cache_path(library_path(settings.target.name)), key) or read_codes(own, key)
    return None if settings.force else read_codes(own, key)
