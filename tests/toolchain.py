"""The tools that tests compare with, found as the build finds its own; a skip that is reported where there are none."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys

import pytest

from cnp.build.clang import NEWEST_NAME, OLDEST, Clang, find_clang
from cnp.errors import BuildError


def find_tool(name: str) -> str | None:
    """A tool of LLVM, the newest by its name; else one whose name does not say what it is, which may be older."""
    names = (*(f"{name}-{number}" for number in range(NEWEST_NAME, OLDEST - 1, -1)), name)
    return next(filter(None, map(shutil.which, names)), None)


@functools.cache
def need_clang() -> Clang:
    """The compiler that the build would take."""
    try:
        return find_clang()
    except BuildError as error:
        pytest.skip(f"NOT TESTED: {error}")


@functools.cache
def need_linker() -> tuple[str, ...]:
    """lld, which links for every target."""
    found = find_tool("ld.lld")
    if found:
        return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "ld.lld")
    pytest.skip("NOT TESTED: what is linked for other machines: there is no ld.lld")


def need_objdump() -> str:
    """llvm-objdump, where capstone does not know a target."""
    found = find_tool("llvm-objdump")
    if found is None:
        pytest.skip("NOT TESTED: there is no capstone that knows the target, and no llvm-objdump")
    return found
