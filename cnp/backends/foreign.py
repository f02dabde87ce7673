"""Functions -> machine code for another target: what `compile(target=...)` gives where that is not this machine's."""

from __future__ import annotations

import threading

from cnp.backends.requests import Group
from cnp.errors import LibraryError, Unsupported
from cnp.ir.callback import Callback
from cnp.ir.function import Function, library_elsewhere
from cnp.runtime.code import announce, forget
from cnp.runtime.default import library_for
from cnp.stencil.layout import SectionName, SymbolKind
from cnp.stencil.patching import patch

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

    from cnp.backends.requests import Compiled, Resolve
    from cnp.runtime.code import Part
    from cnp.runtime.core import Core
    from cnp.runtime.layout import Library as Tables
    from cnp.runtime.outward import Home
    from cnp.stencil.library import Library

    Image = tuple[bytes, list[Part], list["Relocation"]]
    Again = Callable[[int, Callable[[Any], Compiled], Home | None], Image]

_CONSTANT = 16  # bytes: no constant of a stencil is larger, or aligned to more
_tables: dict[bytes, Tables] = {}
"""By the library's digest."""
_lock = threading.Lock()


class Relocation:
    """A field of an image that holds the distance to something outside it."""

    __slots__ = ("addend", "kind", "offset", "symbol")

    def __init__(self, offset: int, kind: int, symbol: Any, addend: int) -> None:
        self.offset = offset  # of the field, in the image
        self.kind = kind  # row of the library's patch kinds
        self.symbol = symbol  # the name of a routine of the core, a ForeignFunction, or an Extern without address
        self.addend = addend


class _Placed:
    """Code that has an address."""

    __slots__ = ("entry",)

    def __init__(self, entry: int) -> None:
        self.entry = entry


class ForeignFunction:
    """A function compiled for another target, with all that it calls: an image, which runs wherever it is linked to.

    It cannot be called here: `cnp.tools.emulator` runs it where qemu is installed, `cnp emit` writes it to an object
    file.
    """

    backend = "native"

    def __init__(
        self,
        function: Function,
        library: Library,
        image: bytes,
        parts: list[Part],
        relocations: list[Relocation],
        again: Again | None = None,
    ) -> None:
        self.function = function
        """What was compiled."""
        self.library = library
        self.image = image
        """Code of all functions, this one first. Fields of relocations hold distances from address 0."""
        self.parts = parts
        self.relocations = relocations
        self._again = again
        self._far_parts: list[Part] = []
        announce(parts)

    def __del__(self) -> None:
        forget([*self.parts, *self._far_parts])

    entry = 0
    """Where the function begins in its image."""

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.library.target

    @property
    def code(self) -> bytes:
        """The function's own machine code, its pool and jump tables included."""
        return self.image[: self.parts[0].code_size]

    @property
    def frame_size(self) -> int:
        """Bytes of the frame stack that an activation takes."""
        return self.parts[0].frame_size

    def linked(self, address: int, routines: Mapping[str, int], loaded: Mapping[int, int]) -> bytes:
        """The image as it runs at an address. `routines` are addresses of the core's routines by name, `loaded` those
        of images that this one calls, by id().

        Where something is out of reach, the functions are compiled again with calls that reach everything: then there
        is more code than in `image`, and it runs at any address. Unsupported if they have changed since, and for
        functions that lead to this Python, by side exits or callbacks: see `linked_to`.
        """
        if self.leads_out:
            raise Unsupported(
                f"function {self.function.name!r} has side exits or callbacks, which lead to this Python; accepted: to "
                "run it by cnp.tools.emulated"
            )
        data = bytearray(self.image)
        try:
            for each in self.relocations:
                to = routines[each.symbol] if isinstance(each.symbol, str) else loaded[id(each.symbol)]
                patch(data, each.offset, self.library.kinds[each.kind], to + each.addend - (address + each.offset))
        except OverflowError:
            if self._again is None:
                raise
            return self._compiled_again(routines, loaded, None)[0]
        return bytes(data)

    @property
    def leads_out(self) -> bool:
        """Whether there are side exits or callbacks in it."""
        callees = (callee for part in self.parts for callee in part.function._callees)
        return any(part.exits is not None for part in self.parts) or any(isinstance(each, Callback) for each in callees)

    def linked_to(self, home: Home, routines: Mapping[str, int], loaded: Mapping[int, int]) -> tuple[bytes, list[Part]]:
        """The same where it leads out: `home` has memory for records of what leads there, which the parts have. The
        image runs at any address.
        """
        return self._compiled_again(routines, loaded, home)

    def _compiled_again(
        self, routines: Mapping[str, int], loaded: Mapping[int, int], home: Home | None
    ) -> tuple[bytes, list[Part]]:
        assert self._again is not None
        name, offset = next(iter(self.library.exports.items()))
        image, parts, _ = self._again(routines[name] - offset, lambda callee: _Placed(loaded[id(callee)]), home)
        announce(parts)
        self._far_parts += parts
        return image, parts

    def disassemble(self) -> str:
        """The machine code as text, an instruction a line. MissingExtra without capstone."""
        from cnp.tools.disassembly import disassemble

        return disassemble(self.code, 0, self.target, self.parts[0].code_end)

    def __call__(self, *_: object) -> NoReturn:
        raise Unsupported(
            f"function {self.function.name!r} is compiled for {self.target}, which this machine does not run; "
            "cnp.tools.emulator runs it under qemu"
        )

    def __repr__(self) -> str:
        return f"<function {self.function.name} for {self.target}, {len(self.code)} bytes of code>"


def tables_for(core: Core, library: Library) -> Tables:
    """What the core wants to know of a foreign library. LibraryError if its ops are not those of the core's own."""
    with _lock:
        if library.digest not in _tables:
            if [row.method for row in library.ops] != [row.method for row in core.library.ops]:
                raise LibraryError(
                    f"{library.path} has other ops than {core.library.path}; "
                    "rebuild both with `python build_stencils.py`"
                )
            _tables[library.digest] = core.make_tables(library, 0)
        return _tables[library.digest]


def library_of_target(function: Function, target: str) -> Library:
    """What a function is compiled with for a target: the package's, or the one with its ops. LibraryError or
    Unsupported if there is none.
    """
    found: Library = library_elsewhere(function, target) or library_for(target)
    return found


def compile(
    core: Core,
    function: Function,
    functions: Sequence[Function],
    target: str,
    *,
    safepoints: bool,
    trace: bool,
    pins: bytes | None,
    landing_pads: bool,
) -> ForeignFunction:
    """Compile `functions`, the first of which is `function`, for another target than the core's."""
    library = library_of_target(function, target)

    def resolve(callee: Any) -> ForeignFunction:
        if isinstance(callee, ForeignFunction) and callee.target == target:
            return callee
        accepted = f"a Function, or one compiled for {target}"
        raise Unsupported(f"code for {target} cannot call {callee!r}; accepted: {accepted}")

    def compiled(resolve: Resolve, tables: Tables, home: Home | None, *, far_calls: bool) -> Image:
        group = Group(
            core, functions, resolve, safepoints=safepoints, trace=trace, pins=pins, landing_pads=landing_pads,
            far_calls=far_calls, tables=tables, home=home,
        )  # fmt: skip
        return linkable(group, library)

    def again(blob: int, resolve: Resolve, home: Home | None) -> Image:
        for each, count in zip(functions, counts):
            if len(each._ops) != count:
                raise Unsupported(
                    f"function {each.name!r} has changed since it was compiled for {target}, and must be compiled "
                    "again there, because something is out of reach; accepted: a function that is left alone"
                )
        tables = type(near).from_buffer_copy(near)
        tables.blob = blob
        return compiled(resolve, tables, home, far_calls=True)

    near = tables_for(core, library)
    counts = [len(each._ops) for each in functions]
    made = compiled(resolve, near, None, far_calls=False)
    return ForeignFunction(function, library, *made, again)


def compile_for_linker(
    core: Core, functions: Sequence[Function], library: Library, *, landing_pads: bool
) -> tuple[bytes, list[Part], list[Relocation]]:
    """Code of functions, and of no others that they call, for an object file. There are no safepoints in it."""

    def resolve(callee: Any) -> NoReturn:
        raise Unsupported(f"an object file cannot call {callee!r}; accepted: a Function, or cnp.extern(name, ...)")

    group = Group(
        core, functions, resolve, safepoints=False, trace=False, pins=None, landing_pads=landing_pads,
        tables=tables_for(core, library), for_linker=True,
    )  # fmt: skip
    return linkable(group, library)


def linkable(group: Group, library: Library) -> tuple[bytes, list[Part], list[Relocation]]:
    """A group's code, with the library's constants behind it where it refers to some; its parts; and what else it
    refers to, in order."""
    code, parts, externals = group.image()
    image = bytearray(code)
    routines = {offset: name for name, offset in library.symbols[SymbolKind.EXPORT]}
    constants: dict[int, int] = {}  # where those at offsets of the blob are in the image
    first = -(-len(code) // _CONSTANT)
    relocations = []
    for number, row, callee in externals:
        place = parts[number].offset + row.position
        if callee is None and row.offset not in routines:
            at = constants.setdefault(row.offset, (first + len(constants)) * _CONSTANT)
            patch(image, place, library.kinds[row.field], at + row.addend - place)
        else:
            symbol = routines[row.offset] if callee is None else callee
            relocations.append(Relocation(place, row.field, symbol, row.addend))
    if constants:
        blob = library.section(SectionName.BLOB)
        image += bytes(-len(image) % _CONSTANT)
        for offset in constants:  # there may be less of it, and then it does not matter what follows
            image += bytes(blob[offset : offset + _CONSTANT]).ljust(_CONSTANT, b"\0")
    relocations.sort(key=lambda each: each.offset)
    return bytes(image), parts, relocations
