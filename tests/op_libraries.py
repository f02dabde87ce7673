"""Op libraries of a user's own that tests build, and those of the examples, which all of them share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from shared_files import once

import cnp
from cnp.errors import BuildError, Unsupported
from cnp.extension.library import OpLibrary
from examples.ebpf import atomics
from examples.ops.meanings import MEANINGS

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "ops"
STACKVM = ROOT / "examples" / "stackvm" / "ops"
MACHINE = os.uname().machine


def build(directory: Path, output: Path, force: bool = False, target: str = MACHINE) -> Any:
    from cnp.build.clang import find_clang
    from cnp.build.pipeline import Settings, build_library
    from cnp.build.progress import Silent
    from cnp.stencil.sources import stencils_directory
    from cnp.target import target_named

    try:
        clang = find_clang()
    except BuildError as error:
        pytest.skip(f"NOT TESTED: {error}")
    settings = Settings(clang, target_named(target), stencils_directory(), output, force=force, extension=directory)
    return build_library(settings, Silent())


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's library. What was compiled for the built-in one is reused, if that was built here."""
    return once(tmp_path_factory, "example.cnpl", lambda output: build(EXAMPLE, output))


@pytest.fixture(scope="session")
def stackvm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the guide's stack machine."""
    return once(tmp_path_factory, "stackvm.cnpl", lambda output: build(STACKVM, output))


@pytest.fixture(scope="session")
def stackvm_table(stackvm: Path) -> Any:
    """The table of its instructions."""
    from examples.stackvm.table import load

    return load(str(stackvm))[1]


@pytest.fixture
def ops(path: Path) -> OpLibrary:
    return cnp.load(path, semantics=MEANINGS)


@pytest.fixture(scope="session")
def atomic_ops(tmp_path_factory: pytest.TempPathFactory) -> OpLibrary:
    """The ops of examples/ebpf, for programs with atomics."""
    directory = ROOT / "examples" / "ebpf" / "ops"
    try:
        return atomics.load(once(tmp_path_factory, "ebpf.cnpl", lambda output: build(directory, output)))
    except Unsupported as error:
        pytest.skip(f"NOT TESTED: native cannot run here: {error}")


def written(directory: Path, **files: str) -> Path:
    """A directory of C files, each of which includes cnp.h in its first line."""
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.c").write_text(f'#include "cnp.h"\n{text}\n')
    return directory
