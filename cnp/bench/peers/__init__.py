"""What one would pick instead of cnp, each as a peer that compiles the same functions; and cnp itself.

One module a peer, which imports its package when a peer is made. Descriptions are what they all get, jobs what they are
timed with, contest the process that times one of them.
"""

from __future__ import annotations

import importlib

from cnp.bench.peers.peer import Peer

_PLACES = {
    "cnp": ("own", "Own"),
    "libtcc": ("libtcc", "Libtcc"),
    "llvmlite_O0": ("llvm", "LlvmliteO0"),
    "llvmlite_O2": ("llvm", "LlvmliteO2"),
    "wasmtime": ("wasmtime", "Wasmtime"),
    "numba": ("numba", "Numba"),
    "copapy": ("copapy", "Copapy"),
    "cffi_gcc": ("cffi", "CffiGcc"),
}
NAMES = tuple(_PLACES)


def peer_named(name: str) -> type[Peer]:
    """The class of a peer, one of NAMES."""
    module, made = _PLACES[name]
    found: type[Peer] = getattr(importlib.import_module(f"{__name__}.{module}"), made)
    return found
