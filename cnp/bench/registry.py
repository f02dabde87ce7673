"""The benches, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from cnp.bench.figure import Recorder
from cnp.errors import UserError

MODULES = (
    "emission",
    "compile_time",
    "c_host",
    "versus",
    "call",
    "startup",
    "memory",
    "kernels",
    "targets",
    "library",
    "bpf",
    "ebpf",
    "bytecode",
    "tiers",
    "lang",
    "stackvm",
)
"""Modules of this package that define a BENCH, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A named group of figures and the function that measures them."""

    name: str
    summary: str
    run: Callable[[Recorder], None]


def benches() -> dict[str, Bench]:
    """All benches in order."""
    found: list[Bench] = [importlib.import_module(f"cnp.bench.{module}").BENCH for module in MODULES]
    return {each.name: each for each in found}


def chosen(names: list[str]) -> list[Bench]:
    """The benches of these names, or all. UserError for a name that there is none of."""
    known = benches()
    for name in names:
        if name not in known:
            raise UserError(f"there is no bench {name!r}; accepted: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(known.values())
