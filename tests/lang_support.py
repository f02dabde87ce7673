"""What tests of the example language share: programs that are run, interpreted and compiled."""

from __future__ import annotations

import pytest

from examples.lang import JotError, Machine, heat, suite
from examples.lang.jit import site, version

PROGRAMS = (*suite.NUMERIC, *suite.OTHERS)
EDGES = (0, 1, -1, 2, -2, 3, 7, 62, 63, 64, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**62, -(2**62), 2**63 - 1, -(2**63))
FLOATS = ("0.0", "-0.0", "0.5", "-1.5", "1e300", "9007199254740993.0", "9.3e18", "inf", "nan")


def ran(text: str, **how: object) -> tuple[list[str], Machine]:
    """What a program prints, and its error in the end; and the machine."""
    lines: list[str] = []
    machine = Machine(lambda line: lines.append(line.rstrip("\n")), **how)  # type: ignore[arg-type]
    try:
        machine.run(text)
    except JotError as error:
        lines.append(f"{type(error).__name__}: {error}")
    return lines, machine


def compile_soon(patch: pytest.MonkeyPatch, rounds: int) -> None:
    """A place is hot after so many rounds, and compiled however little there is to gain."""
    patch.setattr(heat, "ROUNDS", rounds)
    patch.setattr(heat, "COMPILE", 0)
    patch.setattr(heat, "FIRST", 0)


def compile_eagerly(patch: pytest.MonkeyPatch, rounds: int = 2) -> None:
    """Compiled code is entered again and again besides, however little it does."""
    compile_soon(patch, rounds)
    patch.setattr(site, "_SHORT", -1)
    patch.setattr(version, "_WORTH", -1)


def interpreted(text: str) -> list[str]:
    return ran(text, tiered=False)[0]


def compiled_versions(machine: Machine) -> list[version.Version]:
    """Everything that was compiled for a machine that has compiled something."""
    assert machine._tier is not None
    if machine._tier.unavailable:
        pytest.skip("NOT TESTED: native code cannot run here")
    return machine._tier.compiled


def agree(text: str, *, backend: str = "native", compiles: bool = True) -> list[str]:
    """What a program prints, interpreted and not, which is compared."""
    expected = interpreted(text)
    found, machine = ran(text, backend=backend)
    assert found == expected
    if compiles:
        assert compiled_versions(machine)
    return expected
