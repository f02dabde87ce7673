"""What no object file can be made of is refused, and leaves no file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ahead_support import MACHINE
from conftest import LIBRARY
from object_files import FIB, ROOT, adder, gcc

from cnp import cli, i64
from cnp.build.support import lacks_support
from cnp.errors import LibraryError, VerifyError
from cnp.ir import Function
from cnp.runtime import default
from cnp.stencil.sources import library_path, stencils_directory, support_path
from cnp.target import TARGETS
from cnp.tools.emission import object_file, save

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


# What can go wrong


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main(["emit", *map(str, words)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
    return captured.err.removeprefix("error: ").rstrip("\n")


def test_bad_input_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, source = tmp_path / "it.o", tmp_path / "source"
    source.mkdir()
    wrong, empty, extern = (source / name for name in ("wrong.cnp", "empty.cnp", "extern.cnp"))
    wrong.write_text("func f(n: i64) -> i64\n  i64.ad n, n, 1\n  ret n\nend\n")
    empty.write_text("; nothing\n")
    extern.write_text("extern g() = 0x1000\nfunc f()\n  call g()\n  ret\nend\n")
    out = ("-o", path, "--header", tmp_path / "it.h")
    assert error_of(capsys, FIB, "--function", "fob", *out) == f"{FIB} has no function 'fob'; accepted: fib"
    assert error_of(capsys, wrong, *out).startswith(f"{wrong}:2:3: found 'i64.ad', which is no op")
    assert error_of(capsys, empty, *out) == f"{empty} has no functions"
    assert error_of(capsys, source / "none.cnp", *out) == f"{source / 'none.cnp'}: No such file or directory"
    assert error_of(capsys, FIB, "--target", "z80", *out).startswith("unknown target 'z80': known are aarch64, ")
    assert "at an address, which means nothing in an object file" in error_of(capsys, extern, *out)
    assert [each.name for each in tmp_path.iterdir()] == ["source"]


def test_places_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = tmp_path / "nowhere" / "it.o"
    assert error_of(capsys, FIB, "-o", nowhere) == f"{nowhere}: there is no directory {nowhere.parent}"
    assert error_of(capsys, FIB, "-o", tmp_path) == f"{tmp_path}: Is a directory"
    assert error_of(capsys, FIB, "-o", "/proc/it.o").startswith("/proc/it.o: ")
    assert list(tmp_path.iterdir()) == []
    if os.path.exists("/dev/null"):
        assert cli.main(["emit", str(FIB), "-o", "/dev/null"]) == 0
        assert not os.path.isfile("/dev/null")
    save(tmp_path / "it", b"1")
    save(tmp_path / "it", b"2")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"2"]


def test_a_target_without_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next(each for each in TARGETS if each != MACHINE)
    monkeypatch.setattr(default, "DATA", str(tmp_path))
    monkeypatch.setattr(default, "_foreign", {})
    message = error_of(capsys, FIB, "--target", other, "-o", tmp_path / "it.o")
    assert message.startswith(f"there is no stencil library for {other} at ")
    assert list(tmp_path.iterdir()) == []


def test_a_support_that_is_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / library_path(MACHINE).name
    shutil.copy(library_path(MACHINE), library)
    monkeypatch.setattr(default, "DATA", str(tmp_path))
    monkeypatch.setattr(default, "_foreign", {})
    assert lacks_support(stencils_directory(), library) and not lacks_support(tmp_path, library)
    with pytest.raises(LibraryError, match=r"cannot read .*support\.o, which every object file carries"):
        object_file([adder()])
    whole = support_path(library_path(MACHINE)).read_bytes()
    for damaged in (b"", b"junk" * 100, whole[:100], whole[: len(whole) // 2]):
        support_path(library).write_bytes(damaged)
        with pytest.raises(LibraryError, match=r"support\.o is damaged; rebuild it"):
            object_file([adder()])


def test_a_function_that_is_not_well_formed() -> None:
    f = Function("f", [i64], i64)
    f.i64_add(f.reg(i64), f.params[0], f.reg(i64))
    with pytest.raises(VerifyError, match="function 'f'"):
        object_file([f])


# The document


def test_the_document_does_what_it_says(tmp_path: Path) -> None:
    """Its files are written, its commands are run in order, and print what it shows."""
    text = (ROOT / "docs" / "ahead-of-time.md").read_text()
    compiler = gcc()
    files = re.findall(r"^`(\w+\.\w+)`:\n\n```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["fib.cnp", "main.c"]
    for name, contents in files:
        (tmp_path / name).write_text(contents)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "cnp").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cnp "$@"\n')
    (tools / "cc").write_text(f'#!/bin/sh\nexec "{compiler}" "$@"\n')
    for each in tools.iterdir():
        each.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "CNP_DUMP": ""}
    (session,) = re.findall(r"^```text\n(\$ cnp emit.*?)^```", text, re.DOTALL | re.MULTILINE)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    assert len(steps) >= 3
    for command, printed in steps:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        found = "".join(line for line in done.stdout.splitlines(keepends=True) if "Aborted" not in line)
        assert found == printed, command
