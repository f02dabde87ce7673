"""`cnp export-c`: writes the C files."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cnp.errors import Unsupported, UserError
from cnp.export import bytecode, called, ops, tables
from cnp.export.expand import expand
from cnp.runtime.abi import ABI_HASH
from cnp.runtime.default import default_library, library_for
from cnp.stencil.library import Library
from cnp.stencil.sources import stencils_directory
from cnp.stencil.writer import write_file
from cnp.target import TARGETS

if TYPE_CHECKING:
    from cnp.bytecode import Table

HOST = Path(__file__).parent / "host"


def export(library: Library, directory: Path, guests: Mapping[str, Table] | None = None) -> list[Path]:
    """Write cnp.h and cnp.c, which embed a library and tables of guest bytecode, by name.

    UserError if an op's name cannot be one in C, or if a table cannot be exported.
    """
    guests = guests or {}
    if not (HOST / f"{library.target}.h").is_file():
        accepted = ", ".join(sorted(each.name for each in TARGETS.values() if (HOST / f"{each.name}.h").is_file()))
        raise Unsupported(f"C programs cannot have {library.target} yet; accepted: {accepted}")
    header = (HOST / "cnp.h").read_text(encoding="utf-8")
    texts = {
        "ops.h": ops.declarations(library.ops, header) + called.declarations(library),
        "called.c": called.definitions(library),
        "tables_of_bytecode.h": bytecode.declarations(guests),
        "bytecode.h": bytecode.definitions(guests, library),
        "tables.h": tables.tables(library),
        "operations.h": ops.table(library.ops),
        "machine.h": f'#include "{library.target}.h"\n',
        "data.h": tables.data(library),
    }
    directories = (HOST, stencils_directory())
    files = {
        "cnp.h": expand("cnp.h", directories, texts),
        "cnp.c": expand("cnp.c", directories, texts, kept=("cnp.h",)),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_file(directory / name, text.encode())
    return [directory / name for name in files]


def table_named(name: str) -> Table:
    """A cnp.bytecode.Table by `module:name`, looked for in the current directory first. UserError if there is none."""
    from cnp.bytecode import Table

    module, _, attribute = name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)  # an installed command has its own directory there, `python -m` this one
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"bytecode {name!r}: {error}; accepted: MODULE:NAME of a cnp.bytecode.Table") from None
    finally:
        sys.path.remove(here)
    if not isinstance(found, Table):
        raise UserError(f"bytecode {name!r} is {found!r}; accepted: MODULE:NAME of a cnp.bytecode.Table")
    return found


def opened(path: Path | None, target: str | None) -> Library:
    """The library at a path, or the package's for a target, by default this machine's. LibraryError if it is none."""
    if path is not None:
        return Library.open(path, target=target, abi_hash=ABI_HASH)
    return default_library() if target is None else library_for(target)
