"""Imports point downwards only, nothing that runs at run time is third-party, and `import cnp` stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnp.target import TARGETS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cnp"

GROUND = {"errors", "types", "spec"}
FACE = {*GROUND, "target", "stencil", "runtime", "ir", "backends", "staging", "extension", "bytecode"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "spec": set(),
    "target": GROUND,
    "stencil": {*GROUND, "target"},
    "build": {*GROUND, "target", "stencil"},
    "runtime": {*GROUND, "target", "stencil"},
    "ir": {*GROUND, "stencil"},
    "dump": set(),
    "backends": {"dump", *GROUND, "target", "stencil", "runtime", "ir"},
    "staging": {*GROUND, "target", "stencil", "runtime", "ir", "backends"},
    "extension": {*GROUND, "target", "stencil", "runtime", "ir", "backends"},
    "bytecode": {*GROUND, "stencil", "runtime", "ir", "backends"},
    "export": {*GROUND, "target", "stencil", "runtime", "ir", "bytecode"},
    "tiers": set(),
    "__init__": {*FACE, "tools"},  # CNP_DUMP asks for them
    "tools": {*FACE, "__init__"},
    "bench": {*FACE, "__init__", "tools", "build", "export", "tiers"},
    "cli": {*FACE, "__init__", "build", "tools", "bench", "export"},
    "__main__": {"cli"},
}
"""What each part of cnp may import from the others. A new part is added here, at its place."""

REACHES_UP = {
    ("ir/function.py", "backends"),  # Function.compile needs a back end, and back ends need Function
    ("runtime/callable.py", "tools"),  # a compiled function disassembles itself when asked to
    ("backends/foreign.py", "tools"),  # and so does one for another target
    ("dump.py", "tools"),  # CNP_DUMP shows what the tools can show
}
"""The imports that may point upwards, because they wait until a function is called."""

THIRD_PARTY = {
    "build": {"elftools", "rich"},
    "tools": {"capstone", "rich", "matplotlib"},
    "bench": {*("capstone", "cffi", "copapy", "elftools", "llvmlite", "matplotlib", "numba", "numpy", "wasmtime")},
    "cli": {"rich"},
    "runtime": {"scipy"},  # for low_level_callable, which hands a function to it
}
"""The parts that may use a package from PyPI; every other part has the standard library only."""

WAITS = {("runtime/callable.py", "scipy")}
"""The packages that a part of the run time may import when it is asked for what needs them, and only then."""

STANDARD = sys.stdlib_module_names | {"_sha2", "_sha256"}  # in one version of Python or another

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(tree: ast.AST, package: str, deferred: bool = False) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, whether it waits for a function to be called) of every import below a node."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, deferred) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            if base == "cnp":  # `from cnp import ir` is the package ir, `from cnp import Function` the face
                for alias in node.names:
                    yield f"cnp.{alias.name}" if part_exists(alias.name) else "cnp", node.lineno, deferred
            else:
                yield base, node.lineno, deferred
        else:
            inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from imports(node, package, deferred or inside)


def part_exists(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def imports_of(path: Path) -> list[tuple[str, int, bool]]:
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return list(imports(ast.parse(path.read_text(), str(path)), package))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(path)
    assert part in ALLOWED, f"{path.relative_to(ROOT)} belongs to no layer: give it one in ALLOWED"
    relative = path.relative_to(PACKAGE).as_posix()
    for name, line, deferred in imports_of(path):
        top, _, rest = name.partition(".")
        if top != "cnp":
            continue
        wanted = rest.partition(".")[0] or "__init__"
        if deferred and (relative, wanted) in REACHES_UP:
            continue
        assert wanted == part or wanted in ALLOWED[part], f"{relative}:{line}: {part} must not import cnp.{wanted}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_third_party_packages_stay_where_they_belong(path: Path) -> None:
    allowed = THIRD_PARTY.get(part_of(path), set())
    relative = path.relative_to(PACKAGE).as_posix()
    for name, line, deferred in imports_of(path):
        top = name.partition(".")[0]
        if deferred and (relative, top) in WAITS:
            continue
        known = top == "cnp" or top in STANDARD or top in allowed
        assert known, f"{path.relative_to(ROOT)}:{line}: {part_of(path)} must not import {top}"


def test_no_cycles() -> None:
    """Among the imports that happen when a module is loaded."""
    names = {name_of(path): path for path in MODULES}
    graph = {
        name: {found for found, _, deferred in imports_of(path) if not deferred and found in names and found != name}
        for name, path in names.items()
    }
    for name, path in names.items():  # what is imported for type checkers only is never loaded
        graph[name] -= {found for found, *_ in type_checking_imports(path)}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def type_checking_imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    package = ".".join(path.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from imports(ast.Module(node.body, []), package)


def test_import_cnp_loads_neither_the_build_nor_anything_third_party() -> None:
    code = "import sys; before = set(sys.modules); import cnp; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert "cnp" in loaded
    allowed = sys.stdlib_module_names | {"cnp"}
    assert not [name for name in loaded if name.startswith("cnp.build")]
    assert not [name for name in loaded if name.partition(".")[0] not in allowed]


SLOW = {"argparse", "dataclasses", "inspect", "json", "logging", "pathlib", "re", "threading", "typing"}
"""What a process that runs compiled code does without, unless it wants them itself."""


def test_a_first_function_imports_nothing_slow() -> None:
    code = (
        "import sys; before = set(sys.modules); import cnp; f = cnp.Function('seven', [cnp.i64], cnp.i64); "
        "d = f.reg(cnp.i64); f.i64_mul(d, f.params[0], 7); f.ret(d); assert f.compile()(6) == 42; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    if "Unsupported" in done.stderr:
        pytest.skip("NOT TESTED: native code cannot run here")
    assert done.returncode == 0, done.stderr
    assert not SLOW & set(done.stdout.split())


ARCHITECTURE = re.compile(r"x86|i[3-6]86|amd64|aarch|arm64|riscv|rv64|loongarch|larch", re.IGNORECASE)
OF_THE_HOST = {
    "cnp/runtime/mapping.py": "a return and a trap on the machine that Python runs on, before any library is read",
    "cnp/runtime/linux_icache.py": "how its caches are told of new code",
    "cnp/runtime/platform.py": "what other operating systems call it",
    "cnp/bench/counters.py": "the number of a system call there",
}
"""Files that name architectures, and why: they are about the machine that runs cnp, not about a target."""


def words_of_python(text: str) -> Iterator[str]:
    """Names and strings, docstrings apart."""
    tree = ast.parse(text)
    told = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value
        yield from (
            getattr(node, name) for name in ("id", "attr", "arg", "name") if isinstance(getattr(node, name, 0), str)
        )


def words_of_c(text: str) -> Iterator[str]:
    """What is no comment."""
    yield re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def names_architectures(path: Path) -> bool:
    words = words_of_python if path.suffix == ".py" else words_of_c
    return any(ARCHITECTURE.search(word) for word in words(path.read_text()))


def test_no_architecture_is_named_outside_of_targets() -> None:
    """A target is its own files: nothing else asks which one it is."""
    files = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "target" not in path.parents]
    stencils = ROOT / "stencils"
    files += [each for each in stencils.rglob("*.[ch]") if stencils / "targets" not in each.parents]
    files += [each for each in (PACKAGE / "export" / "host").glob("*.[ch]") if each.stem not in TARGETS]
    assert len(files) > 150
    found = {path.relative_to(ROOT).as_posix() for path in files if names_architectures(path)}
    assert found == set(OF_THE_HOST)
    assert all(names_architectures(stencils / "targets" / f"{each}.h") for each in ("riscv64", "aarch64"))


def test_the_rules_bite() -> None:
    """The reader of imports sees every form an import may take."""
    source = "import a.b\nfrom cnp import ir, Function\nfrom . import x\nfrom ..types import y\ndef f(): import late\n"
    found = list(imports(ast.parse(source), "cnp.ir"))
    assert found == [
        ("a.b", 1, False),
        ("cnp.ir", 2, False),
        ("cnp", 2, False),
        ("cnp.ir", 3, False),
        ("cnp.types", 4, False),
        ("late", 5, True),
    ]
