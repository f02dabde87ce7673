"""Memory for code: in every way there is it runs code, and is never writable and executable at once."""

from __future__ import annotations

import ctypes
import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest
from code_memories import MIB, call, code_returning, never_both, place, protections

from cnp.errors import Unsupported, UserError
from cnp.runtime import libc, linux_mapping
from cnp.runtime.codememory import CodeMemory
from cnp.runtime.mapping import Way

ROOT = Path(__file__).resolve().parent.parent


# Ways


def test_runs_code_and_is_never_writable_and_executable(memory: CodeMemory) -> None:
    assert never_both(memory)
    blocks = []
    for number in range(1, 40):
        block = memory.allocate(len(code_returning(number)))
        assert never_both(memory)
        block.write(code_returning(number))
        memory.commit(block)
        assert never_both(memory)
        blocks.append(block)
    assert [call(block.executable_address) for block in blocks] == list(range(1, 40))
    for block in blocks:
        memory.free(block)
        assert never_both(memory)


def test_the_two_views_of_double_are_one_memory(double: CodeMemory) -> None:
    block = double.allocate(64)
    assert block.executable_address != block.writable_address
    block.write(b"seen from both sides")
    assert ctypes.string_at(block.executable_address, 20) == b"seen from both sides"
    assert sorted(protections(double)) == ["r-xs", "rw-s"]


def test_flip_never_reopens_a_page_with_live_code() -> None:
    with CodeMemory(Way.FLIP, capacity=MIB) as memory:
        blocks = [place(memory, number) for number in range(20)]
        pages = {block.executable_address // libc.PAGE for block in blocks}
        assert len(pages) == len(blocks)


def test_report_names_the_choice_and_the_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EPERM, "no")

    with CodeMemory(Way.FLIP, capacity=MIB) as memory:
        assert memory.report() == "double: not tried\nflip: chosen, 1 MiB of address space"
    monkeypatch.setattr(linux_mapping, "_memfd", refuse)
    monkeypatch.setattr(linux_mapping, "_unlinked_file", refuse)
    with CodeMemory(capacity=MIB) as memory:
        assert memory.way is Way.FLIP
        assert "double: memfd_create: EPERM (Operation not permitted); a file in /dev/shm: EPERM" in memory.report()


def test_unlinked_file_stands_in_for_memfd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> int:
        raise OSError(errno.ENOSYS, "no")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(linux_mapping, "_memfd", missing)
    with CodeMemory(Way.DOUBLE, capacity=MIB) as memory:
        assert call(place(memory, 77).executable_address) == 77
        assert never_both(memory)
    assert not list(tmp_path.iterdir())


def test_refused_everywhere_says_what_refused_and_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EACCES, "no")

    monkeypatch.setattr(libc, "mmap", refuse)
    with pytest.raises(Unsupported) as caught:
        CodeMemory()
    message = str(caught.value)
    assert message.startswith("no memory for machine code: double refused (memfd_create: EACCES (Permission denied)")
    assert "; flip refused (mmap: EACCES (Permission denied))" in message
    assert message.endswith('backend="reference" needs none')


@pytest.mark.parametrize("way", list(Way), ids=lambda way: way.value)
def test_environment_forces_a_way(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setenv("CNP_CODE_MEMORY", way.value)
    with CodeMemory(capacity=MIB) as memory:
        assert memory.way is way


def test_unknown_way_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^way is 'triple'; it may be double or flip$"):
        CodeMemory("triple")
    monkeypatch.setenv("CNP_CODE_MEMORY", "rwx")
    with pytest.raises(UserError, match=r"^CNP_CODE_MEMORY is 'rwx'; it may be double or flip$"):
        CodeMemory()


def in_subprocess(code: str, *, setup: str = "") -> str:
    """What `code` prints in a fresh interpreter; `setup` runs in an interpreter before, which then becomes that one."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"
    starter = f"{setup}\nimport os, sys\nos.execv(sys.executable, [sys.executable, '-c', {script!r}])"
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


DENY_GAINING_EXECUTION = """
import ctypes
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    print("unsupported")
    raise SystemExit(0)
"""


def test_double_works_where_memory_may_not_become_executable() -> None:
    output = in_subprocess(
        f"""
import ctypes
from cnp.runtime.block import Block
from cnp.runtime.codememory import CodeMemory, Way, survey
memory = CodeMemory()
code = {code_returning(42)!r}
block = memory.allocate(len(code))
block.write(code)
memory.commit(block)
print(memory.way.value, ctypes.CFUNCTYPE(ctypes.c_int)(block.executable_address)(), survey()[Way.FLIP])
""",
        setup=DENY_GAINING_EXECUTION,
    )
    if output == "unsupported\n":
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert re.match(r"double 42 .*flip refused \(mprotect of pages to be executed: EACCES", output)


def test_a_limited_address_space_gives_a_smaller_arena() -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))"
    output = in_subprocess(
        f"{limit}\nfrom cnp.runtime.codememory import CodeMemory\nprint(CodeMemory().statistics().capacity >> 20)"
    )
    assert int(output) in (32, 64, 128)


def test_import_is_light() -> None:
    output = in_subprocess(
        "import ctypes, cnp.errors\nbefore = set(sys.modules)\nimport cnp.runtime.codememory\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('cnp')))"
    )
    assert set(output.split()) <= {"errno", "mmap"}
