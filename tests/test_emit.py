"""Object files of compiled functions: what is in them, and that they run without a C library."""

from __future__ import annotations

import io
import re
import shutil
import signal
from pathlib import Path

import pytest
from ahead_support import HERE, MACHINE, command_for, link_freestanding, program_of, run, succeed
from conftest import LIBRARY
from elftools.elf.elffile import ELFFile
from expectations import PROGRAMS, expectations
from machines import PADS
from object_files import BUILT, HOSTED, PROGRAM, adder, emit, for_each_target, link_hosted
from toolchain import find_tool

from cnp.errors import Unsupported
from cnp.ir.text import parse
from cnp.stencil.layout import SymbolKind
from cnp.stencil.library import Library
from cnp.stencil.sources import library_path, support_path
from cnp.stencil.words import Value
from cnp.target import TARGETS
from cnp.tools import objectfile
from cnp.tools.emission import object_file

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")


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
