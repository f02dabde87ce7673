"""Bench: the stencil library on disk."""

from __future__ import annotations

import os

from cnp.bench.figure import Recorder, Unavailable
from cnp.bench.registry import Bench
from cnp.errors import CnpError
from cnp.runtime.default import default_library
from cnp.stencil.layout import SectionName

LIMIT = 2_000_000  # bytes


def run(recorder: Recorder) -> None:
    """Bytes of this machine's library, and what they are. Building times are reported by the build."""
    try:
        library = default_library()
    except CnpError as error:
        raise Unavailable(str(error)) from None
    note = f"{len(library.ops)} ops, {len(library):,} stencils"
    recorder.value("bytes", os.stat(library.path).st_size, "B", at_most=LIMIT, note=note)
    for name in SectionName:
        recorder.value(f"bytes.{name.name.lower()}", library.section_range(name)[1], "B")


BENCH = Bench("library", "the stencil library on disk", run)
