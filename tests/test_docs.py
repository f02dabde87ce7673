"""The documentation is true: its examples run, its links lead somewhere, its guide works, its picture is drawn."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import LIBRARY

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = ROOT / "docs" / "add-an-op.md"
TARGET_GUIDE = ROOT / "docs" / "add-a-target.md"
EMBEDDING = ROOT / "docs" / "embedding.md"  # whose C is built, in tests/test_extension_builds.py

needs_library = pytest.mark.skipif(
    not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine"
)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code: str) -> str:
    """Run Python in a process of its own; what it printed. Fails with its messages if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"], input=code, cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout


@needs_library
@pytest.mark.parametrize(
    "path", [each for each in DOCUMENTS if each not in (GUIDE, EMBEDDING)], ids=lambda path: path.name
)
def test_every_python_block_runs(path: Path) -> None:
    found = blocks(path, "python")
    if found:  # the blocks of one document build on one another
        run("\n".join(found))


@needs_library
def test_the_readme_shows_what_its_first_block_prints() -> None:
    """`make demo` runs that block; the block after it shows what it prints."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = run(blocks(ROOT / "README.md", "python")[0])
    assert printed.split()[0] == "1999998"
    assert re.search(r"```python\n.*?```.*?```text\n1999998 ", readme, re.DOTALL)
    extracted = subprocess.run(
        ["awk", "/^```python/ { on = 1; next } /^```/ && on { exit } on", "README.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert extracted.stdout == blocks(ROOT / "README.md", "python")[0], "make demo runs another text"


def test_listings_that_name_a_file_are_parts_of_it() -> None:
    """`# examples/stackvm/tier.py` and the like in their first line; methods are shown without their indentation."""
    found = re.findall(
        r"^(?:# |/\* )(examples/[\w/.]+)(?: \*/)?\n(.*?)^```", EMBEDDING.read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(found) > 10
    for name, listing in found:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert listing in text or textwrap.indent(listing, "    ") in text, f"{name} has no\n{listing}"


def test_links_lead_to_files_and_headings_that_exist() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if re.match(r"\w+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = path.parent / name if name else path
            assert file.exists(), f"{path.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}
                assert anchor in anchors, f"{path.name} links to {target}"


def test_paths_that_are_named_exist() -> None:
    """`cnp/ir/semantics.py` and the like, in all documents but the change log."""
    for path in DOCUMENTS:
        if path.name == "CHANGELOG.md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for named in re.findall(r"`((?:cnp|docs|examples|stencils|tests)/[\w./]*)`", text):
            exists = (ROOT / named).exists() or (path.parent / named).exists() or named.endswith(".cnpl")
            assert exists or named.startswith("cnp/data"), f"{path.name} names {named}"


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        for line in re.findall(r"`make ([\w]+)", path.read_text(encoding="utf-8")):
            assert line in targets, f"{path.name}: make {line}"


# The guide to targets names all that there is to say of one.


def _unnamed(names: Iterable[str]) -> set[str]:
    """Those that the guide to targets names neither by themselves nor by a family, as `CNP_POLL_...`."""
    text = TARGET_GUIDE.read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)", text))
    families = tuple(re.findall(r"`(\w+_)\.\.\.`", text))
    return {each for each in names if each not in named and not each.startswith(families)}


def test_the_guide_to_targets_names_every_member_and_limit() -> None:
    from cnp.target.record import LIMITS, Target

    assert _unnamed(each.name for each in dataclasses.fields(Target)) == set()
    assert _unnamed(LIMITS) == set()


def test_the_guide_to_targets_names_every_macro_that_others_use() -> None:
    """All that a target's header defines, and that anything but these headers has in it."""
    headers = sorted((ROOT / "stencils" / "targets").glob("*.h"))
    users = [each for each in (ROOT / "stencils").rglob("*.[ch]") if each not in headers]
    users += (ROOT / "cnp" / "build").glob("*.py")
    used = {word for path in users for word in re.findall(r"\b(?:CNP_|HOLE|TIMES_|ADDRESS_)\w+", path.read_text())}
    used |= {"HOLE_F32", "HOLE_F64"}  # by type, in generated placements
    for header in headers:
        defined = set(re.findall(r"^ *#define (\w+)", header.read_text(), re.MULTILINE))
        assert len(defined & used) > 30, header.name
        assert _unnamed(defined & used) == set(), header.name


# The guide: its op is built by the real build, from the real headers and the guide's own C.


@pytest.fixture(scope="module")
def guide_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stencil_fixtures import build, sources

    from cnp.build.clang import find_clang
    from cnp.errors import BuildError

    try:
        find_clang()
    except BuildError as error:
        pytest.skip(f"NOT TESTED: the guide's op cannot be built: {error}")
    directory = tmp_path_factory.mktemp("guide")
    output = directory / "guide.cnpl"
    build(sources(directory / "stencils", '#include "cnp.h"\n' + "\n".join(blocks(GUIDE, "c"))), output)
    return output


def test_the_op_of_the_guide_builds_to_what_the_guide_says(guide_library: Path) -> None:
    from cnp.stencil.library import Library
    from cnp.stencil.model import OpFlag
    from cnp.stencil.words import Form, Value

    shown = next(each for each in blocks(GUIDE, "text") if "d=a a=r0" in each)
    with Library.open(guide_library) as library:
        (op,) = library.ops
        assert op.name == "i64.add_checked_s"
        assert op.flags == OpFlag.COMMUTATIVE | OpFlag.MAY_TRAP
        assert op.doc in shown
        for placement, line in enumerate(shown.splitlines()[1:]):
            index = library.placements[library.form_base(op, Form.TIED) + placement]
            stencil = library.stencil(index)
            assert line.startswith(f"{library.placement_name(index)} | ")
            assert [hole.value for hole in stencil.holes] == [Value.EXIT]


def test_the_python_of_the_guide_runs(guide_library: Path) -> None:
    """With an op table of that one op; the block that looks at this machine's library looks at the guide's."""
    before = (
        "import cnp, cnp.runtime.default as default\n"
        "from cnp.stencil.library import Library\n"
        f"library = Library.open({str(guide_library)!r})\n"
        "default.default_library = lambda: library\n"
        "cnp.set_default_ops(lambda: library.ops)\n"
    )
    printed = run(before + "\n".join(blocks(GUIDE, "python")))
    assert "integer overflow in function 'checked_sum' at op 0 (i64.add_checked_s)\n" in printed
    assert "i64.add_checked_s d=a a=r0 b=r1" in printed


def test_the_program_of_the_guide_does_what_it_expects(guide_library: Path) -> None:
    program = next(each for each in blocks(GUIDE, "text") if each.startswith(";"))
    code = (
        "import cnp, sys\nsys.path.insert(0, 'tests')\n"
        "from cnp.stencil.library import Library\nfrom cnp.ir.text import parse\n"
        "from cnp.backends import reference\nfrom expectations import check, expectations\n"
        f"cnp.set_default_ops(lambda: Library.open({str(guide_library)!r}).ops)\n"
        + next(each for each in blocks(GUIDE, "python") if "SEMANTICS" in each)
        + f"\ntext = {program!r}\nfor each in expectations(text):\n"
        "    check(each, parse(text, 'guide.cnp'), reference.compile)\n    print(each.text)\n"
    )
    assert len(run(code).splitlines()) == 2


@needs_library
def test_the_picture_can_be_drawn(tmp_path: Path) -> None:
    """Its bytes and registers depend on the compiler; what it says does not."""
    pytest.importorskip("capstone")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "docs/make_pictures.py", tmp_path], cwd=ROOT, env=environment, check=True)
    drawn = _words(tmp_path / "stencil.svg")
    for words in (drawn, _words(ROOT / "docs" / "stencil.svg")):
        text = " ".join(words)
        assert "i64.lt_s { return (s64)a < (s64)b; }" in text
        assert {"IMMEDIATE_B", "TARGET", "chunk 0", "immediate_b=100"} <= set(words)
        assert any(each.startswith("target=") for each in words)


def _words(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    texts = root.findall("{http://www.w3.org/2000/svg}text")
    for each in texts:
        assert 0 <= int(each.attrib["x"]) <= width and 0 <= int(each.attrib["y"]) <= height, each.text
    return [" ".join((each.text or "").split()) for each in texts]
