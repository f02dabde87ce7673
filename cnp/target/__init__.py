"""The targets that cnp can emit code for."""

from __future__ import annotations

from cnp.errors import UserError
from cnp.target.aarch64 import AARCH64
from cnp.target.record import Target
from cnp.target.riscv64 import RISCV64
from cnp.target.x86_64 import X86_64

TARGETS: dict[str, Target] = {target.name: target for target in (X86_64, AARCH64, RISCV64)}


def target_named(name: str) -> Target:
    """The record of a target. UserError, listing the known ones, if there is none of that name."""
    try:
        return TARGETS[name]
    except KeyError:
        raise UserError(f"unknown target {name!r}: known are {', '.join(TARGETS)}") from None


__all__ = ["TARGETS", "Target", "target_named"]
