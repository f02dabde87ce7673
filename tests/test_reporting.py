"""What is not tested because a tool is missing is said at the end of a run; other skips are few and listed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import LOUD

TESTS = Path(__file__).parent
QUIET = {
    "takes a minute: CNP_LONG=1",
    "it calls C by address",
    "test_native_traps.py has it",
    "native code has its own test",
    "checks no indirect jumps",
    "needs fork",
    "decodes x86-64",
    "this kernel attaches no socket filters",
    "this kernel has no PR_SET_MDWE",
    "no membarrier",
    "the document has not been written from figures",
}
"""Parts of reasons that name no tool: what the machine, the kernel or the test itself is not made for."""
SILENT_CALLS = {("code_memories.py", "WORKING[request.param]"), ("code_memories.py", "WORKING[Way.DOUBLE]")}


def run_pytest(directory: Path, source: str) -> str:
    (directory / "test_it.py").write_text(source)
    paths = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [*command, "--rootdir", str(directory), str(directory / "test_it.py")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_missing_tools_are_told(tmp_path: Path) -> None:
    text = run_pytest(
        tmp_path,
        "import pytest\n"
        "def test_a(): pytest.skip('NOT TESTED: there is no hammer')\n"
        "def test_b(): pytest.skip('NOT TESTED: there is no hammer')\n"
        "@pytest.mark.skipif(True, reason='NOT TESTED: there is no nail')\n"
        "def test_c(): pass\n"
        "def test_d(): pytest.importorskip('no_such_module_anywhere')\n"
        "def test_e(): pytest.skip('takes a minute')\n",
    )
    warnings = [line for line in text.splitlines() if line.startswith("WARNING: ")]
    assert warnings[:2] == ["WARNING: NOT TESTED: there is no hammer", "WARNING: NOT TESTED: there is no nail"]
    assert len(warnings) == 3 and warnings[2].startswith("WARNING: could not import 'no_such_module_anywhere'")


def reasons(tree: ast.AST) -> Iterator[ast.expr]:
    """The reasons of all skips."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "skip" and node.args:
                yield node.args[0]
            yield from (
                each.value for each in node.keywords if node.func.attr in ("skipif", "skip") and each.arg == "reason"
            )


def test_every_skip_for_a_missing_tool_is_loud() -> None:
    seen = 0
    for path in sorted(TESTS.glob("*.py")):
        for reason in reasons(ast.parse(path.read_text())):
            text = ast.unparse(reason)
            seen += 1
            loud = text.lstrip("f").strip("'\"").startswith(LOUD)
            quiet = any(each in text for each in QUIET) or (path.name, text) in SILENT_CALLS
            assert loud != quiet, f"{path.name}: {text} neither begins with {LOUD[0]!r} nor is known to name no tool"
    assert seen > 40
