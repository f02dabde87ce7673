"""An extension library's file -> a class of functions that have its ops: what `cnp.load` gives."""

from __future__ import annotations

import os

from cnp.errors import LibraryError, Unsupported, UserError
from cnp.extension.called import called_ops
from cnp.ir.function import Function
from cnp.ir.opmethods import make_called, make_method
from cnp.ir.optable import OpTable, default_ops
from cnp.runtime.abi import ABI_HASH
from cnp.runtime.default import machine, missing_features
from cnp.stencil.layout import SymbolKind
from cnp.stencil.library import REBUILD, Library
from cnp.stencil.model import OpFlag, Shape

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from cnp.ir.text import Module
    from cnp.stencil.library import OpRow

_opened: dict[bytes, Library] = {}
"""Libraries by digest: whoever loads one again gets the same code, and its functions may call those of before."""


class OpLibrary:
    """The ops of an extension library, beside the built-in ones. Made by `cnp.load`."""

    Function: Any
    """As cnp.Function, with a method for every op of the library."""

    def __init__(
        self, library: Library, semantics: Mapping[str, Callable[..., Any]], imports: Mapping[str, Any]
    ) -> None:
        self.library = library
        _check_built_in(library)
        self._own = own_rows(library)
        self.table = OpTable(library.ops)
        self.table.library = library
        self.table.called = called_ops(library, imports, self.table.meanings)
        methods = {row.method: make_method(row) for row in self._own if not row.flags & OpFlag.HIDDEN}
        methods |= {name.replace(".", "_", 1): make_called(op) for name, op in self.table.called.items()}
        self.Function = type("Function", (Function,), {"__slots__": (), "_own_ops": self.table, **methods})
        self.Function.__doc__ = f"A function that may have the ops of {library.path}: see cnp.Function."
        for name, meaning in semantics.items():
            self.define(name, meaning)

    def add_target(self, path: str | os.PathLike[str]) -> None:
        """The same ops for another machine, which `cnp build DIR --target NAME -o FILE` makes: functions are compiled
        for it by compile(target=NAME) and `cnp emit` then, if they have no op that is a CALL.

        LibraryError if the file is missing, damaged, or made for another ABI or of other files, UserError if it is
        for this machine.
        """
        path = os.fspath(path)
        try:
            found = Library.open(path, abi_hash=ABI_HASH)
        except LibraryError as error:
            raise LibraryError(str(error).replace(REBUILD, _rebuild(path))) from None
        if found.target == self.library.target:
            raise UserError(f"{path} is for {found.target}, as {self.path} is; accepted: one for another target")
        same = [each.method for each in found.ops] == [each.method for each in self.library.ops]
        if not same or _about(found).get("sources") != _about(self.library).get("sources"):
            raise LibraryError(f"{path} was made of other files than {self.path}; rebuild both")
        self.table.elsewhere[found.target] = found

    @property
    def path(self) -> str:
        """The file."""
        return self.library.path

    @property
    def ops(self) -> list[str]:
        """Public names of the library's own ops, without their fused branches."""
        return [*(row.name for row in self._own if row.shape != Shape.BRANCH), *self.table.called]

    def define(self, name: str, meaning: Callable[..., Any]) -> None:
        """Say what an op means: `meaning` takes the op's operands, in the order of its C parameters, and gives its
        result, or raises cnp.ir.semantics.TrapSignal.

        Integers are signed Python numbers, a ptr is the address. Of a LOAD or STORE it has the constant offset in it.
        UserError for a name that is none of the library's own ops.
        """
        if name not in self.table.called:
            self.row(name)
        self.table.meanings[name] = meaning

    def row(self, name: str) -> OpRow:
        """The row of an op of the library's own, by public name. UserError if there is none."""
        found = next((row for row in self._own if row.name == name and row.shape != Shape.BRANCH), None)
        if found is None:
            raise UserError(f"{self.path} has no op {name!r} of its own; accepted: {', '.join(self.ops) or 'none'}")
        return found

    def branches(self, name: str) -> list[OpRow]:
        """The fused branches of a comparison that users can name."""
        methods = {f"branch_{self.row(name).method}"}
        return [row for row in self._own if row.method in methods]

    def pointers(self, name: str) -> Sequence[int]:
        """Which operands of an op are addresses that it reads or writes at, in the order of its row."""
        method = name.replace(".", "_", 1) if name in self.table.called else self.row(name).method
        found: Sequence[int] = _about(self.library).get("pointers", {}).get(method, ())
        return found

    def parse(self, text: str, filename: str = "<text>") -> Module:
        """Functions in text form, which may have the library's ops. ParseError says where it cannot be read."""
        from cnp.ir.text import parse

        return parse(text, filename, functions=self.Function)

    def check(
        self, name: str, samples: Iterable[Sequence[Any]] | None = None, *, count: int = 64, seed: int = 0
    ) -> int:
        """Compare an op, compiled in many placements, with its meaning: see cnp.extension.check.check."""
        from cnp.extension.check import check

        return check(self, name, samples, count=count, seed=seed)

    def __repr__(self) -> str:
        return f"<op library {self.path}: {', '.join(self.ops)}>"


def load(
    path: str | os.PathLike[str],
    *,
    semantics: Mapping[str, Callable[..., Any]] | None = None,
    imports: Mapping[str, Any] | None = None,
) -> OpLibrary:
    """Open an extension library, made by `cnp build DIR -o FILE`, for this machine.

    semantics: what its ops mean in Python, by public name; see OpLibrary.define. imports: where the C functions are
    that its files IMPORT, by name: addresses, or functions of ctypes; what is not given is looked for in the process.
    LibraryError if the file is missing, damaged, or made for another target, ABI or set of built-in ops, or if an
    import is not to be found; UserError for an import that the library does not have, or other addresses than when it
    was loaded before; Unsupported if the processor lacks something.
    """
    path = os.fspath(path)
    try:
        library = Library.open(path, target=machine(), abi_hash=ABI_HASH)
    except LibraryError as error:
        raise LibraryError(str(error).replace(REBUILD, _rebuild(path))) from None
    known = _opened.setdefault(library.digest, library)
    if known is not library:
        library.close()
    lacking = missing_features([name for name, _ in known.symbols[SymbolKind.FEATURE]])
    if lacking:
        raise Unsupported(f"this processor lacks {', '.join(lacking)}, which the stencils of {path} use")
    return OpLibrary(known, semantics or {}, imports or {})


def own_rows(library: Library) -> list[OpRow]:
    """The rows of the ops that are not built in, branches included."""
    own = set(_about(library).get("ops", ()))
    own |= {f"{prefix}{name}" for name in own for prefix in ("branch_", "branch_not_")}
    return [row for row in library.ops if row.method in own]


def _about(library: Library) -> Mapping[str, Any]:
    found: Mapping[str, Any] = library.meta.get("extension", {})
    return found


def _rebuild(path: str) -> str:
    return f"rebuild it with `cnp build DIR -o {path}`"


def _check_built_in(library: Library) -> None:
    """LibraryError unless the built-in ops have the codes that the methods of cnp.Function emit."""
    own = {row.code for row in own_rows(library)}
    theirs = [row.method for row in library.ops if row.code not in own]
    ours = [row.method for _, row in sorted(default_ops().rows.items())]
    if theirs != ours or any(code < len(theirs) for code in own):
        different = sorted(set(theirs) ^ set(ours)) or ["their order"]
        raise LibraryError(
            f"{library.path} has other built-in ops than this cnp ({', '.join(different[:5])}); "
            f"{_rebuild(library.path)}"
        )
