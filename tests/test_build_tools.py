"""The compiler and the command that build libraries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cnp.build import clang as clang_module
from cnp.build import command
from cnp.build.check import check_convention
from cnp.build.clang import Clang, find_clang
from cnp.build.compile import Compiler
from cnp.errors import BuildError
from cnp.stencil.sources import stencils_directory
from cnp.target.x86_64 import TARGET as X86_64
from cnp.target.x86_64 import missing_features

# ---- the compiler


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_old_clang_is_refused(tmp_path: Path) -> None:
    old = script(tmp_path / "clang", "echo clang version 18.1.3")
    with pytest.raises(BuildError, match=r"is clang 18, which is older than 19; install clang 19 or later, or `pip in"):
        find_clang(old)


def test_other_compiler_is_refused(tmp_path: Path) -> None:
    other = script(tmp_path / "cc", "echo gcc 14.2.0")
    with pytest.raises(BuildError, match=r"cc is not clang: --version says 'gcc 14\.2\.0'; install clang"):
        find_clang(other)


def test_missing_compiler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot run .*/nowhere: No such file or directory; install clang"):
        find_clang(str(tmp_path / "nowhere"))


def test_no_compiler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "clang", "echo clang version 15.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CNP_CLANG", raising=False)
    monkeypatch.setattr(clang_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"(?s)no usable clang\n.*is clang 15, .*pip install cnp\[build\]"):
        find_clang()


def test_environment_names_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNP_CLANG", script(tmp_path / "mine", "echo Mine clang version 20.1.0"))
    assert find_clang() == Clang((str(tmp_path / "mine"),), "Mine clang version 20.1.0", zig=False)


def test_other_argument_order_is_refused(tmp_path: Path) -> None:
    other = replace(X86_64, convention_order=("rdi", *X86_64.convention_order[1:]))
    compiler = Compiler(find_clang(), other, stencils_directory(), frozenset(), tmp_path)
    with pytest.raises(
        BuildError, match=r"passes preserve_none arguments in r12 r13 .* relies on rdi r13 .*cannot build"
    ):
        check_convention(compiler)


# ---- the command, and the processor


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    for option in ("--target", "--output", "--jobs", "--clang", "--force", "--verbose", "--keep"):
        assert option in text


def test_command_reports_errors_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--target", "x86_64", "--clang", str(tmp_path / "nowhere"), "--output", str(tmp_path / "x")]
    assert command.main(words) == 1
    assert capsys.readouterr().err.startswith("error: cannot run ")
    assert not (tmp_path / "x").exists()


def test_one_file_is_for_one_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["--target", "all", "--output", str(tmp_path / "x")])
    assert caught.value.code == 2
    assert "--output names one file: choose one --target" in capsys.readouterr().err


def test_missing_processor_features(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor: 0\nflags\t\t: fpu cx16 lahf_lm popcnt sse4_1 ssse3\n")
    assert missing_features(str(cpuinfo)) == ("sse4_2",)
    assert missing_features(str(tmp_path / "nowhere")) == ()
