"""The build hook: installing cnp from source builds the stencil libraries, with clang or with the ziglang wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ZIGLANG = "ziglang>=0.14"  # zig 0.14 is clang 19, the first that will do


class StencilBuildHook(BuildHookInterface):
    """Builds cnp/data/*.cnpl before a wheel is put together, for an editable installation too."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the isolated environment of the build needs: a compiler, unless the machine has one."""
        with _importable(self.root):
            from cnp.build.clang import find_clang
            from cnp.errors import BuildError

            try:
                find_clang()
            except BuildError:
                return [ZIGLANG]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the files of a target are gathered; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return  # the source distribution carries sources
        with _importable(self.root):
            from cnp.build import build_libraries

            build_libraries(Path(self.root, "stencils"), Path(self.root, "cnp", "data"))
        if version != "editable":  # from there the sources are reached where they lie
            build_data["force_include"][str(Path(self.root, "stencils"))] = "cnp/_stencils"


class _importable:
    """Makes the cnp of this directory importable, and leaves no trace of it."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)

    def __enter__(self) -> None:
        sys.path.insert(0, self._root)

    def __exit__(self, *_: object) -> None:
        sys.path.remove(self._root)
