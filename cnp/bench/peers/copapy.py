"""Peer: copapy, copy-and-patch for graphs of arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Callable
from importlib import metadata
from typing import Any

from cnp.bench.figure import Unavailable
from cnp.bench.peers.description import Description, Group
from cnp.bench.peers.peer import Functions, Peer

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "i64.add": operator.add,
    "i64.sub": operator.sub,
    "i64.mul": operator.mul,
}


class Copapy(Peer):
    """A graph of its values, a target for every function. It has integers of 32 bits, and neither loops nor calls."""

    name = "copapy"
    packages = ("copapy",)
    bits = 32

    def __init__(self) -> None:
        super().__init__()
        import copapy

        self._copapy = copapy

    @property
    def version(self) -> str:
        return metadata.version("copapy")

    def build(self, group: Group) -> list[tuple[list[Any], Any]]:
        """Inputs and output of every function."""
        return [self._graph(each) for each in group]

    def _graph(self, description: Description) -> tuple[list[Any], Any]:
        if description.labels:
            raise Unavailable("copapy has no loops and branches")
        inputs = [self._copapy.value(number) for number, _ in enumerate(description.parameters)]
        table: list[Any] = [*inputs, *[None] * (len(description.registers) - len(inputs))]
        table += [each.value for each in description.constants]
        for name, places, _ in description.ops:
            operation = _OPERATORS.get(name)
            if operation is not None:
                d, a, b = places
                table[d] = operation(table[a], table[b])
            elif name == "ret":
                return inputs, table[places[0]]
            elif name in ("move", "i64.const"):
                table[places[0]] = table[places[1]]
            else:
                raise Unavailable(f"copapy: op {name} is not translated")
        raise Unavailable("copapy: no result")

    def finish(self, built: list[tuple[list[Any], Any]]) -> Functions:
        return [self._function(*each) for each in built]

    def _function(self, inputs: list[Any], output: Any) -> Callable[..., Any]:
        target = self._copapy.Target()
        target.compile(output)

        def call(*arguments: int) -> Any:
            for each, argument in zip(inputs, arguments):
                try:
                    target.write_value(each, argument)
                except AssertionError:  # an input that nothing depends on is not there
                    pass
            target.run()
            return target.read_value(output)

        return call
