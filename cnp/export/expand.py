"""Several C files -> one: what is included by name is put in place of the line, once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnp.errors import InternalError

_INCLUDE = re.compile(r'#include "(?:\.\./)*([^"]+)"\n')


def expand(name: str, directories: Sequence[Path], texts: Mapping[str, str], kept: Sequence[str] = ()) -> str:
    """The file `name`, with what it includes. Names are looked up among `texts`, then in the directories, from which
    they lead; `kept` are left as they are.
    """
    done = {name, *kept}

    def read(name: str) -> str:
        if name in texts:
            return texts[name]
        for path in (directory / name for directory in directories):
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise InternalError(f"no C file {name!r} in {', '.join(map(str, directories))}")

    def put(match: re.Match[str]) -> str:
        included = match[1]
        if included in done:
            return match[0] if included in kept else ""
        done.add(included)
        return _INCLUDE.sub(put, read(included))

    return _INCLUDE.sub(put, read(name))
