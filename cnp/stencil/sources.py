"""Where the op sources are, and the hash of the headers that the run time and a library must agree on."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from cnp.errors import BuildError
from cnp.stencil.model import FORMAT_VERSION

_PACKAGE = Path(__file__).resolve().parent.parent
SHARED_HEADERS = ("cnp.h", "context.h", "core/layout.h")
"""Headers below stencils/ that fix the layouts a library shares with the run time. A target's own is not among them:
what it says is between the library's stencils and its own core."""


def stencils_directory() -> Path:
    """The op sources: stencils/ of a checkout, or the copy that an installed package carries. BuildError if neither."""
    candidates = (_PACKAGE.parent / "stencils", _PACKAGE / "_stencils")
    for candidate in candidates:
        if (candidate / "cnp.h").is_file():
            return candidate
    raise BuildError(f"no op sources: looked for cnp.h in {' and '.join(str(each) for each in candidates)}")


def library_path(target: str) -> Path:
    """Where the library of a target is kept unless told otherwise."""
    return _PACKAGE / "data" / f"{target}.cnpl"


def support_path(library: str | Path) -> Path:
    """Where the object file is kept that `cnp emit` adds to functions: beside the library."""
    return Path(library).with_suffix(".support.o")


def abi_hash(directory: Path) -> int:
    """The first 8 bytes, little-endian, of the SHA-256 over the shared headers and the format version."""
    digest = sha256(b"%d" % FORMAT_VERSION)
    for header in [directory / name for name in SHARED_HEADERS]:
        if header.is_file():
            digest.update(header.name.encode() + b"\0" + header.read_bytes() + b"\0")
    return int.from_bytes(digest.digest()[:8], "little")
