"""Turns the C programs of programs/ into eBPF objects, and into shared libraries of this machine to compare with."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .instruction import EbpfError

PROGRAMS = Path(__file__).with_name("programs")
NAMES = ("hash", "checksum", "crc", "packets", "flows")
_WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


class NoCompiler(EbpfError):
    """There is no clang here that compiles for eBPF."""


@functools.cache
def find_clang() -> str:
    """The command of a clang that knows the target bpf: CNP_CLANG, or what PATH has. Raises NoCompiler."""
    names = [os.environ.get("CNP_CLANG", ""), "clang", *(f"clang-{version}" for version in range(25, 17, -1))]
    for name in filter(None, names):
        command = shutil.which(name)
        if command is None:
            continue
        shown = subprocess.run([command, "-print-targets"], capture_output=True, text=True, check=False)
        if "bpfel" in shown.stdout:
            return command
    raise NoCompiler("no clang with the target bpf is on PATH: it comes with the package clang of most systems")


def _compile(arguments: list[str]) -> None:
    done = subprocess.run([find_clang(), *_WARNINGS, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EbpfError(f"clang failed:\n{done.stderr.strip()}")


def compile_object(source: Path, output: Path) -> Path:
    """An eBPF object by clang -O2, with the instructions of version 4: 32-bit ones, signed divisions, atomics."""
    _compile(["-target", "bpfel", "-mcpu=v4", "-O2", "-c", str(source), "-o", str(output)])
    return output


def compile_native(source: Path, output: Path) -> Callable[[int, int], int]:
    """The function of the file's name, `(address, length) -> u64`, by clang -O2 for this machine."""
    _compile(["-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic", str(source), "-o", str(output)])
    function = ctypes.CDLL(str(output))[source.stem]
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_uint64], ctypes.c_uint64
    call: Callable[[int, int], int] = function
    return call
