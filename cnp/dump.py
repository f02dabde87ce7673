"""CNP_DUMP: what each stage of a compilation made, on standard error, a letter a stage.

i  the function as text          a  where the allocator put each register
s  stencils with their offsets   d  the machine code, disassembled
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

enabled = os.environ.get("CNP_DUMP", "")


def wanted(letters: str) -> bool:
    """Whether any of these stages is to be dumped."""
    return any(letter in enabled for letter in letters)


def native(made: Any) -> None:
    """Dump what CNP_DUMP asks for about a compiled function."""
    from cnp.tools import listing

    for letter, text in listing.stages(made):
        if letter in enabled:
            sys.stderr.write(text)
