"""Finds a clang that knows preserve_none, and runs it."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnp.errors import BuildError
from cnp.target.record import Target

OLDEST = 19
"""The first clang whose preserve_none passes 12 integer arguments in registers on x86-64 and aarch64."""
NEWEST_NAME = 30
_INSTALL = f"install clang {OLDEST} or later, or `pip install cnp[build]`, which brings one in the ziglang package"


@dataclass(frozen=True, slots=True)
class Clang:
    """A compiler: how it is started, and what it calls itself."""

    command: tuple[str, ...]
    version: str  # first line of --version, without paths
    zig: bool  # `zig cc`, which has its own spelling of targets

    def arguments(self, target: Target, flags: Sequence[str]) -> list[str]:
        """The command line up to the input files."""
        if self.zig:
            selection = ["-target", target.zig_triple, target.zig_cpu]
        else:
            selection = [f"--target={target.triple}", *target.clang_cpu.split()]
        return [*self.command, *selection, *flags]

    def run(self, arguments: Sequence[str], cwd: Path) -> str:
        """Run to the end; what it wrote to stdout. BuildError with its own messages if it fails."""
        done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, env=_environment())
        if done.returncode:
            raise BuildError(f"the compiler failed ({self.version}):\n{done.stderr.strip()}")
        return done.stdout


def _environment() -> dict[str, str]:
    # Messages in English and without colour: tests and people compare them. Times must not get in.
    return {**os.environ, "LC_ALL": "C", "CLICOLOR": "0", "SOURCE_DATE_EPOCH": "0"}


def find_clang(wanted: str | None = None) -> Clang:
    """The compiler to build with: `wanted` (a command line), else CNP_CLANG, else PATH, else the ziglang package.

    BuildError says what was found, what is needed and what to install.
    """
    wanted = wanted or os.environ.get("CNP_CLANG")
    if wanted:
        return _probe(shlex.split(wanted))
    refused = []
    for name in ("clang", *(f"clang-{n}" for n in range(NEWEST_NAME, OLDEST - 1, -1))):
        path = shutil.which(name)
        if path is None:
            continue
        try:
            return _probe([path])
        except BuildError as error:
            refused.append(str(error))
    if importlib.util.find_spec("ziglang") is not None:
        return _probe([sys.executable, "-m", "ziglang", "cc"])
    raise BuildError("\n".join(["no usable clang", *refused, _INSTALL]))


def _probe(command: Sequence[str]) -> Clang:
    shown = shlex.join(command)
    zig = "zig" in Path(command[0]).name or "ziglang" in command
    if zig and command[-1] != "cc":
        command = [*command, "cc"]
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, env=_environment())
    except OSError as error:
        raise BuildError(f"cannot run {shown}: {error.strerror}; {_INSTALL}") from None
    first = done.stdout.partition("\n")[0].strip()
    match = re.search(r"clang version (\d+)\.", first)
    if done.returncode or match is None:
        raise BuildError(f"{shown} is not clang: --version says {first or done.stderr.strip()!r}; {_INSTALL}")
    if int(match[1]) < OLDEST:
        raise BuildError(f"{shown} is clang {match[1]}, which is older than {OLDEST}; {_INSTALL}")
    return Clang(tuple(command), first, zig)
