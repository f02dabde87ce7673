"""What cnp found on this machine and why it chose what it chose: `cnp doctor`."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator

import cnp
from cnp.errors import CnpError
from cnp.runtime import default
from cnp.runtime.codememory import CodeMemory


def report() -> Iterator[tuple[str, str]]:
    """Topic and finding, a pair a line. Findings of several lines are indented by whoever prints them."""
    yield "cnp", cnp.__version__
    yield "python", f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield "machine", f"{default.machine()}, {platform.system()} {platform.release()}"
    try:
        library = default.default_library()
        meta = library.meta
        size = f"{len(library.ops)} ops, {len(library)} stencils, for {library.target}"
        yield "library", f"{library.path}\n{size}\nbuilt by {meta.get('clang', 'an unknown compiler')}"
    except CnpError as error:
        yield "library", f"{FAILED}: {error}"
    try:
        with CodeMemory() as memory:
            yield "code memory", memory.report()
    except CnpError as error:
        yield "code memory", f"{FAILED}: {error}"
    yield "self-test", _self_test()
    for extra, packages in _EXTRAS.items():
        missing = [package for package, module in packages.items() if not _is_installed(module)]
        advice = f"{', '.join(missing)} not installed: pip install 'cnp[{extra}]'"
        yield f"extra {extra!r}", advice if missing else "installed"


FAILED = "failed"
"""How the findings begin that keep cnp from working here."""

_EXTRAS = {
    "build": {"pyelftools": "elftools", "rich": "rich", "ziglang (or a clang)": "ziglang"},
    "disassembly": {"capstone": "capstone", "rich": "rich"},
}
"""The packages of each extra, and the module that each brings."""


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _self_test() -> str:
    try:
        f = cnp.Function("six_times_seven", [cnp.i64, cnp.i64], cnp.i64)
        product = f.reg(cnp.i64)
        f.i64_mul(product, *f.params)
        f.ret(product)
        made = f.compile()
        answer = made(6, 7)
    except CnpError as error:
        return f"{FAILED}: {error}"
    return f"compiled a function of {len(made.code)} bytes; 6 * 7 = {answer}"
