"""The targets that cnp can emit code for: every module here that has a TARGET."""

from __future__ import annotations

import importlib
import pkgutil

from cnp.errors import UserError
from cnp.target.record import Target


def _found() -> dict[str, Target]:
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    targets = [module.TARGET for module in modules if hasattr(module, "TARGET")]
    return {target.name: target for target in sorted(targets, key=lambda each: each.name)}


TARGETS: dict[str, Target] = _found()


def target_named(name: str) -> Target:
    """The record of a target. UserError, listing the known ones, if there is none of that name."""
    try:
        return TARGETS[name]
    except KeyError:
        raise UserError(f"unknown target {name!r}: known are {', '.join(TARGETS)}") from None


__all__ = ["TARGETS", "Target", "target_named"]
