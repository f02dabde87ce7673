"""The runner as a file: a static executable that needs nothing, built with the library and kept beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from guest_support import TARGET
from stencil_fixtures import build, sources

from cnp.build.clang import find_clang
from cnp.build.compile import Compiler
from cnp.build.executable import VARIABLES, executable
from cnp.build.runner import RUNNER_SOURCE, build_runner, lacks_runner, runner_path
from cnp.errors import BuildError
from cnp.stencil.sources import library_path, stencils_directory
from cnp.target import TARGETS

COMMAND = 48  # bytes


def compiler(stencils: Path, objects: Path, target: str) -> Compiler:
    return Compiler(find_clang(), TARGETS[target], stencils, frozenset(), objects)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_in_it(target: str, tmp_path: Path) -> None:
    library = tmp_path / "it.cnpl"
    build_runner(compiler(stencils_directory(), tmp_path, target), library)
    path = runner_path(library)
    assert path.stat().st_mode & 0o777 == 0o755
    assert path.stat().st_size < 1 << 16
    with path.open("rb") as file:
        elf = ELFFile(file)
        assert (elf["e_type"], elf["e_machine"]) == ("ET_EXEC", TARGETS[target].elf_machine)
        code, variables = elf.iter_segments()
        assert (
            code["p_vaddr"] < elf["e_entry"] < code["p_vaddr"] + code["p_filesz"] == code["p_vaddr"] + code["p_memsz"]
        )
        assert (variables["p_vaddr"], variables["p_filesz"]) == (VARIABLES, 0)
        assert (code["p_flags"], variables["p_flags"]) == (5, 6)  # neither is both writable and executable
    first = path.read_bytes()
    build_runner(compiler(stencils_directory(), tmp_path, target), library)
    assert path.read_bytes() == first


def test_it_ends_with_its_input_and_refuses_unknown_commands() -> None:
    runner = runner_path(library_path(TARGET))
    done = subprocess.run([runner], input=b"\xff" * COMMAND * 2 + b"half a command", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, (bytes(8) + b"\xff" * 8) * 2, b"")


def test_the_build_makes_it_and_makes_it_again_when_it_is_gone(tmp_path: Path) -> None:
    stencils, library = sources(tmp_path / "stencils"), tmp_path / "it.cnpl"
    build(stencils, library, force=False)
    assert not lacks_runner(stencils, library) and not runner_path(library).exists()  # these sources have none
    for name in ("runner/runner.c", "core/layout.h", "context.h"):
        (stencils / name).parent.mkdir(exist_ok=True)
        shutil.copy(stencils_directory() / name, stencils / name)
    build(stencils, library, force=False)
    assert runner_path(library).is_file()
    assert build(stencils, library, force=False).up_to_date
    runner_path(library).unlink()
    assert not build(stencils, library, force=False).up_to_date
    assert runner_path(library).is_file()


def test_a_header_without_a_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runner").mkdir()
    (tmp_path / RUNNER_SOURCE).write_text("int cnp_other(void) { return 1; }\n")
    target = TARGETS[TARGET]
    with pytest.raises(BuildError, match=f"CNP_START of {target.header} does not define cnp_start"):
        build_runner(compiler(tmp_path, tmp_path, TARGET), tmp_path / "it.cnpl")


def test_the_entry_is_where_it_was_said_to_be() -> None:
    code = bytes(100) + b"code"
    data = executable(code, 100, "EM_AARCH64")
    assert data.endswith(code)
    entry = int.from_bytes(data[24:32], "little")
    assert data[entry % (1 << 16) :] == b"code"
