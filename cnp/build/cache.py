"""Keeps what clang made of placements beside the library, so that a change of the core alone rebuilds in seconds."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

from cnp.build.extract import Code
from cnp.build.placements import Key
from cnp.stencil.writer import write_file

Codes = tuple[dict[Key, Code], int]
"""Stencils by placement, and how many functions were compiled for them."""

_OTHERS = ("ahead/", "core/", "runner/")
_DIGEST_SIZE = 32


def stencil_sources(digests: Mapping[str, str]) -> dict[str, str]:
    """Of the digests of all sources, those that stencils depend on."""
    return {name: digest for name, digest in digests.items() if not name.startswith(_OTHERS)}


def cache_path(library: Path) -> Path:
    """Where the stencils of a library are kept."""
    return library.with_name(f".{library.stem}.stencils")


def read_codes(path: Path, key: str) -> Codes | None:
    """What was kept under the key, or None. A file that is damaged, or cannot be read, is as good as none."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if data[:_DIGEST_SIZE] != _digest(key, data[_DIGEST_SIZE:]):
        return None
    codes: Codes = pickle.loads(data[_DIGEST_SIZE:])
    return codes


def write_codes(path: Path, key: str, codes: Codes) -> None:
    """Keep stencils in place of what was kept before."""
    data = pickle.dumps(codes, pickle.HIGHEST_PROTOCOL)
    write_file(path, _digest(key, data) + data)


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()
