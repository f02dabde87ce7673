"""Peer: wasmtime, Cranelift behind it."""

from __future__ import annotations

from functools import partial
from importlib import metadata

from cnp.bench.peers.description import Group
from cnp.bench.peers.peer import Functions, Peer
from cnp.bench.peers.wasm_binary import translate


class Wasmtime(Peer):
    """WebAssembly in binary form, one engine with the default settings, a module and a store for every group.

    Code goes when the last function of a group does. Functions of one module are compiled on all processors.
    """

    name = "wasmtime"
    packages = ("wasmtime",)

    def __init__(self) -> None:
        super().__init__()
        import wasmtime

        self._wasmtime = wasmtime
        self._engine = wasmtime.Engine()

    @property
    def version(self) -> str:
        return metadata.version("wasmtime")

    def build(self, group: Group) -> tuple[Group, bytes]:
        return group, translate(group)

    def finish(self, built: tuple[Group, bytes]) -> Functions:
        group, binary = built
        store = self._wasmtime.Store(self._engine)
        instance = self._wasmtime.Instance(store, self._wasmtime.Module(self._engine, binary), [])
        exports = instance.exports(store)
        return [partial(exports[each.symbol], store) for each in group]
