"""cnp itself as a peer: what the others are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cnp
from cnp import Function
from cnp.bench.peers.description import Description, External, Group
from cnp.bench.peers.peer import Functions, Peer


class Own(Peer):
    """Functions by op methods, compiled one by one. Code goes when a function does."""

    name = "cnp"
    packages = ("cnp",)

    def __init__(self) -> None:
        super().__init__()
        self._methods: dict[str, Callable[..., None]] = {"branch_table": _branch_table}

    @property
    def version(self) -> str:
        return cnp.__version__

    def build(self, group: Group) -> Sequence[Function]:
        functions = [Function(each.name, each.parameters, each.result) for each in group]
        for description, function in zip(group, functions):
            self._fill(function, description, functions)
        return functions

    def _fill(self, function: Function, description: Description, functions: Sequence[Function]) -> None:
        table: list[Any] = [*function.params]
        table += [function.reg(each) for each in description.registers[len(table) :]]
        table += [each.value for each in description.constants]
        table += [function.label() for _ in range(description.labels)]
        table += [_extern(each) if isinstance(each, External) else functions[each] for each in description.callees]
        table.append(None)
        methods = self._methods
        for name, _, pick in description.ops:
            method = methods.get(name)
            if method is None:
                method = methods[name] = getattr(function, name.replace(".", "_").replace(" ", "_")).__func__
            method(function, *pick(table))

    def finish(self, built: Sequence[Function]) -> Functions:
        return [each.compile() for each in built]


def _branch_table(function: Function, index: Any, default: Any, *labels: Any) -> None:
    function.branch_table(index, labels, default)


def _extern(callee: External) -> Any:
    return cnp.extern(callee.address, callee.parameters, callee.result)
