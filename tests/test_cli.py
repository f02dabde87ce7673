"""The command line, as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LIBRARY

import cnp
from cnp import cli
from cnp.tools import listing

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "tests" / "programs"
FIB, TRAPS = str(PROGRAMS / "fib.cnp"), str(PROGRAMS / "traps.cnp")

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from cnp.cli import main
sys.exit(main())
"""


class Done:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def run(*words: str, blocked: tuple[str, ...] = (), **environment: str) -> Done:
    """`cnp words...` in a process of its own; `blocked` packages cannot be imported there."""
    command = ["-c", BLOCKER.format(blocked=blocked)] if blocked else ["-m", "cnp"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "CNP_DUMP": "", **environment}
    done = subprocess.run(
        [sys.executable, *command, *words], capture_output=True, text=True, env=environment, timeout=60, cwd=ROOT
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Main:
    """`cnp words...` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Done:
        try:
            code = cli.main(words)
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 1
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return Main(capsys)


def error_of(done: Done) -> str:
    """The one line on standard error of a command that failed as it should."""
    assert done.code == 1 and done.out == ""
    assert done.err.count("\n") == 1 and done.err.startswith("error: "), done.err
    return done.err.removeprefix("error: ").rstrip("\n")


# The whole command


def test_the_module_is_the_command() -> None:
    done = run("--version")
    assert (done.code, done.out) == (0, f"cnp {cnp.__version__}\n")


def test_help_names_every_command(main: Main) -> None:
    done = main("--help")
    assert done.code == 0
    for command in ("build", "run", "objdump", "doctor"):
        assert re.search(rf"^    {command} +\w", done.out, re.MULTILINE), command
        assert "usage: " in main(command, "--help").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "required: COMMAND"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("run",), "required: FILE"),
        (("run", FIB, "--backend", "x"), "invalid choice: 'x'"),
        (("objdump", FIB, "--colour"), "unrecognized arguments: --colour"),
        (("doctor", "please"), "unrecognized arguments: please"),
    ],
)
def test_bad_usage_is_exit_code_2(main: Main, words: tuple[str, ...], message: str) -> None:
    done = main(*words)
    assert done.code == 2 and done.out == ""
    assert message in done.err


def test_build_has_a_help_that_needs_neither_clang_nor_pyelftools() -> None:
    done = run("build", "--help", blocked=("elftools", "ziglang", "rich"))
    assert done.code == 0
    assert "--target" in done.out and "pip install cnp[build]" in " ".join(done.out.split())


def test_importing_the_command_is_cheap() -> None:
    code = "import cnp.cli, sys; print(*({'rich', 'capstone', 'elftools'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "\n"


# run


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_run_prints_the_result(main: Main, backend: str) -> None:
    done = main("run", FIB, "15", "--backend", backend)
    assert (done.code, done.out, done.err) == (0, "610\n", "")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ((TRAPS, "--call", "divide", "-7", "2"), "-3\n"),
        ((TRAPS, "7", "--call", "divide", "-2"), "-3\n"),  # options may stand among arguments
        ((TRAPS, "7", "-2", "--call", "divide"), "-3\n"),
        ((TRAPS, "--call", "divide", "-0x10", "0b11"), "-5\n"),
        ((TRAPS, "--call", "truncate", "-1.9e0"), "-1\n"),
        ((TRAPS, "--call", "truncate", "--", "-.5"), "0\n"),
    ],
)
def test_run_reads_numbers_as_python_writes_them(main: Main, words: tuple[str, ...], out: str) -> None:
    done = main("run", *words)
    assert (done.code, done.out, done.err) == (0, out, "")


def test_run_passes_a_file_as_a_pointer(main: Main, tmp_path: Path) -> None:
    program, data = tmp_path / "sum.cnp", tmp_path / "bytes"
    program.write_text(
        "func first(bytes: ptr) -> i32\n  reg d: i32\n  i32.load8_u d, bytes, 2\n  ret d\nend\n\n"
        "func main()\n  ret\nend\n"
    )
    data.write_bytes(b"abc")
    assert main("run", str(program), "--call", "first", f"@{data}").out == "99\n"
    done = run("run", str(program))  # main is the default, and has no result
    assert (done.code, done.out, done.err) == (0, "", "")
    assert error_of(main("run", str(program), "--call", "first", f"@{data}x")) == f"{data}x: No such file or directory"
    message = error_of(main("run", str(program), "--call", "first", "abc"))
    assert message == "argument 'abc' is not an integer or @FILE, as type ptr wants"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.cnp",), "nowhere.cnp: No such file or directory"),
        ((str(PROGRAMS),), f"{PROGRAMS}: Is a directory"),
        ((FIB, "--call", "fob", "1"), f"{FIB} has no function 'fob'; accepted: fib"),
        (
            (TRAPS, "1"),
            f"{TRAPS} has several functions and none is `main`: choose one with --call; "
            "accepted: divide, remainder, truncate, outer, guard",
        ),
        ((FIB,), "fib takes 1 argument (i64), not 0"),
        ((TRAPS, "--call", "divide", "1"), "divide takes 2 arguments (i64, i64), not 1"),
        ((FIB, "ten"), "argument 'ten' is not an integer, as type i64 wants"),
        ((FIB, "1.5"), "argument '1.5' is not an integer, as type i64 wants"),
        ((TRAPS, "--call", "truncate", "x"), "argument 'x' is not a float, as type f64 wants"),
        ((FIB, str(2**63)), "fib() argument 1: 9223372036854775808 does not fit i64 (-2**63 to 2**63 - 1)"),
    ],
)
def test_run_says_what_is_wrong(main: Main, words: tuple[str, ...], message: str) -> None:
    assert error_of(main("run", *words)) == message


def test_run_shows_where_the_text_is_wrong(main: Main, tmp_path: Path) -> None:
    program = tmp_path / "wrong.cnp"
    program.write_text("func f(n: i64) -> i64\n  i64.ad n, n, 1\n  ret n\nend\n")
    assert error_of(main("run", str(program), "1")).startswith(f"{program}:2:3: ")
    program.write_text("func f(n: i64) -> i64\n  i64.add n, n, 1\nend\n")
    assert "falls off" in error_of(main("run", str(program), "1")) or "'f'" in main("run", str(program), "1").err
    program.write_bytes(b"func f\xff")
    assert error_of(main("run", str(program))) == f"{program}: not UTF-8 text: invalid start byte at byte 6"


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_trap_is_named_with_its_op(main: Main, backend: str) -> None:
    done = main("run", TRAPS, "--call", "outer", "0", "--backend", backend)
    assert (done.code, done.out) == (1, "")
    assert done.err == "trap: integer divide by zero in function 'divide' at op 0: i64.div_s a, a, b\n"


def test_a_missing_library_is_named_with_how_to_build_it(
    main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cnp.ir import optable
    from cnp.runtime import default

    monkeypatch.setattr(default, "DATA", tmp_path if isinstance(default.DATA, Path) else str(tmp_path))
    monkeypatch.setattr(default, "_opened", None)
    monkeypatch.setattr(optable, "_default", None)
    monkeypatch.setattr(optable, "_loader", lambda: default.default_library().ops)
    message = error_of(main("run", FIB, "1"))
    assert "there is no stencil library for" in message and "build one with `make`" in message


# objdump


def test_objdump_shows_ops_stencils_holes_and_code_side_by_side(main: Main) -> None:
    done = main("objdump", str(PROGRAMS / "sum_of_squares.cnp"))
    assert done.code == 0 and done.err == ""
    heading, *lines = done.out.rstrip("\n").split("\n")
    assert re.fullmatch(
        r"sum_of_squares_mod_7\(i64\) -> i64: \d+ bytes in \d+ stencils, frame of \d+ bytes", heading
    ), heading
    both_rounds = [line for line in lines if "i64.add i, i, 1" in line]
    assert len(both_rounds) == 2
    for add in both_rounds:
        number, op, offset, code, instruction, stencil, holes = re.split(r" {2,}", add)
        assert (number, op, holes) == ("7", "i64.add i, i, 1", "immediate_b=1")
        assert re.fullmatch(r"[0-9a-f]{4}", offset) and re.fullmatch(r"([0-9a-f]{2} ?)+", code)
        assert instruction and re.fullmatch(r"i64\.add d=r\d+ a=r\d+ b=I8", stencil)
    assert any("(out of line)" in line and "poll" in line for line in lines)
    # A constant is listed as a move, though its stencil is also that of another op.
    assert any(re.search(r"i64\.const total, 0 .* i64\.move d=r\d+ a=ZERO", line) for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_objdump_lists_every_byte_once(main: Main) -> None:
    """In every program: offsets without gaps but for the padding of jump tables, the heading's size in all."""
    for program in sorted(PROGRAMS.glob("*.cnp")):
        for shown in main("objdump", str(program)).out.split("\n\n"):
            if not shown.strip():
                continue
            heading, *lines = shown.strip("\n").split("\n")
            size = int(re.search(r": (\d+) bytes", heading)[1])  # type: ignore[index]
            at = 0
            for line in lines:
                match = re.search(r"\b([0-9a-f]{4})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", line)
                assert match, line
                offset = int(match[1], 16)
                assert offset == at or (".word" in line and offset == (at + 7) & ~7), line
                at = offset + len(match[2].split())
                assert "(bad)" not in line and ".byte" not in line, line
            assert at == size, heading


def test_objdump_puts_places_and_routines_into_words(main: Main) -> None:
    out = main("objdump", str(PROGRAMS / "branch_table.cnp")).out
    (table,) = re.findall(r"count=3 table=([0-9a-f]{4})", out)
    entries = re.findall(
        rf"^ +([0-9a-f]{{4}})  ((?:[0-9a-f]{{2}} ){{4}}) +\.word ([0-9a-f]{{4}}) - {table}\b", out, re.MULTILINE
    )
    assert [int(offset, 16) for offset, _, _ in entries] == [int(table, 16) + 4 * each for each in range(4)]
    for _, held, entry in entries:
        assert int.from_bytes(bytes.fromhex(held), "little", signed=True) == int(entry, 16) - int(table, 16)
        assert re.search(rf"^\d .*\b{entry}  ", out, re.MULTILINE), "where an op begins"
    traps = main("objdump", TRAPS, "--function", "divide").out
    assert "trap_place=integer_divide_by_zero" in traps and "library=cnp_trap" in traps
    assert "jmp cnp_trap" in traps
    assert "truncate(" not in traps
    assert "callee=odd" in main("objdump", str(PROGRAMS / "mutual_recursion.cnp"), "--function", "even").out


def test_a_function_without_a_trace_shows_the_same_jump_tables() -> None:
    f = cnp.Function("tables", params=[cnp.i32, cnp.i32], result=cnp.i32)
    labels = [f.label() for _ in range(5)]
    for which, index in enumerate(f.params):
        f.branch_table(index, labels[which : which + 3], labels[4])
        f.place(labels[which])
    for number, label in enumerate(labels[2:], 2):
        f.place(label)
        f.ret(number)
    traced = [each for row in listing.rows(f.compile(trace=True)) for each in row.instructions]
    tables = [each for each in traced if each.text.startswith(".")]
    assert len(tables) == 8 and len({each.text.split()[-1] for each in tables}) == 2
    made = f.compile()
    found = re.findall(r"^0x([0-9a-f]+)  ((?:[0-9a-f]{2} )+) +(\.word 0x.*)$", made.disassemble(), re.MULTILINE)
    assert [(int(at, 16) - made.entry, bytes.fromhex(code)) for at, code, _ in found] == [
        (each.offset, each.code) for each in tables
    ]
    for _, code, text in found:
        assert text == f".word {int.from_bytes(bytes.fromhex(code), 'little'):#x}"


def test_objdump_jumps_name_the_offset_of_a_line(main: Main) -> None:
    for program in sorted(PROGRAMS.glob("*.cnp")):
        for shown in main("objdump", str(program)).out.split("\n\n"):
            offsets = set(re.findall(r"\b([0-9a-f]{4})  (?:[0-9a-f]{2} )*[0-9a-f]{2}(?:  |$)", shown, re.MULTILINE))
            targets = set(re.findall(r"\b(?:target|exit)=([0-9a-f]{4})\b", shown))
            assert targets <= offsets, program.name


def test_objdump_in_colour_says_the_same(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    plain, coloured = main("objdump", FIB), main("objdump", FIB, "--color", "always")
    assert "\x1b[" not in plain.out and "\x1b[" in coloured.out
    text = re.sub(r"\x1b\[[0-9;]*m", "", coloured.out)
    for word in ("fib(i64) -> i64:", "call a, fib(a)", "callee=fib", "(entry)", "(out of line)", "poll_before_call"):
        assert word in text and word in plain.out


@pytest.mark.parametrize("width", [60, 100, 120, 240])
def test_objdump_fits_the_terminal(width: int) -> None:
    pytest.importorskip("rich")
    out = run("objdump", FIB, "--color=always", COLUMNS=str(width)).out
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).split("\n")
    assert max(map(len, lines)) <= max(width, 100)
    assert ("48 89 f8" in out) == (width >= 240)  # the bytes go first where there is no room


def test_objdump_without_the_packages_names_the_extra() -> None:
    done = run("objdump", FIB, blocked=("capstone",))
    assert error_of(done) == "disassembly needs capstone: pip install 'cnp[disassembly]'"
    done = run("objdump", FIB, "--color=always", blocked=("rich",))
    assert error_of(done) == "colours need rich: pip install 'cnp[disassembly]', or --color=never"
    assert run("objdump", FIB, blocked=("rich",)).code == 0
    assert run("run", FIB, "5", blocked=("capstone", "rich", "elftools", "ziglang")).out == "5\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m cnp objdump {TRAPS} | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.startswith("divide(i64, i64)") and done.stderr == ""


# CNP_DUMP


@pytest.mark.parametrize(
    ("letters", "titles"),
    [("i", ["ops"]), ("a", ["registers"]), ("s", ["stencils"]), ("d", ["machine code"]),
     ("dsai", ["ops", "registers", "stencils", "machine code"])],
)  # fmt: skip
def test_dump_letters(letters: str, titles: list[str]) -> None:
    done = run("run", FIB, "10", CNP_DUMP=letters)
    assert (done.code, done.out) == (0, "55\n")
    assert re.findall(r"^-- fib: (.*)$", done.err, re.MULTILINE) == titles


def test_what_dumps_say() -> None:
    err = run("run", FIB, "10", CNP_DUMP="ias", blocked=("capstone",)).err  # of these, none needs capstone
    assert "  call a, fib(a)\n" in err
    assert re.search(r"^n +i64  \d+ to \d+ +r\d+", err, re.MULTILINE)
    assert re.search(r"^[0-9a-f]{4}  op +3  i64\.add .*immediate_b=-1$", err, re.MULTILINE)
    assert re.search(r"^[0-9a-f]{4}  op +-  poll_before_call ", err, re.MULTILINE)


def test_unknown_dump_letters_are_named_once() -> None:
    done = run("run", FIB, "3", CNP_DUMP="xz")
    assert (done.code, done.out) == (0, "2\n")
    assert done.err == "CNP_DUMP: no stage 'x', 'z'; accepted: i a s d\n"


# doctor


def test_doctor_says_what_was_found_and_chosen(main: Main) -> None:
    done = main("doctor")
    assert (done.code, done.err) == (0, "")
    found = dict(re.findall(r"^(\S[^\n]*?) {2,}(\S[^\n]*)$", done.out, re.MULTILINE))
    assert found["cnp"] == cnp.__version__
    assert found["library"] == str(LIBRARY)
    assert "chosen" in done.out
    assert found["self-test"].endswith("6 * 7 = 42")
    assert re.search(r"^ +built by .*clang", done.out, re.MULTILINE)


def test_doctor_names_what_is_not_installed() -> None:
    done = run("doctor", blocked=("capstone", "elftools", "ziglang"))
    assert done.code == 0
    found = dict(re.findall(r"^extra '(\w+)' +(.*)$", done.out, re.MULTILINE))
    assert found["disassembly"] == "capstone not installed: pip install 'cnp[disassembly]'"
    assert found["build"] == "pyelftools, ziglang (or a clang) not installed: pip install 'cnp[build]'"


def test_doctor_reports_a_way_that_is_forced() -> None:
    assert "flip: chosen" in run("doctor", CNP_CODE_MEMORY="flip").out
    done = run("doctor", CNP_CODE_MEMORY="magic")
    assert done.code == 1 and "magic" in done.out  # it says what is wrong, and goes on
