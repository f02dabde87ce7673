"""The stencil library of this machine."""

from __future__ import annotations

import os

from cnp.errors import LibraryError, Unsupported
from cnp.runtime import platform
from cnp.runtime.abi import ABI_HASH
from cnp.stencil.layout import SymbolKind
from cnp.stencil.library import Library

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
"""Where the package keeps its libraries, `<target>.cnpl`."""

VARIABLE = "CNP_LIBRARY"
"""Environment variable that names another library for this machine, built with `cnp build --output`."""

_opened: Library | None = None


def machine() -> str:
    """This machine's target, as libraries name it."""
    return platform.machine()


_foreign: dict[str, Library] = {}


def library_for(target: str) -> Library:
    """The package's library for any target. LibraryError, naming those there are, if it is missing or damaged."""
    if target not in _foreign:
        path = os.path.join(DATA, f"{target}.cnpl")
        if not os.path.exists(path):
            raise LibraryError(_missing(target, path))
        _foreign[target] = Library.open(path, target=target, abi_hash=ABI_HASH)
    return _foreign[target]


def beside(library: Library) -> Library:
    """The library beside whose file are those that go with it: of an extension's, the package's for the target."""
    return library_for(library.target) if "extension" in library.meta else library


def _missing(target: str, path: str) -> str:
    names = os.listdir(DATA) if os.path.isdir(DATA) else []
    have = ", ".join(sorted(each.removesuffix(".cnpl") for each in names if each.endswith(".cnpl"))) or "none"
    return (
        f"there is no stencil library for {target} at {path} (there are libraries for: {have}); "
        "build one with `make` or `python build_stencils.py`"
    )


def default_library() -> Library:
    """This machine's library, opened when it is first asked for: the package's, or what CNP_LIBRARY names.

    LibraryError if it is missing or damaged, Unsupported if the processor lacks what its stencils use.
    """
    global _opened
    if _opened is None:
        target = machine()
        own = os.environ.get(VARIABLE)
        path = own or os.path.join(DATA, f"{target}.cnpl")
        if not own and not os.path.exists(path):
            raise LibraryError(_missing(target, path))
        library = Library.open(path, target=target, abi_hash=ABI_HASH)
        lacking = missing_features([name for name, _ in library.symbols[SymbolKind.FEATURE]])
        if lacking:
            raise Unsupported(f"this processor lacks {', '.join(lacking)}, which the stencils of {target} use")
        _opened = library
    return _opened


def missing_features(needed: list[str], cpuinfo: str = "/proc/cpuinfo") -> list[str]:
    """Which of the needed processor features, as /proc/cpuinfo spells them, the first processor lacks.

    Empty where the file does not say.
    """
    try:
        with open(cpuinfo, "rb") as file:  # as text it would want a codec that Python has not loaded
            flags = next((line for line in file if line.startswith(b"flags")), b"").decode("utf-8", "replace")
    except OSError:
        return []
    present = set(flags.partition(":")[2].split())
    return [each for each in needed if each not in present] if present else []
