"""Turns a filter, as text or as an expression, into something to run over a whole capture in one call."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import interpreter
from .capture import Capture
from .instruction import Instruction, encode, parse
from .validator import validate

_VERDICT = "I"  # array's code for the 32-bit unsigned numbers that compiled loops store
assert array(_VERDICT).itemsize == 4


def program_from(source: str, *, link_type: int = 1, snapshot_length: int = 262144) -> list[Instruction]:
    """The validated program for `tcpdump -ddd` text (recognized by its first line, a number) or for an expression.

    Raises FilterError, and LibpcapMissing for an expression where libpcap is not installed."""
    lines = [line.strip() for line in source.splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.isdigit():
        program = parse(source)
    else:
        from . import libpcap  # only expressions need it

        program = libpcap.compile_expression(source, link_type=link_type, snapshot_length=snapshot_length)
    validate(program)
    return program


@dataclass(frozen=True)
class Filter:
    """A filter ready to run. `compiled` is what cnp made of it: call it with the arguments of compiler.lower()."""

    program: list[Instruction]
    compiled: Any

    def run(self, capture: Capture) -> array[int]:
        """The verdict of every packet: 0, or how many bytes to keep. One call of compiled code."""
        return self.run_and_count(capture)[1]

    def run_and_count(self, capture: Capture) -> tuple[int, array[int]]:
        """How many packets are accepted (have a verdict other than 0), and the verdict of every packet."""
        verdicts = array(_VERDICT, bytes(4 * len(capture)))
        accepted = 0
        if len(capture):
            accepted = self.compiled(capture.data, capture.index, len(capture), verdicts)
        return accepted, verdicts


def compile_filter(program: Iterable[Instruction], *, backend: str = "native") -> Filter:
    """Compile with one of cnp's back ends. Raises FilterError for a program the validator refuses."""
    from .compiler import lower  # the rest of this example runs without cnp

    program = list(program)
    return Filter(program, lower(program).compile(backend=backend))


def interpret(program: Iterable[Instruction], capture: Capture) -> array[int]:
    """The verdict of every packet by the Python interpreter, for comparison."""
    program = list(program)
    validate(program)
    return array(_VERDICT, (interpreter.run(program, data, wire) for data, wire in capture))


def libpcap_loop() -> Callable[[Iterable[Instruction], Capture], array[int]]:
    """A function that gives every packet's verdict by libpcap's bpf_filter, without Python in between.

    Raises LibpcapMissing where libpcap is not installed."""
    from .baseline import lower_bpf_filter_loop

    compiled = lower_bpf_filter_loop().compile()

    def run(program: Iterable[Instruction], capture: Capture) -> array[int]:
        program = list(program)
        validate(program)  # bpf_filter itself checks little
        verdicts = array(_VERDICT, bytes(4 * len(capture)))
        if len(capture):
            compiled(capture.data, capture.index, len(capture), verdicts, encode(program))
        return verdicts

    return run
