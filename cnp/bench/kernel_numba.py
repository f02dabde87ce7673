"""bench/kernels/numba_kernels.py -> entries, compiled by numba."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from types import ModuleType
from typing import Any

from cnp.bench.figure import Unavailable
from cnp.bench.kernel_entry import LocalEntry
from cnp.bench.kernel_table import Arguments, Kernel, directory


def numba_entry(kernel: Kernel, arguments: Arguments) -> LocalEntry:
    """A kernel compiled by numba as it does by itself, vectors included. Unavailable without it."""
    function = getattr(_module(), kernel.name)
    passed = [_array(each) if isinstance(each, ctypes.Array) else each for each in arguments]
    return LocalEntry(lambda: function(*passed), arguments)


@functools.cache
def _module() -> ModuleType:
    path = directory() / "numba_kernels.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)  # where numba looks for recursive functions
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[path.stem]
        raise Unavailable(f"{error.name} is not installed: pip install 'cnp[numba]'") from None
    return module


def _array(buffer: ctypes.Array[Any]) -> Any:
    import numpy

    return numpy.ctypeslib.as_array(buffer)
