"""Every program in tests/programs does what its comments expect, on every back end that runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from expectations import PROGRAMS, check, expectations
from guest_support import machine_names
from machines import machine_named

from cnp.backends import reference
from cnp.ir import Function
from cnp.ir.text import parse

REFERENCE = "reference"


@pytest.mark.parametrize("backend", [REFERENCE, *machine_names()])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path: Path, backend: str) -> None:
    text = path.read_text()
    module = parse(text, path.name)
    expected = expectations(text)
    assert expected
    for each in expected:
        check(each, module, _compile(backend))


def _compile(backend: str) -> Any:
    compiler = reference.compile if backend == REFERENCE else machine_named(backend).compile_for_buffers
    cache: dict[int, Any] = {}

    def compile(function: Function) -> Any:
        if id(function) not in cache:
            cache[id(function)] = compiler(function)
        return cache[id(function)]

    return compile


def test_every_function_of_a_program_is_expected_to_do_something() -> None:
    for path in PROGRAMS:
        text = path.read_text()
        called = {each.name for each in expectations(text)}
        module = parse(text, path.name)
        reached = {callee.name for name in called for callee in (module[name], *module[name].callees)}
        assert reached == set(module), path.name
