"""Peer: numba, njit with a signature."""

from __future__ import annotations

from typing import Any

from cnp.bench.peers.description import Group
from cnp.bench.peers.peer import Functions, Peer
from cnp.bench.peers.python_source import translate


class Numba(Peer):
    """Python text, compiled one function at a time. What numba keeps of a function that was dropped, it keeps."""

    name = "numba"
    packages = ("numba",)

    def __init__(self) -> None:
        super().__init__()
        import numba

        self._numba = numba

    @property
    def version(self) -> str:
        return str(self._numba.__version__)

    def build(self, group: Group) -> tuple[Group, list[str]]:
        return group, [translate(each) for each in group]

    def finish(self, built: tuple[Group, list[str]]) -> Functions:
        made = []
        for description, text in zip(*built):
            names: dict[str, Any] = {}
            exec(text, names)
            integers = ",".join("int64" for _ in description.parameters)
            made.append(self._numba.njit(f"int64({integers})")(names[description.symbol]))
        return made
