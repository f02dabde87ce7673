"""What a library depends on, by digest: a build whose inputs have not changed does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cnp.build.clang import Clang
from cnp.errors import LibraryError
from cnp.stencil.library import Library
from cnp.target import TARGETS
from cnp.target.record import Target, arguments

_PACKAGE = Path(__file__).resolve().parent.parent
_TOOLS = ("build", "stencil", "target")
"""Packages of cnp whose own code decides what is in a library; beside them errors.py and types.py."""
_LATER = frozenset(
    f"build/{name}.py"
    for name in (
        "assemble",
        "check",
        "command",
        "core",
        "executable",
        "extension",
        "fields",
        "progress",
        "runner",
        "support",
    )
) | frozenset(f"stencil/{name}.py" for name in ("layout", "library", "naming", "patching", "sources", "writer"))
"""Modules whose work begins when all placements are compiled, or that have none in it."""


def input_digests(stencils: Path, target: Target) -> dict[str, str]:
    """SHA-256 of every C source and header of a target, by path below the directory of op sources."""
    files = sorted(path for pattern in ("*.c", "*.h") for path in stencils.rglob(pattern))
    names = {path.relative_to(stencils).as_posix(): path for path in files}
    return {
        name: _digest(path) for name, path in names.items() if not name.startswith("targets/") or name == target.header
    }


def inputs_key(clang: Clang, target: Target, sources: Mapping[str, str], *, stencils_only: bool = False) -> str:
    """One digest over everything: sources, compiler, flags, and the build's own Python.

    `stencils_only` leaves out what does not change what clang makes of placements.
    """
    key = hashlib.sha256()
    flags = arguments((*target.flags, *target.general_flags, *(() if stencils_only else target.core_flags)))
    for text in (clang.version, target.name, *flags):
        key.update(text.encode() + b"\0")
    for name, digest in sorted(sources.items()):
        key.update(f"{name} {digest}\n".encode())
    tools = [path for package in _TOOLS for path in sorted((_PACKAGE / package).rglob("*.py"))]
    for path in (*tools, _PACKAGE / "errors.py", _PACKAGE / "types.py"):
        name = path.relative_to(_PACKAGE).as_posix()
        if not _is_of_another(path, target) and not (stencils_only and name in _LATER):
            key.update(f"{name} {_digest(path)}\n".encode())
    return key.hexdigest()


def _is_of_another(path: Path, target: Target) -> bool:
    """Whether a module is a target's own, and not this one's: its name begins with the other's."""
    others = [name for name in TARGETS if name != target.name]
    return path.parent.name == "target" and any(path.name.startswith(name) for name in others)


def is_current(library: Path, key: str) -> bool:
    """Whether a library exists, is sound, and was built from the inputs that the key stands for."""
    try:
        with Library.open(library) as opened:
            return opened.meta.get("inputs") == key
    except LibraryError:
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
