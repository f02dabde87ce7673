"""The C host: exported, compiled by every C compiler there is, checked, by valgrind and sanitizers, and for others."""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import guest_machines
import pytest
from ahead_support import command_for, run, succeed
from conftest import LIBRARY
from toolchain import find_tool

import cnp
from cnp import cli, i64
from cnp.bytecode import Field, Instruction, Page, Registers, Table
from cnp.errors import UserError
from cnp.export import ops
from cnp.export.command import HOST, export, opened, table_named
from cnp.export.expand import expand
from cnp.ir.optable import Code, default_ops
from cnp.stencil.model import OpFlag
from cnp.stencil.sources import library_path

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent / "c_host"
CHECKS = tuple(sorted(each for each in HERE.glob("*.c") if '#include "check.h"' in each.read_text()))
EXAMPLE = ROOT / "examples" / "c_host" / "main.c"
EMBEDDING = ROOT / "docs" / "embedding.md"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
COMPILERS = {
    "gcc": ("-std=c99", "-O2", *WARNINGS),
    "clang": ("-std=c11", "-O2", *WARNINGS),
    "tcc": (),
}
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *WARNINGS)
FAULTS = ("faults", "faults_in_loops")
THREADS = ("-g", "-O1", "-fsanitize=thread", *WARNINGS)
FOREIGN = {"aarch64": "aarch64-linux-gnu-gcc", "riscv64": "riscv64-linux-gnu-gcc"}
OF_EXAMPLE = "examples.c_host.table:GUEST"
OF_CHECKS = ("guest_guards:GUARDS", "guest_guards:TOO_MANY", "guest_calls:CALLS", "guest_calls:STRESS")
TABLES = [word for name in (OF_EXAMPLE, *OF_CHECKS) for word in ("--bytecode", name)]
WAYS = ("twice", "once")  # that memory for code is mapped

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with this machine's C files."""
    directory = tmp_path_factory.mktemp("exported")
    assert cli.main(["export-c", *TABLES, "-o", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def make(exported: Path) -> Make:
    """make(compiler, sources, *flags): a program of sources and cnp.c, which is compiled once for the same flags."""
    objects: dict[tuple[str, ...], Path] = {}

    def program(compiler: str, sources: Sequence[Path], *flags: str) -> Path:
        tool = find_tool(compiler)
        if tool is None:
            pytest.skip(f"NOT TESTED: there is no {compiler}")
        flags = flags or COMPILERS[compiler]
        key = (compiler, *flags)
        if key not in objects:
            objects[key] = exported / f"cnp-{len(objects)}.o"
            succeed([tool, *flags, "-c", exported / "cnp.c", "-o", objects[key]])
        output = exported / f"{sources[-1].stem}-{objects[key].stem}"
        if not output.exists():
            includes = (f"-I{exported}", f"-I{HERE}")
            succeed([tool, *flags, *includes, *sources, objects[key], "-o", output, "-lpthread"])
        return output

    return program


def checks() -> list[str]:
    """The names of all checks."""
    return re.findall(r"^    CHECK\((\w+)\)", (HERE / "check.h").read_text(), re.MULTILINE)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_checks(make: Make, compiler: str, way: str) -> None:
    assert succeed([make(compiler, CHECKS), way]) == ""


def test_a_check_can_fail(make: Make, exported: Path) -> None:
    right, wrong = HERE / "functions.c", exported / "wrong.c"
    wrong.write_text(right.read_text().replace("expected_sum(1000)", "expected_sum(1001)"))
    done = run([make("gcc", [*(each for each in CHECKS if each != right), wrong]), "twice", "a_loop"])
    assert done.returncode == 1 and "sum(1000) == expected_sum(1001)" in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_no_sanitizer_finds_anything(make: Make, way: str) -> None:
    assert succeed([make("clang", CHECKS, *SANITIZERS), way]) == ""


def test_the_sanitizers_see_the_host(make: Make, exported: Path) -> None:
    source = exported / "overflow.c"
    source.write_text(_OVERFLOW)
    done = run([make("clang", [source], *SANITIZERS)])
    assert done.returncode and "heap-buffer-overflow" in done.stderr and "in cnp_exit_values" in done.stderr


_OVERFLOW = """
#include "cnp.h"
#include <stdlib.h>

static int handler(void *point, const cnp_any *values, size_t n, cnp_any *result) {
    (void)point, (void)values, (void)n, (void)result;
    return 0;
}

int main(void) {
    cnp_session *session = cnp_open(NULL, NULL);
    cnp_function *f = cnp_new(session, "f", CNP_VOID);
    cnp_value one = cnp_const_i64(1), values[2] = {one, one}, *room = malloc(sizeof *room);
    cnp_exit(f, handler, NULL, values, 2);
    return (int)cnp_exit_values(f, 0, room, 2); /* there is not so much room */
}
"""


def test_the_thread_sanitizer_finds_nothing(make: Make, exported: Path) -> None:
    """But for signals, which it keeps back until instrumented code asks for them, and faults: who leaves a handler by
    way of compiled code leaves the sanitizer in its own as well."""
    trivial = exported / "trivial.c"
    trivial.write_text("int main(void) { return 0; }\n")
    tool = find_tool("clang")
    if tool is None or run([tool, *THREADS, trivial, "-o", exported / "trivial"]).returncode:
        pytest.skip("NOT TESTED: there is no clang, or it has no ThreadSanitizer")
    if (done := run([exported / "trivial"])).returncode:
        pytest.skip(f"NOT TESTED: ThreadSanitizer does not run here: {done.stderr.strip()[:200]}")
    assert succeed([make("clang", CHECKS, *THREADS), "twice", *_without(*FAULTS, "signals")]) == ""
    race = exported / "race.c"
    race.write_text(_RACE)
    done = run([make("clang", [race], *THREADS)])
    assert done.returncode == 66 and "data race" in done.stderr and "in count" in done.stderr


def _without(*names: str) -> list[str]:
    return [each for each in checks() if each not in names]


_RACE = """
#include "cnp.h"
#include <pthread.h>

static int64_t counted;
static void count(void) { counted++; }
static void *run(void *code) {
    for (int k = 0; k < 1000; k++)
        cnp_call(code, 0, NULL, NULL, NULL);
    return NULL;
}

int main(void) {
    cnp_session *session = cnp_open(NULL, NULL);
    cnp_function *f = cnp_new(session, "f", CNP_VOID);
    cnp_code *code;
    pthread_t thread;
    cnp_call_c(f, cnp_none(), count, NULL, 0);
    cnp_ret(f, cnp_none());
    code = cnp_compile(session, &f, 1, NULL);
    run(code); /* so that no lock is taken for this thread later, which would put it behind the other */
    pthread_create(&thread, NULL, run, code);
    run(code);
    pthread_join(thread, NULL);
    cnp_delete(f);
    cnp_close(session);
    return 0;
}
"""


def test_any_allocation_may_fail(make: Make, exported: Path) -> None:
    tool = find_tool("clang")
    if tool is None:
        pytest.skip("NOT TESTED: there is no clang")
    program = exported / "no_memory"
    succeed([tool, *SANITIZERS, f"-I{exported}", HERE / "no_memory.c", "-o", program, "-lpthread"])
    assert "allocations" in succeed([program])


def test_valgrind_finds_nothing(make: Make) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("NOT TESTED: there is no valgrind")
    command = ["valgrind", "-q", "--smc-check=all", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"]
    program = make("gcc", CHECKS)
    assert succeed([*command, program, "twice", *_without(*FAULTS)]) == ""
    assert succeed([*command, f"--suppressions={HERE / 'faults.supp'}", program, "twice", *FAULTS]) == ""
    assert run([*command, program, "twice", *FAULTS]).returncode == 9, "it sees what compiled code does"
    assert _example(succeed([*command, make("gcc", [EXAMPLE])]))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_example(make: Make, compiler: str) -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 200
    assert _example(succeed([make(compiler, [EXAMPLE])]))


def test_the_example_runs_what_it_accepts(make: Make) -> None:
    done = run([make("clang", [HERE / "example.c"], *SANITIZERS)])
    assert done.returncode == 0, done.stderr[-2000:]
    accepted, refused = map(int, done.stderr.split())
    assert accepted > 2000 and refused > 1000
    runs = [line for line in done.stdout.splitlines() if "jumps back" in line]
    assert len(runs) == 2 * accepted and sum(" 0 exits" not in line for line in runs) > 150


def _example(printed: str) -> bool:
    lines = printed.splitlines()
    return lines == [
        "returned: 100000 jumps back, 0 exits, 900000 ticks left",
        "returned: 100 jumps back, 100 exits, 900000 ticks left",
        "24038365 and 24038365",
        "out of fuel: 100 jumps back, 0 exits, 0 ticks left",
        "instruction 3: too little on the stack, or too much",
    ]


def _blocks(language: str) -> list[str]:
    """The listings of a language in the documentation of C hosts."""
    text = EMBEDDING.read_text(encoding="utf-8").split("## In C, without Python")[1]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_listings_of_the_documentation(make: Make, exported: Path) -> None:
    listings, outputs = _blocks("c"), _blocks("text")
    assert len(listings) == len(outputs) == 4
    for number, (listing, output) in enumerate(zip(listings[:-1], outputs)):  # the last has a table, see below
        source = exported / f"listing{number}.c"
        source.write_text(listing)
        assert succeed([make("gcc", [source])]) == output


@pytest.mark.parametrize("number", (0, -1), ids=("ops", "table"))
def test_the_commands_of_the_documentation(number: int, tmp_path: Path) -> None:
    """For the first listing, and for the last, which comes with a module."""
    if shutil.which("cc") is None:
        pytest.skip("NOT TESTED: there is no cc")
    (module,), commands = _blocks("python"), _blocks("sh")
    assert len(commands) == 2
    (tmp_path / "guest.py").write_text(module)
    (tmp_path / "program.c").write_text(_blocks("c")[number])
    (tmp_path / "cnp").write_text(_COMMAND)
    (tmp_path / "cnp").chmod(0o755)
    cc_strict = f'cc() {{ command cc {" ".join(WARNINGS)} "$@"; }}\n'
    succeed(["sh", "-ec", f'cd "{tmp_path}"\nPATH="{tmp_path}:$PATH"\n{cc_strict}{commands[number]}'])
    assert succeed([tmp_path / "a.out"]) == _blocks("text")[number]


_COMMAND = f"""#!{sys.executable}
import sys
sys.path[0] = {str(ROOT)!r}  # as where cnp is installed: the directory at hand is not among them
from cnp.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("target", FOREIGN)
def test_other_machines(target: str, tmp_path: Path) -> None:
    tool = shutil.which(FOREIGN[target])
    if tool is None or not library_path(target).exists():
        pytest.skip(f"NOT TESTED: there is no {FOREIGN[target]}, or no library for {target}")
    assert cli.main(["export-c", "--target", target, *TABLES, "-o", str(tmp_path)]) == 0
    succeed([tool, "-O1", *WARNINGS, "-c", tmp_path / "cnp.c", "-o", tmp_path / "cnp.o"])
    for name, sources in (("checks", CHECKS), ("main", (EXAMPLE,))):
        command = [tool, "-O1", "-static", *WARNINGS, f"-I{tmp_path}", f"-I{HERE}", *sources, tmp_path / "cnp.o"]
        succeed([*command, "-o", tmp_path / name, "-lpthread"])
    # qemu 7.2 does not see what is written through another mapping: it goes on with what it has translated before.
    assert succeed([*command_for(target, tmp_path / "checks"), "once"]) == ""
    assert _example(succeed([*command_for(target, tmp_path / "main"), "once"]))


def test_guest_bytecode(tmp_path: Path) -> None:
    """Random programs give what plain interpreters give, or leave where these go on to it; random bytes give an error
    or a result."""
    tool = find_tool("clang")
    if tool is None:
        pytest.skip("NOT TESTED: there is no clang")
    names = ("machines:WORDS", "machines:BYTES", "guards:GUARDED_WORDS", "guards:GUARDED_BYTES")
    tables = [word for name in names for word in ("--bytecode", f"guest_{name}")]
    assert cli.main(["export-c", *tables, "-o", str(tmp_path)]) == 0
    program = tmp_path / "bytecode"
    sources = (HERE / "bytecode.c", tmp_path / "cnp.c")
    succeed([tool, *SANITIZERS, f"-I{tmp_path}", *sources, "-o", program, "-lpthread"])
    lines, expected = [], []
    programs: list[tuple[guest_machines.Guest, bytes]] = []
    choose = random.Random(1)
    guests = (("w", guest_machines.REGISTER_GUEST), ("b", guest_machines.STACK_GUEST))
    for letter, guest in guests:
        for _ in range(100):
            code, arguments = guest.program(choose), [choose.randrange(-5, 100), choose.randrange(2**40)]
            try:
                expected.append(str(guest.run(code, list(arguments))))
            except guest_machines.OutOfFuel:
                continue
            lines.append(f"{letter} {arguments[0]} {arguments[1]} {code.hex()}")
            programs.append((guest, code))
    results, left = [*expected], 0
    for limit in (2**63 - 1, 2**40, 50, -3):
        done = run([program, str(limit)], input="\n".join(lines))
        assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", len(results))
        for (guest, code), line, result in zip(programs, done.stdout.splitlines(), results):
            if line.startswith("left "):
                at, *values = map(int, line.split()[1:])
                line, left = str(guest.run(code, values, at)), left + 1
            assert line == result, code.hex()
    assert 100 < left < 3 * len(results)
    for line, message in _BAD_BYTECODE.items():
        lines.append(line)
        expected.append(f"function 'guest', {message}")
    done = run([program], input="\n".join(lines))
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.splitlines() == expected
    assert len(expected) > 150
    for letter, guest in guests:
        opcodes = [*guest.table.page.instructions]
        noise = [bytes(choose.choices([*opcodes, 0xFF], k=choose.randrange(1, 30))) for _ in range(300)]
        noise += [guest_machines.damaged(guest, choose) for _ in range(1000)]
        done = run([program], input="\n".join(f"{letter} 1 2 {code.hex()}" for code in noise))
        found = done.stdout.splitlines()
        assert (done.returncode, done.stderr, len(found)) == (0, "", len(noise))
        refused = sum(each.startswith("function 'guest'") for each in found)
        assert refused > 600 and len(found) - refused > 40, f"{refused} of {len(found)} are refused"


_BAD_BYTECODE = {
    "w 1 2 02000001": "bytecode offset 0: control goes on past it, the last; accepted there: one that ends in a "
    "jump, a return or a trap",
    "w 1 2 020000012000": "bytecode offset 4: the instruction goes on past the last of 6 bytes",
    "w 1 2 ff000000": "bytecode offset 0: there is no instruction of opcode 0xff",
    "w 1 2 0209000120000000": "bytecode offset 0: register 9; accepted: one of 8, from 0",
    "w 1 2 1000ffff": "bytecode offset 0: jump to -1024; accepted: 0 to 3",
    "b 1 2 33": "bytecode offset 0: it takes 1 from the operand stack; accepted: up to 0, which it has there",
    "b 1 2 0200310007010133": "bytecode offset 5: it goes to 7 with 1 on the operand stack; accepted: 0, with which "
    "others reach it",
    "b 1 2 30000133": "bytecode offset 0: jump to 1, the middle of an instruction",
    "b 1 2 " + "0101" * 9 + "33": "bytecode offset 16: the operand stack grows to 9; accepted: up to 8",
    "b 1 2 0101310000": "bytecode offset 2: control goes on past it, the last; accepted there: one that ends in a "
    "jump, a return or a trap",
}


def test_tables_that_c_cannot_have(tmp_path: Path) -> None:
    def exported(*ops: tuple[object, ...]) -> None:
        table = Table(Page(Field(0), {0: Instruction("one", *ops, length=1)}), parameters=[Registers(i64, 1)])
        export(opened(None, None), tmp_path, {"one": table})

    f = cnp.Function("empty")
    f.ret()
    callback, cell = cnp.callback(lambda: None, []), cnp.Cell("site", [], None, f.compile())
    for callee in (cnp.extern(1, [], None), callback, f, cell, cnp.extern("no name", [], None)):
        message = f"bytecode 'one': a template calls {callee!r}; accepted in C: CALL ops of the library, "
        with pytest.raises(UserError, match=re.escape(message)):
            exported(("call", None, callee))
    with pytest.raises(UserError, match=r"bytecode 'absent:X'.*accepted: MODULE:NAME"):
        table_named("absent:X")
    with pytest.raises(UserError, match=r"bytecode 'cnp\.types:i64' is i64; accepted: MODULE:NAME"):
        table_named("cnp.types:i64")
    with pytest.raises(UserError, match="bytecode '1x'; accepted: a name"):
        export(opened(None, None), tmp_path, {"1x": guest_machines.WORDS})
    assert not list(tmp_path.iterdir())


def test_the_wrong_machine_is_refused(tmp_path: Path) -> None:
    if not library_path("riscv64").exists() or find_tool("gcc") is None:
        pytest.skip("NOT TESTED: there is no gcc, or no library for riscv64")
    assert cli.main(["export-c", "--target", "riscv64", "-o", str(tmp_path)]) == 0
    done = run(["gcc", "-fsyntax-only", tmp_path / "cnp.c"])
    assert "this cnp.c was exported for 64-bit RISC-V Linux" in done.stderr


def test_the_header_is_also_one_of_cplusplus(exported: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("NOT TESTED: there is no g++")
    source = exported / "header.cc"
    source.write_text('#include "cnp.h"\nint main() { return cnp_const_i64(1).bits != 1; }\n')
    succeed(["g++", *WARNINGS, "-fsyntax-only", source])


def test_the_header_says_which_cells_templates_name(exported: Path) -> None:
    header = (exported / "cnp.h").read_text()
    cells = r"0: a data cell, 1: the assumption 'nobody \x2a/ watches'"
    assert f"/* Its templates name {cells}. */\nextern const cnp_bytecode cnp_bytecode_guards;\n" in header
    assert header.count("/* Its templates name") == 1


def test_every_op_is_there(exported: Path) -> None:
    header, source = ((exported / name).read_text() for name in ("cnp.h", "cnp.c"))
    for row in default_ops().rows.values():
        is_there = f"static inline void cnp_{row.method}(cnp_function *f, " in header
        assert is_there == (not row.flags & OpFlag.HIDDEN)
        assert (f" CNP_{row.method.upper()} = {row.code}" in header) == is_there
        assert (f"    [{row.code}] = {{" in source) == is_there
    assert all(f"IR_{each.name} = {each.value:#x}" in source for each in Code)


def test_an_op_cannot_take_a_name_of_the_header() -> None:
    class Row:
        method, name, flags, code = "new_label", "new.label", OpFlag(0), 1

    with pytest.raises(UserError, match=r"op 'new.label' would be cnp_new_label in C, which cnp.h has already"):
        ops.declarations([Row()], (HOST / "cnp.h").read_text())  # type: ignore[list-item]


def test_files_are_put_in_place_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.c").write_text(
        '#include <stdio.h>\n#include "deep/b.h"\n#include "made.h"\n#include "kept.h"\nend\n'
    )
    (tmp_path / "deep" / "b.h").write_text('b\n#include "../c.h"\n')
    (tmp_path / "c.h").write_text('c\n#include "made.h"\n')
    found = expand("a.c", (tmp_path,), {"made.h": "made\n"}, kept=("kept.h",))
    assert found == '#include <stdio.h>\nb\nc\nmade\n#include "kept.h"\nend\n'


def test_the_export_is_the_same_again(exported: Path, tmp_path: Path) -> None:
    path = library_path(opened(None, None).target)
    assert cli.main(["export-c", str(path), *TABLES, "-o", str(tmp_path)]) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cnp.c", "cnp.h"]
    for name in ("cnp.h", "cnp.c"):
        assert (tmp_path / name).read_bytes() == (exported / name).read_bytes()


def test_bad_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.cnpl"
    assert cli.main(["export-c", str(absent), "-o", str(tmp_path)]) == 1
    assert str(absent) in capsys.readouterr().err
    assert cli.main(["export-c", "--target", "vax", "-o", str(tmp_path)]) == 1
    assert "vax" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
