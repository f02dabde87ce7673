"""What a library depends on, by digest: a build whose inputs have not changed does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnp.build.clang import Clang
from cnp.errors import LibraryError
from cnp.stencil.library import Library
from cnp.target.record import Target, arguments

_PACKAGE = Path(__file__).resolve().parent.parent


def input_digests(stencils: Path) -> dict[str, str]:
    """SHA-256 of every C source and header, by path below the directory of op sources."""
    files = sorted(path for pattern in ("*.c", "*.h") for path in stencils.rglob(pattern))
    return {path.relative_to(stencils).as_posix(): _digest(path) for path in files}


def inputs_key(
    clang: Clang, target: Target, sources: Mapping[str, str], packages: Sequence[str] = ("build", "stencil", "target")
) -> str:
    """One digest over everything: sources, compiler, flags, and the Python of those packages of cnp that decide.

    errors.py and types.py count besides.
    """
    key = hashlib.sha256()
    flags = arguments((*target.flags, *target.core_flags))
    for text in (clang.version, target.name, *flags):
        key.update(text.encode() + b"\0")
    for name, digest in sorted(sources.items()):
        key.update(f"{name} {digest}\n".encode())
    tools = [path for package in packages for path in sorted((_PACKAGE / package).rglob("*.py"))]
    for path in (*tools, _PACKAGE / "errors.py", _PACKAGE / "types.py"):
        key.update(f"{path.relative_to(_PACKAGE).as_posix()} {_digest(path)}\n".encode())
    return key.hexdigest()


def is_current(library: Path, key: str) -> bool:
    """Whether a library exists, is sound, and was built from the inputs that the key stands for."""
    try:
        with Library.open(library) as opened:
            return opened.meta.get("inputs") == key
    except LibraryError:
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
