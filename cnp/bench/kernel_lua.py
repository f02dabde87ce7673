"""bench/kernels/*.lua -> entries, each in a process of LuaJIT that times itself."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cnp.bench.figure import Unavailable
from cnp.bench.kernel_entry import Outcome, exact
from cnp.bench.kernel_table import Arguments, Kernel, directory
from cnp.errors import InternalError

_ELEMENTS = {
    ctypes.c_uint8: "uint8_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_double: "double",
}


def lua_entry(kernel: Kernel, arguments: Arguments) -> LuaEntry:
    """A kernel run by LuaJIT. Unavailable without the program luajit."""
    if shutil.which("luajit") is None:
        raise Unavailable("luajit is not installed: it is the package luajit of most systems")
    return LuaEntry(kernel, arguments)


class LuaEntry:
    """A process, told on its stdin what to do. Buffers come and go in files."""

    code_size = 0

    def __init__(self, kernel: Kernel, arguments: Arguments) -> None:
        """Start it; bench/kernels/driver.lua says what it is given."""
        self._kernel = kernel
        self._directory = tempfile.TemporaryDirectory(prefix="cnp-bench-")
        self._buffers: list[Path] = []
        listed = Path(self._directory.name) / "arguments"
        listed.write_text("".join(self._line(each) + "\n" for each in arguments), encoding="utf-8")
        command = ["luajit", str(directory() / "driver.lua"), str(kernel.source(".lua")), str(listed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _line(self, argument: Any) -> str:
        if not isinstance(argument, ctypes.Array):
            return f"number {argument!r}"
        path = Path(self._directory.name) / str(len(self._buffers))
        path.write_bytes(bytes(argument))
        self._buffers.append(path)
        return f"buffer {_ELEMENTS[argument._type_]} {len(argument)} {path}"

    def outcome(self) -> Outcome:
        """The result in the kernel's type, and the buffers."""
        text = self._ask("outcome")
        return exact(self._result(text)), *(path.read_bytes() for path in self._buffers)

    def _result(self, text: str) -> int | float | None:
        if self._kernel.result is None:
            return None
        if self._kernel.result is ctypes.c_double:
            return float(text)
        return int(self._kernel.result(int(text.removesuffix("LL").removesuffix("U"))).value)

    def seconds(self) -> float:
        """By that process's clock."""
        return float(self._ask("time"))

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise InternalError(f"luajit failed on {self._kernel.name}: its message is above")
        return answer

    def close(self) -> None:
        """End the process, and remove the files."""
        self._process.communicate()
        self._directory.cleanup()
