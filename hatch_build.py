"""The build hook: installing cnp from source builds the stencil libraries, with clang or with the ziglang wheel."""

from __future__ import annotations

import subprocess
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
        probe = "from cnp.build.clang import find_clang; find_clang()"
        found = subprocess.run([sys.executable, "-c", probe], cwd=self.root, capture_output=True, check=False)
        return [ZIGLANG] if found.returncode else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the files of a target are gathered; `version` is "standard" or "editable"."""
        if self.target_name != "wheel":
            return  # the source distribution carries sources
        # A process of its own, because the build starts worker processes and the installer's is not ours to fork.
        subprocess.run([sys.executable, "build_stencils.py"], cwd=self.root, check=True)
        if version != "editable":  # from there the sources are reached where they lie
            build_data["force_include"][str(Path(self.root, "stencils"))] = "cnp/_stencils"
