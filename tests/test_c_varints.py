"""A table with varints and tables of targets, exported to C: the same programs, whole, cut off and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ahead_support import run, succeed
from conftest import LIBRARY
from guest_machines import OutOfFuel
from guest_varints import VARINT_GUEST
from toolchain import find_tool

from cnp import cli

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="NOT TESTED: no stencil library is built for this machine")
SOURCE = Path(__file__).parent / "c_host" / "varints.c"
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror")
BAD = {
    "01ffffffffffffffffff7e": "0: the varint at byte 1 is too long; accepted: 64 bits, in up to 10 bytes",
    "0280808080808000" + "33": "0: the varint at byte 1 is too long; accepted: 32 bits, in up to 5 bytes",
    "0100" + "40808002": "2: targets are counted by 32768; accepted: what makes them 0 to 32767",
    "0100" + "40ffff01": "2: the instruction goes on past the last of 6 bytes",
    "0180": "0: the instruction goes on past the last of 2 bytes",
    "0100" + "400105": "2: the instruction goes on past the last of 5 bytes",
    "300001" + "8000" + "010033": "0: jump to 1, the middle of an instruction",
    "029001" + "33": "0: register 144; accepted: one of 16, from 0",
}


def test_varints_in_c(tmp_path: Path) -> None:
    tool = find_tool("clang")
    if tool is None:
        pytest.skip("NOT TESTED: there is no clang")
    assert cli.main(["export-c", "--bytecode", "guest_varints:TABLE", "-o", str(tmp_path)]) == 0
    program = tmp_path / "varints"
    succeed([tool, *SANITIZERS, f"-I{tmp_path}", SOURCE, tmp_path / "cnp.c", "-o", program, "-lpthread"])
    choose, lines, expected = random.Random(1), [], []
    for _ in range(100):
        code, arguments = VARINT_GUEST.program(choose), [choose.randrange(-5, 100), choose.randrange(2**40)]
        try:
            expected.append(str(VARINT_GUEST.run(code, list(arguments))))
        except OutOfFuel:
            continue
        lines.append(f"{arguments[0]} {arguments[1]} {code.hex()}")
    for text, message in BAD.items():
        lines.append(f"1 2 {text}")
        expected.append(f"function 'guest', bytecode offset {message}")
    done = run([program], input="\n".join(lines))
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.splitlines()
    assert len(found) == len(expected) > 80
    assert [each for each, wanted in zip(found, expected) if each != wanted] == []
    cut = [code[:length] for code in [VARINT_GUEST.program(choose) for _ in range(4)] for length in range(1, len(code))]
    flipped = []
    for _ in range(400):
        damaged = bytearray(VARINT_GUEST.program(choose))
        damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        flipped.append(bytes(damaged))
    done = run([program], input="\n".join(f"1 2 {each.hex()}" for each in (*cut, *flipped)))
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", len(cut) + len(flipped))
