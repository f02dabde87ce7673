"""Ahead of time: object files that readelf finds nothing wrong with, that link with C, and that do what they should."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ahead_support import HERE, MACHINE, command_for, link_freestanding, program_of, run, succeed
from conftest import LIBRARY
from elftools.elf.elffile import ELFFile
from expectations import PROGRAMS, expectations
from machines import PADS
from toolchain import find_tool

import cnp
from cnp import cli, f32, f64, i64
from cnp.build.support import lacks_support
from cnp.errors import LibraryError, Unsupported, UserError, VerifyError
from cnp.ir import Function
from cnp.ir.text import parse, print_module
from cnp.runtime import default
from cnp.stencil.layout import SymbolKind
from cnp.stencil.library import Library
from cnp.stencil.model import Value
from cnp.stencil.sources import library_path, stencils_directory, support_path
from cnp.target import TARGETS
from cnp.tools import objectfile
from cnp.tools.emission import object_file, save
from cnp.tools.header import header

ROOT = Path(__file__).parent.parent
BUILT = [name for name in TARGETS if library_path(name).exists()]
FIB = ROOT / "tests" / "programs" / "fib.cnp"
PROGRAM = HERE / "program.cnp"

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")
for_each_target = pytest.mark.parametrize("target", BUILT)


def emit(
    directory: Path, source: Path = PROGRAM, target: str = MACHINE, name: str = "program", options: Sequence[str] = ()
) -> Path:
    """The object file of a program, with `name`.h beside it."""
    path = directory / f"{name}.o"
    words = ["emit", str(source), "-o", str(path), "--target", target, "--header", str(directory / f"{name}.h")]
    assert cli.main([*words, *options]) == 0
    return path


def adder(name: str = "add_one") -> Function:
    f = Function(name, [i64], i64)
    d = f.reg(i64)
    f.i64_add(d, f.params[0], 1)
    f.ret(d)
    return f


# What is in a file


@for_each_target
def test_readelf_finds_nothing_wrong(target: str, tmp_path: Path) -> None:
    path = emit(tmp_path, target=target)
    tools = [each for each in (shutil.which("readelf"), find_tool("llvm-readelf")) if each]
    if not tools:
        pytest.skip("NOT TESTED: there is no readelf")
    for tool in tools:
        shown = succeed([tool, "-a", "-W", path])
        assert not re.findall(r"(?im)^.*(?:warning|error:|corrupt|invalid|unrecognized|<unknown|: unknown).*$", shown)


@for_each_target
def test_symbols(target: str, tmp_path: Path) -> None:
    elf = ELFFile(io.BytesIO(emit(tmp_path, target=target).read_bytes()))
    assert (elf["e_type"], elf["e_machine"]) == ("ET_REL", TARGETS[target].elf_machine)
    table = elf.get_section_by_name(".symtab")
    symbols = {each.name: each for each in table.iter_symbols() if each["st_info"]["bind"] == "STB_GLOBAL"}
    names = parse(PROGRAM.read_text())
    text = elf.get_section_by_name(".text")
    at = 0
    for name in names:
        symbol, code = symbols[name], table.get_symbol_by_name(f"{name}.code")[0]
        assert elf.get_section(symbol["st_shndx"]).name == ".text"
        assert (symbol["st_info"]["type"], symbol["st_other"]["visibility"]) == ("STT_FUNC", "STV_DEFAULT")
        assert (code["st_info"]["type"], code["st_info"]["bind"]) == ("STT_FUNC", "STB_LOCAL")
        assert code["st_value"] >= at and code["st_value"] % 16 == symbol["st_value"] % 16 == 0
        at = code["st_value"] + code["st_size"]
        assert symbol["st_value"] + symbol["st_size"] <= text["sh_size"]
    for name, symbol in symbols.items():
        if symbol["st_shndx"] != "SHN_UNDEF" and name not in names:
            assert symbol["st_other"]["visibility"] == "STV_HIDDEN" and name.startswith("cnp_")
    undefined = {name for name, symbol in symbols.items() if symbol["st_shndx"] == "SHN_UNDEF"}
    assert undefined == {
        *("c_sum", "c_mixed", "c_half", "c_narrow", "c_again"),
        *("abort", "mmap", "munmap", "write", "pthread_attr_destroy", "pthread_attr_getstack", "pthread_getattr_np"),
        *("pthread_getspecific", "pthread_key_create", "pthread_once", "pthread_self", "pthread_setspecific"),
    }


@for_each_target
def test_relocations(target: str, tmp_path: Path) -> None:
    """Of the functions: calls only, so that they can be anywhere; of the rest nothing that a loader would write to."""
    elf = ELFFile(io.BytesIO(emit(tmp_path, target=target).read_bytes()))
    (call,) = (number for number, each in TARGETS[target].relocations.items() if each.of_call)
    table = elf.get_section_by_name(".symtab")
    rows = list(elf.get_section_by_name(".rela.text").iter_relocations())
    found = {(row["r_info_type"], table.get_symbol(row["r_info_sym"]).name) for row in rows}
    assert {type for type, _ in found} == {call}
    assert {name for _, name in found} == {
        *("c_sum", "c_mixed", "c_half", "c_narrow", "c_again"),
        *("cnp_enter_from_c", "cnp_trap", "cnp_poll_before_call", "cnp_poll_in_loop"),
    }
    assert [row["r_offset"] for row in rows] == sorted({row["r_offset"] for row in rows})
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_RELA":
            assert elf.get_section(section["sh_info"])["sh_flags"] & 1 == 0  # not of variables


@for_each_target
def test_sections(target: str, tmp_path: Path) -> None:
    elf = ELFFile(io.BytesIO(emit(tmp_path, target=target).read_bytes()))
    text, stack = elf.get_section_by_name(".text"), elf.get_section_by_name(".note.GNU-stack")
    assert (text["sh_flags"], stack["sh_flags"], stack["sh_size"]) == (6, 0, 0)
    assert text["sh_addralign"] >= 16
    assert not any(each["sh_flags"] & 5 == 5 for each in elf.iter_sections()), "writable and executable"
    for each in elf.iter_sections():
        assert each["sh_offset"] % max(each["sh_addralign"], 1) == 0
    support = sum(each["sh_size"] for each in elf.iter_sections() if each["sh_flags"] & 0x202 == 0x202)
    assert 0 < support < 4096


@for_each_target
def test_the_same_program_gives_the_same_bytes(target: str) -> None:
    def made() -> bytes:
        return object_file(list(parse(PROGRAM.read_text()).values()), target)

    first = made()
    adder().compile()  # takes a number in trap words
    assert made() == first


@for_each_target
def test_every_call_of_a_stencil_has_a_relocation(target: str) -> None:
    """A new target says which relocation fills in a call: `of_call` of its RelocationKind."""
    record = TARGETS[target]
    with Library.open(library_path(target)) as library:
        routines = {offset for _, offset in library.symbols[SymbolKind.EXPORT]}
        calls = 0
        for index in library.control.values():
            for hole in library.stencil(index).holes:
                if hole.value == Value.CALLEE or (hole.value == Value.LIBRARY and hole.extra in routines):
                    found = record.call_relocation(record.kinds[hole.kind].name)
                    calls += found is not None
        assert calls > 10
    with pytest.raises(KeyError):
        record.call_relocation("no kind")


@for_each_target
def test_a_file_is_read_as_it_was_written(target: str) -> None:
    data = support_path(library_path(target)).read_bytes()
    first = objectfile.read("it", data)
    again = objectfile.read("it", objectfile.write(first))
    assert [(each.name, each.data, each.room, each.alignment) for each in again.sections] == [
        (each.name, each.data, each.room, each.alignment) for each in first.sections
    ]
    assert {each.name for each in again.symbols} == {each.name for each in first.symbols}
    for one, other in zip(first.sections, again.sections):
        assert [(row.offset, row.type, row.symbol.name, row.addend) for row in one.relocations] == [
            (row.offset, row.type, row.symbol.name, row.addend) for row in other.relocations
        ]


# Linked and run


@for_each_target
def test_without_a_c_library(target: str, tmp_path: Path) -> None:
    program = link_freestanding(target, tmp_path, HERE / "main.c", emit(tmp_path, target=target))
    command = command_for(target, program)
    done = run(command)
    assert (done.returncode, done.stderr) == (0, "")
    done = run([*command, "divide"])
    assert (done.returncode, done.stderr) == (134, "cnp: integer divide by zero in function divide at op 0\n")
    done = run([*command, "overflow"])
    assert (done.returncode, done.stderr) == (134, "cnp: stack overflow in function forever\n")


@for_each_target
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs(target: str, path: Path, tmp_path: Path) -> None:
    """What the programs of all back ends expect, asked for in C."""
    text = path.read_text()
    functions, expected = parse(text, str(path)), expectations(text)
    if any(each.address is not None for each in functions.externs.values()):
        pytest.skip("it calls C by address")
    source = tmp_path / "it.c"
    source.write_text(program_of(functions, expected))
    program = link_freestanding(target, tmp_path, source, emit(tmp_path, path, target))
    done = run(command_for(target, program))
    assert (done.returncode, done.stderr) == (0, "")


PADDED = [each for each in BUILT if TARGETS[each].landing_pads]


def properties(path: Path) -> bytes:
    section = ELFFile(io.BytesIO(path.read_bytes())).get_section_by_name(".note.gnu.property")
    return section.data() if section else b""


@pytest.mark.parametrize("target", PADDED)
def test_landing_pads(target: str, tmp_path: Path) -> None:
    """Wherever C or compiled code may jump to; and of files that all say so, the program says so."""
    path, pad = emit(tmp_path, target=target, options=["--landing-pads"]), PADS[target]
    elf = ELFFile(io.BytesIO(path.read_bytes()))
    text, table = elf.get_section_by_name(".text").data(), elf.get_section_by_name(".symtab")
    section = elf.get_section_index(".text")
    places = {each.name: each["st_value"] for each in table.iter_symbols() if each["st_shndx"] == section}
    for name in parse(PROGRAM.read_text()):
        assert text.startswith(pad, places[name]) and text.startswith(pad, places[f"{name}.code"]), name
    program = link_freestanding(target, tmp_path, HERE / "main.c", path, landing_pads=True)
    assert properties(program) == properties(path) != b""
    assert run(command_for(target, program)).returncode == 0
    without = emit(tmp_path, target=target)
    assert properties(without) == b""
    program = link_freestanding(target, tmp_path, HERE / "main.c", without, landing_pads=True)
    assert properties(program) == b""


@pytest.mark.skipif("aarch64" not in BUILT, reason="NOT TESTED: no library for aarch64 is built")
@pytest.mark.parametrize(("has_pads", "status"), [(True, 0), (False, -signal.SIGILL)])
def test_a_program_whose_jumps_are_checked(has_pads: bool, status: int, tmp_path: Path) -> None:
    """qemu has the processor check them where the program says that it may."""
    path, nop = emit(tmp_path, target="aarch64", options=["--landing-pads"]), bytes.fromhex("1f2003d5")
    if not has_pads:
        path.write_bytes(path.read_bytes().replace(PADS["aarch64"], nop))
    program = link_freestanding("aarch64", tmp_path, HERE / "main.c", path, landing_pads=True)
    emulator, *rest = command_for("aarch64", program)
    assert run([emulator, "-cpu", "max", *rest]).returncode == status


def test_landing_pads_that_cannot_be() -> None:
    for target in set(BUILT) - set(PADDED):
        with pytest.raises(
            Unsupported, match=f"object files for {target} cannot have landing pads; accepted: aarch64, x86_64"
        ):
            object_file([adder()], target, landing_pads=True)


HOSTED = [
    ("gcc", "-O2"),
    ("gcc", "-fPIE -pie -Wl,-z,text"),
    ("gcc", "-static -no-pie"),
    ("clang", "-O2"),
    ("clang", "-fuse-ld=lld -fPIE -pie -Wl,-z,text,--gc-sections"),
    ("clang", "-fuse-ld=lld -static"),
]


def link_hosted(compiler: str, flags: str, directory: Path, *objects: Path) -> Path:
    program = directory / "program"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-std=c11", "-D_GNU_SOURCE", "-DHOSTED"]
    words = ["-I", directory, HERE / "main.c", *objects, "-lpthread", "-o", program]
    done = run([compiler, *warnings, *flags.split(), *words])
    if "cannot find -l" in done.stderr or "invalid linker name" in done.stderr:
        pytest.skip(f"NOT TESTED: {compiler} {flags}: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return program


@pytest.mark.parametrize(("compiler", "flags"), HOSTED)
def test_with_the_c_library_of_this_machine(compiler: str, flags: str, tmp_path: Path) -> None:
    """Threads and longjmp besides."""
    path = find_tool(compiler)
    if path is None:
        pytest.skip(f"NOT TESTED: there is no {compiler}")
    if "lld" in flags:
        lld = find_tool("ld.lld")
        if lld is None:
            pytest.skip("NOT TESTED: there is no ld.lld")
        flags = flags.replace("-fuse-ld=lld", f"--ld-path={lld}")
    program = link_hosted(path, flags, tmp_path, emit(tmp_path))
    done = run([program])
    assert (done.returncode, done.stderr) == (0, "")
    done = run([program, "divide"])
    assert (done.returncode, done.stderr) == (-6, "cnp: integer divide by zero in function divide at op 0\n")


@pytest.mark.parametrize("target", [each for each in BUILT if each != MACHINE])
def test_with_the_c_library_of_another_machine(target: str, tmp_path: Path) -> None:
    compiler = shutil.which(f"{target}-linux-gnu-gcc")
    if compiler is None:
        pytest.skip(f"NOT TESTED: there is no {target}-linux-gnu-gcc")
    done = run(command_for(target, link_hosted(compiler, "-static", tmp_path, emit(tmp_path, target=target))))
    assert (done.returncode, done.stderr) == (0, "")


def gcc() -> str:
    found = shutil.which("cc") or shutil.which("gcc") or find_tool("clang")
    if found is None:
        pytest.skip("NOT TESTED: there is no C compiler")
    return found


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


@for_each_target
def test_constants_and_jump_tables_are_where_the_code_looks(target: str, tmp_path: Path) -> None:
    """Of many functions: what lies behind the code of one is in front of another's."""
    functions = []
    for number in range(40):
        f = Function(f"f{number}", [f64], f64)
        d = f.reg(f64)
        f.f64_neg(d, f.params[0]) if number % 2 else f.f64_abs(d, f.params[0])
        f.f64_add(d, d, number + 0.1)
        f.ret(d)
        functions.append(f)
    path, source = tmp_path / "it.o", tmp_path / "it.c"
    path.write_bytes(object_file(functions, target))
    declared = "".join(f"double f{number}(double);\n" for number in range(40))
    checked = "".join(
        f"    if (f{number}(-1.5) != 1.5 + {number + 0.1!r}) return {number + 1};\n" for number in range(40)
    )
    source.write_text(f"{declared}int main(void) {{\n{checked}    return 0;\n}}\n")
    assert run(command_for(target, link_freestanding(target, tmp_path, source, path))).returncode == 0


@for_each_target
def test_large_frames(target: str, tmp_path: Path) -> None:
    """C that is called in the middle of one may call compiled code, which must not use the same memory."""
    callees = (cnp.extern("c_plain", [i64], i64), cnp.extern("c_eight", [i64] * 8, i64))
    functions = []
    for callee, name in zip(callees, ("plain", "eight")):
        f = Function(name, [i64], i64)
        (n,) = f.params
        values = [f.reg(i64) for _ in range(60)]
        for number, each in enumerate(values):
            f.i64_mul(each, n, number + 1)
        d = f.reg(i64)
        f.call(d, callee, *([n] if name == "plain" else values[:8]))
        for each in values:
            f.i64_add(d, d, each)
        f.ret(d)
        functions.append(f)
    path, source = tmp_path / "it.o", tmp_path / "it.c"
    path.write_bytes(object_file(functions, target))
    source.write_text(
        "long plain(long), eight(long);\nstatic int depth;\n"
        "long c_plain(long x) {\n    if (depth++ >= 3)\n        return x;\n"
        "    long first = plain(x + 1);\n    return first + eight(x);\n}\n"
        "long c_eight(long a, long b, long c, long d, long e, long f, long g, long h) {\n"
        "    return depth++ < 3 ? eight(a + 1) : a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;\n}\n"
        "int main(void) {\n    long first = plain(1);\n    depth = 0;\n    long second = eight(1);\n"
        f"    return first != {_plain(1, [0])} || second != {_eight(1, [0])};\n}}\n"
    )
    assert run(command_for(target, link_freestanding(target, tmp_path, source, path))).returncode == 0


def _plain(x: int, depth: list[int]) -> int:
    """What the C and the functions of test_large_frames come to."""
    depth[0] += 1
    called = _plain(x + 1, depth) + _eight(x, depth) if depth[0] <= 3 else x
    return called + x * sum(range(1, 61))


def _eight(x: int, depth: list[int]) -> int:
    depth[0] += 1
    called = _eight(x + 1, depth) if depth[0] <= 3 else x * sum(k * k for k in range(1, 9))
    return called + x * sum(range(1, 61))


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
