"""The packet filter example: hostile filters and captures are refused with a clear message, others read as written."""

from __future__ import annotations

import ctypes
import errno
import random
import re
import socket
import struct
from collections import Counter
from pathlib import Path

import pytest

from examples.bpf import capture, demo, filter, libpcap, traffic, validator
from examples.bpf import instruction as bpf
from examples.bpf.analysis import packet_load
from examples.bpf.capture import Capture, CaptureError
from examples.bpf.instruction import FilterError, Instruction

CORPUS = Path(__file__).parent / "corpus" / "bpf"
needs_libpcap = pytest.mark.skipif(not libpcap.is_installed(), reason="NOT TESTED: libpcap is not installed")

Program = list[Instruction]
RET_K = bpf.RET | bpf.K
EDGES = (0, 1, 2, 3, 4, 5, 9, 31, 32, 33, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def insn(code: int, k: int = 0, jt: int = 0, jf: int = 0) -> Instruction:
    return Instruction(code, jt, jf, k)


def is_valid(program: Program) -> bool:
    try:
        validator.validate(program)
    except FilterError:
        return False
    return True


# What is refused.


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.txt")), ids=lambda path: path.stem)
def test_hostile_program_is_refused(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    match = re.search(r"^# refused: (.+)$", text, re.MULTILINE)
    assert match
    with pytest.raises(FilterError) as error:
        validator.validate(bpf.parse(text))
    assert str(error.value) == match[1]


def test_the_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*.txt"))) >= 45


def test_too_long_and_out_of_range() -> None:
    with pytest.raises(FilterError, match="has 4097 instructions; at most 4096 are accepted"):
        validator.validate([insn(RET_K)] * 4097)
    with pytest.raises(FilterError, match="instruction 0: k is -1; 0 to 4294967295 is accepted"):
        validator.validate([insn(RET_K, -1)])
    with pytest.raises(FilterError, match="7 bytes are not an array"):
        bpf.decode(bytes(7))


def kernel_accepts(program: Program) -> bool:
    """Whether Linux attaches the program to a socket."""
    code = bpf.encode(program)
    keep = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("HP", len(program), ctypes.addressof(keep))
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        try:
            left.setsockopt(socket.SOL_SOCKET, 26, fprog)  # SO_ATTACH_FILTER
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False
            pytest.skip(f"this kernel attaches no socket filters: {error}")
    return True


def damaged(rng: random.Random, program: Program) -> Program:
    """The program with one instruction replaced, or one field of one, or a part cut off."""
    number = rng.randrange(len(program))
    old = program[number]
    new = rng.choice((
        old._replace(code=rng.choice((rng.randrange(256), rng.randrange(65536), *bpf.OPCODES))),
        old._replace(k=rng.choice((*EDGES, 15, 16, 17, 0xFFFFF000 + 4 * rng.randrange(20), rng.getrandbits(32)))),
        old._replace(jt=rng.randrange(256)),
        old._replace(jf=rng.randrange(12)),
        insn(rng.choice((bpf.LD | bpf.MEM, bpf.LDX | bpf.MEM, bpf.ST, bpf.STX)), rng.randrange(18)),
    ))  # fmt: skip
    before, after = program[:number], program[number + 1 :]
    return rng.choice(([*before, new, *after], [*before, new, *after], before + after or program))


def test_refuses_what_linux_and_libpcap_refuse() -> None:
    rng = random.Random(1993)
    seeds = [filter.program_from(text) for _, text in demo.stored_filters()]
    verdicts: Counter[tuple[bool, bool]] = Counter()
    for _ in range(4000):
        program = damaged(rng, damaged(rng, rng.choice(seeds)))
        ours, kernel = is_valid(program), kernel_accepts(program)
        stricter = any(each.k >> 31 and packet_load(each) for each in program)
        assert ours == (kernel and not stricter), bpf.format_program(program)
        if libpcap.is_installed() and not libpcap.accepts(program):
            assert not ours, bpf.format_program(program)
        verdicts[ours, kernel] += 1
    assert min(verdicts[each] for each in ((True, True), (False, False), (False, True))) >= 20


# Text.


@needs_libpcap
def test_text_is_what_tcpdump_prints() -> None:
    for code in bpf.OPCODES:
        if code == bpf.LDX | bpf.W | bpf.LEN:
            continue  # libpcap 1.10 runs it but prints "unimp"
        for k in EDGES:
            instruction = insn(code, k, 3, 4)
            assert bpf.format_instruction(7, instruction) == libpcap.image(7, instruction)


def test_text_round_trip() -> None:
    for _, text in demo.stored_filters():
        program = bpf.parse(text)
        assert bpf.parse(bpf.dump(program)) == program
        assert bpf.decode(bpf.encode(program)) == program


@needs_libpcap
def test_stored_filters_are_what_libpcap_compiles() -> None:
    """Other versions of libpcap may compile other programs: those must give the same verdicts."""
    packets = traffic.generate(2000, seed=7)
    for expression, text in demo.stored_filters():
        fresh, stored = libpcap.compile_expression(expression), bpf.parse(text)
        assert filter.interpret(fresh, packets) == filter.interpret(stored, packets)


@needs_libpcap
def test_expressions() -> None:
    assert len(filter.program_from("tcp port 80")) >= 15
    with pytest.raises(FilterError, match=r"filter expression 'tcp prot 80': .*syntax error"):
        filter.program_from("tcp prot 80")
    with pytest.raises(FilterError, match="NUL"):
        filter.program_from("tcp\0")
    with pytest.raises(FilterError, match="jumps backward"):
        filter.program_from("ip6 protochain 6")


def test_expression_without_libpcap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpcap, "library", libpcap._missing)
    with pytest.raises(libpcap.LibpcapMissing, match="libpcap is not installed; give the filter as `tcpdump -ddd`"):
        filter.program_from("tcp port 80")
    assert not libpcap.is_installed()


# Capture files.


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_capture_round_trip(order: str, nanoseconds: bool, tmp_path: Path) -> None:
    made = traffic.generate(50, snapshot_length=100)
    made = Capture(made.data, made.index, nanoseconds=nanoseconds, snapshot_length=100)
    path = tmp_path / "made.pcap"
    path.write_bytes(capture.encode(made, order=order))
    read = capture.read(path)
    assert list(read) == list(made)
    assert (read.nanoseconds, read.snapshot_length, read.link_type) == (nanoseconds, 100, 1)


def pcap(*records: bytes, magic: bytes = b"\xd4\xc3\xb2\xa1", major: int = 2, link: int = 1) -> bytes:
    return magic + struct.pack("<HHiIII", major, 4, 0, 0, 65535, link) + b"".join(records)


def record(data: bytes, captured: int | None = None) -> bytes:
    return struct.pack("<IIII", 1, 2, len(data) if captured is None else captured, 60) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a pcap file: it starts with nothing, not with a1 b2 c3 d4"),
        (b"hello, world", "not a pcap file: it starts with 68 65 6c 6c, not with a1 b2 c3 d4"),
        (pcap(magic=b"\x0a\x0d\x0d\x0a"), "not a pcap file, but a pcapng file; convert it with `editcap -F pcap`"),
        (pcap(magic=b"\x1f\x8b\x08\x08"), "not a pcap file, but compressed by gzip; decompress it first"),
        (pcap()[:23], "cut off in the file header: 23 of 24 bytes"),
        (pcap(major=3), "format version 3.4; version 2 is accepted"),
        (pcap(record(b"abc"), bytes(15)), "byte 43: cut off in a record header: 15 of 16 bytes"),
        (pcap(record(b"abc", 4)), "byte 40: cut off in a packet: 3 of 4 bytes"),
        (pcap(record(b"", 262145)), "byte 24: a packet of 262145 bytes; at most 262144 are accepted"),
        (pcap(record(b"", 0xFFFFFFFF)), "byte 24: a packet of 4294967295 bytes; at most 262144 are accepted"),
    ],
)
def test_hostile_capture_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pcap"
    path.write_bytes(data)
    with pytest.raises(CaptureError) as error:
        capture.read(path)
    assert str(error.value) == f"{path}: {message}"


def test_damaged_captures_never_leave_the_file() -> None:
    rng = random.Random(3)
    whole = capture.encode(traffic.generate(6, snapshot_length=64))
    refused = 0
    for _ in range(3000):
        data = bytearray(whole[: rng.choice((len(whole), rng.randrange(len(whole))))])
        for _ in range(rng.randrange(3)):
            if data:
                data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        try:
            read = capture.parse(bytes(data))
        except CaptureError:
            refused += 1
            continue
        for offset, captured, _ in capture.RECORD.iter_unpack(read.index):
            assert offset + captured <= len(read.data)
    assert 500 < refused < 3000


def test_link_type_without_the_checksum_length() -> None:
    assert capture.parse(pcap(link=0x14000001)).link_type == 1
    assert len(capture.parse(pcap())) == 0
