"""Peer: gcc through cffi's API mode, an extension module for every group."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

from cnp.bench.figure import Unavailable
from cnp.bench.peers.c_source import translate
from cnp.bench.peers.description import Description, Group
from cnp.bench.peers.peer import Functions, Peer
from cnp.types import Type

_numbers = itertools.count()
_TYPES = {Type.i32: "int", Type.i64: "long long", Type.f32: "float", Type.f64: "double"}
# The last -O counts. Without -g0 gcc would also write the debug information that Python was built with.
_FLAGS = ["-O2", "-g0", "-w", "-fno-strict-aliasing", "-ffp-contract=off"]


class CffiGcc(Peer):
    """C text to gcc -O2, through files. Extension modules are never unloaded."""

    name = "cffi_gcc"
    packages = ("cffi",)

    def __init__(self) -> None:
        super().__init__()
        import cffi

        if shutil.which("gcc") is None:
            raise Unavailable("gcc is not installed")
        self._cffi = cffi
        self._directory = tempfile.mkdtemp(prefix="cnp-bench-")
        weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)

    @property
    def version(self) -> str:
        asked = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
        return f"{self._cffi.__version__}, gcc {asked.stdout.strip()}"

    def build(self, group: Group) -> tuple[Group, str]:
        return group, translate(group)

    def finish(self, built: tuple[Group, str]) -> Functions:
        group, text = built
        name = f"_group_{next(_numbers)}"
        builder = self._cffi.FFI()
        builder.cdef("".join(map(_declaration, group)))
        builder.set_source(name, text, extra_compile_args=_FLAGS, libraries=["m"])
        path = builder.compile(tmpdir=self._directory)
        spec = importlib.util.spec_from_file_location(name, Path(path))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return [getattr(module.lib, each.symbol) for each in group]


def _declaration(description: Description) -> str:
    """As Python sees the function: its integers have a sign."""
    result = "void" if description.result is None else _TYPES[description.result]
    parameters = ",".join(_TYPES[each.register_type] for each in description.parameters)
    return f"{result} {description.symbol}({parameters or 'void'});\n"
