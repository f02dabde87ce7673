"""The packet filter example: the interpreter, libpcap and compiled filters give every packet the same verdict."""

from __future__ import annotations

import functools
import random
import struct
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnp.backends
from examples.bpf import capture, demo, filter, interpreter, libpcap, traffic, validator
from examples.bpf import instruction as bpf
from examples.bpf.analysis import NEVER, analyze, packet_load
from examples.bpf.capture import Capture, Packet
from examples.bpf.instruction import FilterError, Instruction

Program = list[Instruction]
Runner = Callable[[Program, Capture], "array[int]"]
RUNNERS = ("libpcap", *cnp.backends.NAMES)


@functools.cache
def runner(name: str) -> Runner | None:
    """A way to run a program over a capture that is not the Python interpreter; None where it cannot run here."""
    if name == "libpcap":
        if not libpcap.is_installed():
            return None
        return lambda program, packets: array("I", (libpcap.run(program, data, wire) for data, wire in packets))
    if name not in cnp.backends.NAMES:
        return None
    try:
        filter.compile_filter([Instruction(bpf.RET | bpf.K)], backend=name)
    except cnp.Unsupported:
        return None
    return functools.partial(run_compiled, name)


def run_compiled(backend: str, program: Program, packets: Capture) -> array[int]:
    accepted, verdicts = filter.compile_filter(program, backend=backend).run_and_count(packets)
    assert accepted == sum(map(bool, verdicts))
    return verdicts


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Runner:
    found = runner(request.param)
    if found is None:
        pytest.skip(f"NOT TESTED: {request.param} cannot run here")
    return found


def insn(code: int, k: int = 0, jt: int = 0, jf: int = 0) -> Instruction:
    return Instruction(code, jt, jf, k)


LD_K, LD_ABS, TAX, TXA = bpf.LD | bpf.IMM, bpf.LD | bpf.W | bpf.ABS, bpf.MISC | bpf.TAX, bpf.MISC | bpf.TXA
RET_A, RET_K = bpf.RET | bpf.A, bpf.RET | bpf.K
LDX_K, IND = bpf.LDX | bpf.IMM, bpf.LD | bpf.IND
EDGES = (0, 1, 2, 3, 4, 5, 9, 31, 32, 33, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


# What the words mean.


@pytest.mark.parametrize(
    ("a", "x", "instruction", "expected"),
    [
        (0xFFFFFFFF, 0, insn(bpf.ALU | bpf.ADD | bpf.K, 2), 1),
        (1, 2, insn(bpf.ALU | bpf.SUB | bpf.X), 0xFFFFFFFF),
        (0x10001, 0x10001, insn(bpf.ALU | bpf.MUL | bpf.X), 0x20001),
        (0xFFFFFFFF, 0, insn(bpf.ALU | bpf.DIV | bpf.K, 0x80000000), 1),
        (7, 0, insn(bpf.ALU | bpf.DIV | bpf.X), 0),
        (7, 0, insn(bpf.ALU | bpf.MOD | bpf.X), 0),
        (0xFFFFFFFF, 10, insn(bpf.ALU | bpf.MOD | bpf.X), 5),
        (1, 31, insn(bpf.ALU | bpf.LSH | bpf.X), 0x80000000),
        (1, 32, insn(bpf.ALU | bpf.LSH | bpf.X), 0),
        (0xFFFFFFFF, 33, insn(bpf.ALU | bpf.RSH | bpf.X), 0),
        (0x80000000, 31, insn(bpf.ALU | bpf.RSH | bpf.X), 1),
        (0x80000000, 0, insn(bpf.ALU | bpf.NEG), 0x80000000),
        (1, 0, insn(bpf.ALU | bpf.NEG), 0xFFFFFFFF),
        (5, 9, insn(TXA), 9),
        (5, 9, insn(bpf.LD | bpf.W | bpf.LEN), 1500),
        (0, 0, insn(LD_ABS, 8), 0xDEADBEEF),
        (0, 0, insn(LD_ABS, 9), 0),  # one byte out of range
        (0, 7, insn(IND | bpf.H, 1), 0xDEAD),
        (0, 11, insn(IND | bpf.B), 0xEF),
        (0, 0xFFFFFFFF, insn(IND | bpf.B, 12), 0),  # 11 if it wrapped around 32 bits
        (0, 0x80000000, insn(IND | bpf.W, 0x7FFFFFFF), 0),
    ],
)
def test_known_answers(a: int, x: int, instruction: Instruction, expected: int) -> None:
    program = [insn(LD_K, a), insn(LDX_K, x), instruction, insn(RET_A)]
    packets = capture.from_packets([Packet(bytes(8) + b"\xde\xad\xbe\xef", 1500)])
    assert list(filter.interpret(program, packets)) == [expected]
    for found in map(runner, RUNNERS):
        assert found is None or list(found(program, packets)) == [expected]


def edge_packets() -> Capture:
    """A comes from the first four bytes, X from the next four; then tails of several lengths, and short packets."""
    packets = [
        Packet(struct.pack(">II", a, x) + bytes(range(0xF1, 0xF1 + tail)), 8 + tail + (a & 0xFF))
        for a in EDGES
        for x in EDGES
        for tail in (x % 3, 5)
    ]
    return capture.from_packets(packets + [Packet(b"\x45" * size, 0xFFFFFFFF) for size in range(13)])


def edge_programs(code: int) -> list[Program]:
    """Programs that run one opcode, for every constant it accepts, and return what it left behind."""
    kind, mode = code & 7, code & 0xE0
    scratch = code in (bpf.LD | bpf.MEM, bpf.LDX | bpf.MEM, bpf.ST, bpf.STX)
    start = [insn(LD_ABS, 4), insn(TAX), insn(LD_ABS, 0)]
    if kind == bpf.JMP:
        rest = [insn(RET_K, 1), insn(RET_K, 0xFFFFFFFF), insn(RET_A)]
        if code == bpf.JMP | bpf.JA:
            return [[*start, insn(code, k), *rest] for k in range(3)]
        return [[*start, insn(code, k, jt, jf), *rest] for k in EDGES for jt, jf in ((0, 1), (1, 0), (2, 1), (2, 2))]
    if kind == bpf.RET:
        return [[*start, insn(code, k)] for k in EDGES]
    if scratch:
        start += [insn(bpf.STX, k) for k in (0, 1, 15)] if kind in (bpf.LD, bpf.LDX) else []
    after = [insn(bpf.LD | bpf.MEM)] if kind in (bpf.ST, bpf.STX) else []
    after += [insn(TXA)] if kind == bpf.LDX or code == TAX else []
    programs = []
    for k in (0, 1, 15) if scratch else EDGES:
        end = [each._replace(k=k) if each.code == bpf.LD | bpf.MEM else each for each in after]
        programs.append([*start, insn(code, k), *end, insn(RET_A)])
    assert kind != bpf.LD or mode in (bpf.IMM, bpf.ABS, bpf.IND, bpf.MEM, bpf.LEN)
    return programs


def is_valid(program: Program) -> bool:
    try:
        validator.validate(program)
    except FilterError:
        return False
    return True


@pytest.mark.parametrize("code", sorted(bpf.OPCODES), ids=lambda code: f"{code:#04x}")
def test_every_opcode_on_edge_values(code: int, run: Runner) -> None:
    packets = edge_packets()
    programs = [program for program in edge_programs(code) if is_valid(program)]
    assert programs
    results: set[int] = set()
    for program in programs:
        expected = filter.interpret(program, packets)
        assert run(program, packets) == expected, bpf.format_program(program)
        results.update(expected)
    assert len(results) > 1


# Random programs.


OPCODES_BY_KIND = [[code for code in sorted(bpf.OPCODES) if code & 7 == kind] for kind in range(8)]

KINDS = (bpf.LD, bpf.LD, bpf.LDX, bpf.LDX, bpf.ST, bpf.STX, bpf.ALU, bpf.ALU, bpf.ALU, bpf.JMP, bpf.JMP, bpf.JMP)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Valid programs of 6 to 30 instructions. A and X start from the packet, X below 256, and M[0], M[1] and M[15]
    are written, so that most of what follows makes a difference to the verdict."""
    program = [insn(bpf.LD | bpf.B | bpf.ABS, draw(st.integers(0, 2))), insn(TAX), insn(bpf.STX, 0), insn(bpf.STX, 15)]
    program += [insn(LD_ABS, draw(st.integers(0, 4))), insn(bpf.ST, 1)]
    for left in range(draw(st.integers(0, 24)), 0, -1):
        kind = draw(st.sampled_from(KINDS))
        if draw(st.integers(0, 15)) == 15:
            kind = draw(st.sampled_from((bpf.MISC, bpf.MISC, bpf.RET)))
        code = draw(st.sampled_from(OPCODES_BY_KIND[kind]))
        k, jt, jf = draw(st.sampled_from(EDGES) | st.integers(0, 0xFFFFFFFF)), 0, 0
        if code in (bpf.LD | bpf.MEM, bpf.LDX | bpf.MEM, bpf.ST, bpf.STX):
            k = draw(st.sampled_from((0, 1, 15)))
        elif code == bpf.JMP | bpf.JA:
            k = draw(st.integers(0, min(left - 1, 3)))
        elif kind == bpf.JMP:
            jt, jf = draw(st.integers(0, left - 1)), draw(st.integers(0, min(left - 1, 3)))
        elif packet_load(insn(code)):
            k = draw(st.integers(0, 15))
        elif kind == bpf.ALU and not code & bpf.X:
            k = k % 32 if code & 0xF0 in (bpf.LSH, bpf.RSH) else k or 1
        program.append(insn(code, k, jt, jf))
    return [*program, insn(draw(st.sampled_from((RET_A, RET_A, RET_A, RET_K))), draw(st.sampled_from(EDGES)))]


def random_packets(seed: int, count: int = 16) -> Capture:
    rng = random.Random(seed)
    sizes = [rng.choice((3, 8, 16, 26, 40, 60)) for _ in range(count)]
    small = bytes(rng.choice((0, 0, 0, 1, 4, 0x45)) for _ in range(64))
    contents = [(small[i % 3 : i] + rng.randbytes(size))[:size] for i, size in enumerate(sizes)]
    return capture.from_packets(Packet(data, rng.randrange(1 << 32)) for data in contents)


def test_random_programs(run: Runner) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(programs(), st.integers(0, 2**16))
    def agree(program: Program, seed: int) -> None:
        packets = random_packets(seed)
        validator.validate(program)
        expected = filter.interpret(program, packets)
        assert run(program, packets) == expected, bpf.format_program(program)
        seen.update(programs=1, varied=len(set(expected)) > 2, kept=any(expected))

    agree()
    # Not vacuous: many programs tell packets apart, by more than one verdict beside 0.
    assert seen["programs"] >= 300
    assert seen["kept"] >= 200
    assert seen["varied"] >= 100


def test_jumps_of_255_and_a_filter_as_long_as_they_come(run: Runner) -> None:
    load = [insn(bpf.LD | bpf.B | bpf.ABS, 0), insn(bpf.JMP | bpf.JEQ | bpf.K, 7, 255, 0)]
    far = [*load, *[insn(bpf.ALU | bpf.ADD | bpf.K, 1)] * 255, insn(RET_A)]
    longest = [insn(LD_ABS)] + [insn(bpf.ALU | bpf.ADD | bpf.K, 3)] * (bpf.MAXIMUM_INSTRUCTIONS - 2) + [insn(RET_A)]
    packets = capture.from_packets([Packet(b"\x07\0\0\0", 4), Packet(b"\x08\0\0\0", 4), Packet(b"", 4)])
    assert list(run(far, packets)) == [7, 8 + 255, 0]
    assert list(run(longest, packets)) == [0x07000000 + 3 * 4094, 0x08000000 + 3 * 4094, 0]


BYTE = bpf.LD | bpf.B
JEQ = bpf.JMP | bpf.JEQ | bpf.K


def test_checked_lengths_where_paths_meet(run: Runner) -> None:
    """The load that two paths share needs 10 bytes; in `skips` the earlier path has checked less, in `joins` more."""
    skips = [
        insn(BYTE | bpf.ABS),
        insn(JEQ, 1, 0, 1),
        insn(BYTE | bpf.ABS, 19),
        insn(BYTE | bpf.ABS, 9),
        insn(RET_K, 5),
    ]
    joins = [insn(BYTE | bpf.ABS), insn(JEQ, 1, 0, 2), insn(BYTE | bpf.ABS, 19), insn(bpf.JMP | bpf.JA, 1)]
    joins += [insn(JEQ, 3, 2, 0), insn(BYTE | bpf.ABS, 9), insn(RET_K, 5), insn(RET_K, 5)]
    for first, skips_from, joins_from in ((1, 20, 20), (2, 10, 10), (3, 10, 1)):
        packets = capture.from_packets(Packet(bytes((first,)) * size, size) for size in range(24))
        assert list(run(skips, packets)) == [5 * (size >= skips_from) for size in range(24)]
        assert list(run(joins, packets)) == [5 * (size >= joins_from) for size in range(24)]


def test_checked_lengths_when_x_changes(run: Runner) -> None:
    """Bytes checked after an X say nothing of the bytes after the next X, whichever is larger."""
    grows = [insn(LDX_K, 1), insn(BYTE | bpf.IND, 8), insn(LDX_K, 9), insn(BYTE | bpf.IND, 8), insn(RET_K, 6)]
    shrinks = [insn(LDX_K, 20), insn(BYTE | bpf.IND, 0), insn(LDX_K, 0), insn(BYTE | bpf.IND, 8), insn(RET_K, 6)]
    packets = capture.from_packets(Packet(bytes(size), size) for size in range(40))
    assert list(run(grows, packets)) == [6 * (size >= 18) for size in range(40)]
    assert list(run(shrinks, packets)) == [6 * (size >= 21) for size in range(40)]


def test_stored_filters_on_made_up_traffic(run: Runner) -> None:
    packets = traffic.generate(3000)
    for name, text in demo.stored_filters():
        program = filter.program_from(text)
        expected = filter.interpret(program, packets)
        assert run(program, packets) == expected, name
        assert 0 < sum(map(bool, expected)) < len(packets)


def test_no_packets(run: Runner) -> None:
    assert list(run([insn(RET_K, 1)], capture.from_packets([]))) == []


def test_lengths_are_checked_once_where_nothing_can_tell() -> None:
    program = filter.program_from((demo.FILTERS / "tcp-port-80.txt").read_text())
    analysis = analyze(program)
    assert analysis.needed[0] == 24  # ip: up to the fragment offset and the header's length; ip6 needs more
    assert analysis.live_at_start == ""
    assert analysis.needed[-1] == NEVER
    assert analyze([insn(bpf.ALU | bpf.ADD | bpf.X), insn(RET_A)]).live_at_start == "AX"


def test_a_long_chain_of_jumps() -> None:
    chain = [insn(bpf.JMP | bpf.JEQ, 0, 0, 1), *[insn(bpf.JMP | bpf.JA, 0)] * 4000, insn(RET_K, 5)]
    packets = random_packets(1)
    validator.validate(chain)
    assert run_compiled("native", chain, packets) == filter.interpret(chain, packets)


# The demo.


def test_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if runner("native") is None:
        pytest.skip("NOT TESTED: native cannot run here")
    path = tmp_path / "made.pcap"
    assert demo.main(["--packets", "300", "--write", str(path)]) == 0
    assert capsys.readouterr().out.count("agree") == len(demo.stored_filters())
    monkeypatch.setattr(libpcap, "library", libpcap._missing)
    assert demo.main([str(path), str(demo.FILTERS / "tcp-port-80.txt")]) == 0
    assert "libpcap is not installed" in capsys.readouterr().out
    monkeypatch.setattr(demo, "interpret", lambda program, packets: array("I", [1] * len(packets)))
    assert demo.main([str(path), str(demo.FILTERS / "tcp-port-80.txt")]) == 1
    assert "DIFFER" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["/nowhere/x.pcap"], [__file__]])
def test_demo_refuses_cleanly(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_stored_filters_are_of_the_sizes_the_figure_asks_for() -> None:
    assert sum(len(bpf.parse(text)) >= 15 for _, text in demo.stored_filters()) >= 3


def test_interpreter_takes_the_captured_length_by_default() -> None:
    assert interpreter.run([insn(bpf.LD | bpf.W | bpf.LEN), insn(RET_A)], b"abc") == 3
