"""The table of what interpreters in C have: what it names exists, in Python and in the exported header, with as many
arguments. And whatever else the document calls by a C name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import LIBRARY
from guest_machines import WORDS

import cnp
from cnp import cli, i64, tiers
from cnp.runtime.callable import NativeFunction

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")
EMBEDDING = Path(__file__).parent.parent / "docs" / "embedding.md"
EXAMPLES = {"cnp_bytecode_name", "CNP_FILE_WORDS_LOCAL"}
"""Names that are made of what a program calls its tables."""
VARIABLES = {"host", "policy"}
"""A program's own, of which the table names members."""


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The exported one, comments left out."""
    directory = tmp_path_factory.mktemp("exported")
    assert cli.main(["export-c", "-o", str(directory)]) == 0
    return re.sub(r"/\*.*?\*/", "", (directory / "cnp.h").read_text(), flags=re.DOTALL)


def rows() -> list[tuple[str, str]]:
    """Python's and C's names, in the code of each row of the table."""
    text = EMBEDDING.read_text(encoding="utf-8").split("### The same from C")[1].split("### ")[0]
    return re.findall(r"^\| ([^|]*) \| ([^|]*`[^|]*) \|$", text, re.MULTILINE)


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def arguments(span: str) -> tuple[str, list[str]]:
    """The name and the arguments of a call; of anything else no arguments."""
    name, _, rest = span.partition("(")
    return name, [each.strip().rstrip("=") for each in rest.rstrip(")").split(",") if each.strip(". )")]


# -- C


def missing_in_c(cell: str, header: str) -> list[str]:
    """What a cell of the table names and the header does not: names, members, and calls by their arguments."""
    found = []
    for name, given in map(arguments, spans(cell)):
        words = [each for each in re.findall(r"\w+", name) if each not in VARIABLES]
        found += [each for each in words if not re.search(rf"\b{each}\b", header)]
        declared = re.search(rf"\b{name}\(([^()]*)\);", header)
        if given and name.startswith("cnp_") and (not declared or len(declared[1].split(",")) != len(given)):
            found.append(f"{name} of {len(given)}")
    return found


def test_the_names_in_c_are_declared(header: str) -> None:
    assert len(rows()) > 15
    assert [wrong for _, c in rows() for wrong in missing_in_c(c, header)] == []
    for wrong in ("`cnp_exits`", "`policy.asked`", "`cnp_looped(tiered)`", "`cnp_looped(tiered, point, error)`"):
        assert missing_in_c(wrong, header), f"{wrong} is not found to be wrong"


def test_whatever_the_document_calls_by_a_c_name(header: str) -> None:
    text = re.sub(r"```.*?```", "", EMBEDDING.read_text(encoding="utf-8"), flags=re.DOTALL)  # listings are compiled
    named = {name for span in spans(text) for name in re.findall(r"\b(?:cnp|CNP)_\w+", span)}
    assert len(named) > 40
    assert sorted(each for each in named - EXAMPLES if not re.search(rf"\b{each}\b", header)) == []


# -- Python


def owners() -> dict[str, Any]:
    """What the table's expressions begin with."""
    f = WORDS.function("f", [i64], i64, b"\x20\0\0\0")
    compiled = f.compile()
    assert isinstance(compiled, NativeFunction)
    return {"f": f, "g": compiled, "table": WORDS, "cnp": cnp, "tiers": tiers, "tiered": tiers.Tiered(lambda _: None)}


def missing_in_python(cell: str) -> list[str]:
    """The same for Python. A bare name is an attribute of a function or a Tiered."""
    found, known = [], owners()
    for name, given in (arguments(each) for span in spans(cell) for each in span.split(" or ")):
        first, *path = name.split(".")
        value = known.get(first) or getattr(known["f"], first, getattr(known["tiered"], first, NotImplemented))
        for each in path:
            value = getattr(value, each, NotImplemented)
        if value is NotImplemented or not _takes(value, given):
            found.append(name)
    return found


def _takes(value: Any, given: list[str]) -> bool:
    """Parameters of these names; those of built-in methods have none."""
    return not given or inspect.isbuiltin(value) or {*given} - {"..."} <= {*inspect.signature(value).parameters}


def test_the_names_in_python_exist() -> None:
    assert [wrong for python, _ in rows() for wrong in missing_in_python(python)] == []
    for wrong in ("`f.exits_at`", "`cnp.Cells`", "`f.exit(handler, place)`", "`table.function(..., callee=)`"):
        assert missing_in_python(wrong), f"{wrong} is not found to be wrong"
