"""CNP_DUMP: what each stage of a compilation made, on standard error, a letter a stage.

i  the function as text          a  where the allocator put each register
s  stencils with their offsets   d  the machine code, disassembled
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cnp.runtime import listeners
from cnp.tools.listing import STAGES

if TYPE_CHECKING:
    from cnp.runtime.callable import NativeFunction


def install(letters: str) -> None:
    """Dump these stages of every function compiled from now on. Letters of no stage are named, and ignored."""
    unknown = "".join(sorted(set(letters) - set(STAGES)))
    if unknown:
        sys.stderr.write(f"CNP_DUMP: no stage {', '.join(map(repr, unknown))}; accepted: {' '.join(STAGES)}\n")

    def dump(made: NativeFunction) -> None:
        for letter, (title, text) in STAGES.items():
            if letter in letters:
                sys.stderr.write(f"-- {made.function.name}: {title}\n{text(made)}")

    listeners.add(dump, trace=any(letter in letters for letter in "as"))
