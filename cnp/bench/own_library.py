"""A path -> the stencil library that this process, and those that it starts, measure with."""

from __future__ import annotations

import os
from pathlib import Path

from cnp.errors import UserError
from cnp.runtime.default import VARIABLE, default_library


def use(path: Path) -> None:
    """LibraryError if it is none for this machine, UserError if this process has opened another one already."""
    os.environ[VARIABLE] = str(path.resolve())
    opened = default_library().path
    if opened != os.environ[VARIABLE]:
        raise UserError(f"this process works with {opened} already; another library needs another process")
