"""Keeps what clang made of placements beside the library, so that a change of the core alone rebuilds in seconds."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from pathlib import Path

from cnp.build.extract import Code
from cnp.build.placements import Key
from cnp.stencil.writer import write_file

Codes = tuple[dict[Key, Code], int]
"""Stencils by placement, and how many functions were compiled for them."""

_CORE = "core/"


def stencil_sources(digests: Mapping[str, str]) -> dict[str, str]:
    """Of the digests of all sources, those that stencils depend on."""
    return {name: digest for name, digest in digests.items() if not name.startswith(_CORE)}


def cache_path(library: Path) -> Path:
    """Where the stencils of a library are kept."""
    return library.with_name(f".{library.stem}.stencils")


def read_codes(path: Path, key: str) -> Codes | None:
    """What was kept under the key, or None. A file that cannot be read is as good as none."""
    damaged = (EOFError, pickle.UnpicklingError, AttributeError, ImportError, ValueError, TypeError)
    with contextlib.suppress(OSError, *damaged), path.open("rb") as file:
        if pickle.load(file) == key:
            codes: Codes = pickle.load(file)
            return codes
    return None


def write_codes(path: Path, key: str, codes: Codes) -> None:
    """Keep stencils in place of what was kept before."""
    write_file(path, pickle.dumps(key) + pickle.dumps(codes, pickle.HIGHEST_PROTOCOL))
