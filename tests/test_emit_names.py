"""Symbols of object files: which functions, what they are called, externs by name."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from ahead_support import run, succeed
from conftest import LIBRARY
from elftools.elf.elffile import ELFFile
from object_files import FIB, PROGRAM, ROOT, adder, emit, gcc
from toolchain import find_tool

import cnp
from cnp import cli, f32, i64
from cnp.errors import Unsupported, UserError
from cnp.ir import Function
from cnp.ir.text import parse, print_module
from cnp.tools.emission import object_file
from cnp.tools.header import header

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


def test_several_files_share_one_support(tmp_path: Path) -> None:
    """A handler that is set once is everybody's."""
    first, second = emit(tmp_path, FIB, name="first"), tmp_path / "second.o"
    trapping = Function("trapping", [], i64)
    trapping.unreachable()
    second.write_bytes(object_file([trapping, adder()]))
    main = tmp_path / "main.c"
    main.write_text(
        '#include "first.h"\nint64_t trapping(void), add_one(int64_t);\nstatic int traps;\n'
        "static void on_trap(const struct cnp_trap_info *trap) { traps += trap->kind; }\n"
        "int main(void) {\n    cnp_set_trap_handler(on_trap);\n"
        "    return trapping() + traps - 1 + (int)fib(10) - 55 + (int)add_one(-1);\n}\n"
    )
    program = tmp_path / "program"
    succeed([gcc(), main, first, second, "-lpthread", "-o", program])
    assert run([program]).returncode == 0
    symbols = ELFFile(io.BytesIO(program.read_bytes())).get_section_by_name(".symtab")
    assert len([each for each in symbols.iter_symbols() if each.name == "cnp_enter_from_c"]) == 1


def test_a_shared_library(tmp_path: Path) -> None:
    import ctypes

    library = tmp_path / "libfib.so"
    succeed([gcc(), "-shared", "-Wl,-z,text", emit(tmp_path, FIB), "-o", library])
    loaded = ctypes.CDLL(str(library))
    loaded.fib.argtypes, loaded.fib.restype = [ctypes.c_int64], ctypes.c_int64
    assert loaded.fib(20) == 6765
    assert not hasattr(loaded, "cnp_trap") and not hasattr(loaded, "cnp_set_trap_handler")


def test_the_header_is_cpp_too(tmp_path: Path) -> None:
    compiler = shutil.which("g++") or find_tool("clang++")
    if compiler is None:
        pytest.skip("NOT TESTED: there is no C++ compiler")
    path = emit(tmp_path, FIB)
    main = tmp_path / "main.cpp"
    main.write_text('#include "program.h"\n#include "program.h"\nint main() { return fib(10) == 55 ? 0 : 1; }\n')
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    succeed([compiler, *warnings, main, path, "-lpthread", "-o", tmp_path / "program"])
    assert run([tmp_path / "program"]).returncode == 0


# Names


def test_the_header() -> None:
    text = header(list(parse(PROGRAM.read_text()).values()), "dir/pro*/gram.cnp")
    assert text.startswith("/* Made by cnp from dir/pro* /gram.cnp. */\n")
    assert "\nint64_t fib(int64_t n);\n" in text
    assert "\nvoid give_up(void);\n" in text
    assert "\ndouble mix(double a, int64_t n, float b);\n" in text
    assert "\nint64_t sum(const void *p, int64_t n);\n" in text
    odd = Function("a b */", [i64, f32, cnp.writable_ptr], None)
    odd.name_register(odd.params[0], "int")
    assert "\n/* no name in C: void a b * /(int64_t, float, void *) */\n" in header([odd], "it")


def test_only_the_functions_that_are_named(tmp_path: Path) -> None:
    source, path = ROOT / "tests" / "programs" / "mutual_recursion.cnp", tmp_path / "it.o"
    assert cli.main(["emit", str(source), "--function", "odd", "-o", str(path)]) == 0
    table = ELFFile(io.BytesIO(path.read_bytes())).get_section_by_name(".symtab")
    (even,) = table.get_symbol_by_name("even")
    assert (even["st_info"]["bind"], even["st_info"]["type"]) == ("STB_LOCAL", "STT_FUNC")
    assert table.get_symbol_by_name("odd")[0]["st_info"]["bind"] == "STB_GLOBAL"
    for unused in set(parse(source.read_text())) - {"odd", "even"}:
        assert table.get_symbol_by_name(unused) is None


def test_the_default_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["emit", str(FIB)]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["fib.o"]


def test_names_that_no_symbol_can_have() -> None:
    for name, message in (
        ("", "its name cannot be a symbol"),
        ("a\0b", "its name cannot be a symbol"),
        ("cnp_trap", "every object file of cnp defines itself"),
    ):
        with pytest.raises(UserError, match=message):
            object_file([adder(name)])
    with pytest.raises(UserError, match="two functions are called 'add_one'"):
        object_file([adder(), adder()])
    with pytest.raises(UserError, match="no functions"):
        object_file([])
    assert object_file([adder("größer als \N{SNOWMAN}")])


def caller(callee: cnp.Extern) -> Function:
    f = Function("caller", [i64], i64)
    d = f.reg(i64)
    f.call(d, callee, f.params[0])
    f.ret(d)
    return f


def test_externs_by_name() -> None:
    labs = cnp.extern("labs", [i64], i64)
    assert (labs.address, labs.name, repr(labs)) == (None, "labs", "<extern labs>")
    assert labs == cnp.extern("labs", [i64], i64, name="labs") != cnp.extern(1, [i64], i64, name="labs")
    f = caller(labs)
    assert object_file([f])
    for backend in ("native", "reference"):
        with pytest.raises(Unsupported, match=r"extern 'labs' is a name for a linker, which `cnp emit` can use"):
            f.compile(backend=backend)
    with pytest.raises(Unsupported, match=r"function 'caller' calls extern 'labs' at an address.*its name alone"):
        object_file([caller(cnp.extern(0x1000, [i64], i64, name="labs"))])
    with pytest.raises(Unsupported, match="an object file cannot call <native function"):
        object_file([caller(adder().compile())])
    for name in ("", "a\0b"):
        with pytest.raises(UserError, match="a C function's own name"):
            cnp.extern(name, [])
    with pytest.raises(UserError, match="a C function's own name"):
        cnp.extern("labs", [], name="abs")


def test_externs_by_name_in_the_text_form() -> None:
    externs = 'extern labs(i64) -> i64\nextern "a b"()\n'
    text = externs + '\nfunc f(a: i64) -> i64\n  call a, labs(a)\n  call "a b"()\n  ret a\nend\n'
    module = parse(text)
    assert module["f"].callees == [cnp.extern("labs", [i64], i64), cnp.extern("a b", [])]
    assert print_module(module) == text
    with pytest.raises(cnp.ParseError, match=r"1:16: found '7'; accepted: '->' and|1:.*'=' and an address, or the end"):
        parse("extern labs()  7\n")
    # Nothing but its name says what it is, so it keeps it.
    f = caller(cnp.extern("caller", [i64], i64))
    assert print_module([f]).startswith("extern caller(i64) -> i64\n\nfunc caller.2(")


def test_an_extern_that_the_same_file_defines(tmp_path: Path) -> None:
    """The symbol is one; C finds it, too."""
    f = caller(cnp.extern("add_one", [i64], i64))
    path, main = tmp_path / "it.o", tmp_path / "main.c"
    path.write_bytes(object_file([f, adder()]))
    main.write_text("long caller(long);\nint main(void) { return (int)caller(41) - 42; }\n")
    succeed([gcc(), main, path, "-lpthread", "-o", tmp_path / "program"])
    assert run([tmp_path / "program"]).returncode == 0
