"""Turns an untrusted program into one that is safe to run, or into an error that names the instruction.

Refused is what Linux refuses when a filter is attached to a socket (bpf_check_classic and check_load_and_stores in
net/core/filter.c), and so everything that libpcap's bpf_validate refuses. Three things Linux accepts are refused as
well, because they have no meaning in a capture file: ancillary loads, offsets below zero (relative to the network or
link header of a socket buffer), and with them the backward jumps that libpcap alone understands."""

from __future__ import annotations

from . import instruction as bpf
from .instruction import FilterError, Instruction, Program, format_instruction, is_conditional

ANCILLARY = 0xFFFFF000  # SKF_AD_OFF: offsets from here on stand for facts about the packet that no file holds
_EVERY_WORD = (1 << bpf.SCRATCH_WORDS) - 1
_SCRATCH = (bpf.LD | bpf.MEM, bpf.LDX | bpf.MEM, bpf.ST, bpf.STX)


def validate(program: Program) -> None:
    """Return if the program is safe to run and ends on every path; otherwise raise FilterError.

    The message names the instruction's number (from 0), its text, and what would be accepted."""
    if not program:
        raise FilterError("the filter has no instructions; at least one, a ret, is needed")
    if len(program) > bpf.MAXIMUM_INSTRUCTIONS:
        limit = bpf.MAXIMUM_INSTRUCTIONS
        raise FilterError(f"the filter has {len(program)} instructions; at most {limit} are accepted")
    for number, instruction in enumerate(program):
        _check_opcode(number, instruction)
        _check_constant(number, instruction)
        _check_jump(number, instruction, len(program))
    if program[-1].code & 7 != bpf.RET:
        _refuse(len(program) - 1, program[-1], "is the last instruction; the last one must be a ret")
    _check_scratch_is_written(program)


def _refuse(number: int, instruction: Instruction, why: str) -> None:
    _, text = format_instruction(number, instruction).split(" ", 1)
    raise FilterError(f"instruction {number}, `{text}`: {why}")


def _check_opcode(number: int, instruction: Instruction) -> None:
    for field, limit in (("code", 0xFFFF), ("jt", 0xFF), ("jf", 0xFF), ("k", 0xFFFFFFFF)):
        value = getattr(instruction, field)
        if not 0 <= value <= limit:
            raise FilterError(f"instruction {number}: {field} is {value}; 0 to {limit} is accepted")
    if instruction.code not in bpf.OPCODES:
        _refuse(number, instruction, "not an instruction of classic BPF; accepted are those of tcpdump -d")


def _check_constant(number: int, instruction: Instruction) -> None:
    code, _, _, k = instruction
    if code in _SCRATCH and k >= bpf.SCRATCH_WORDS:
        _refuse(number, instruction, f"there is no such scratch word; 0 to {bpf.SCRATCH_WORDS - 1} are accepted")
    if code in (bpf.ALU | bpf.DIV | bpf.K, bpf.ALU | bpf.MOD | bpf.K) and k == 0:
        _refuse(number, instruction, "division by the constant zero; 1 to 4294967295 are accepted")
    if code in (bpf.ALU | bpf.LSH | bpf.K, bpf.ALU | bpf.RSH | bpf.K) and k >= 32:
        _refuse(number, instruction, "the shift is wider than the register; 0 to 31 are accepted")
    loads_packet = code & 7 == bpf.LD and code & 0xE0 in (bpf.ABS, bpf.IND)
    if loads_packet and k >= ANCILLARY:
        why = "an ancillary load, but a capture file holds no such data"
        _refuse(number, instruction, f"{why}; 0 to 2147483647 are accepted")
    if (loads_packet or code == bpf.LDX | bpf.B | bpf.MSH) and k >> 31:
        _refuse(number, instruction, "the offset lies before the packet; 0 to 2147483647 are accepted")


def _check_jump(number: int, instruction: Instruction, length: int) -> None:
    after = length - number - 1  # instructions that follow this one, so what a jump may skip, plus one
    if instruction.code == bpf.JMP | bpf.JA and instruction.k >= after:
        if instruction.k >> 31:
            _refuse(number, instruction, "jumps backward; only forward jumps are accepted, so that every filter ends")
        _refuse(number, instruction, f"jumps past the end; the last instruction is {length - 1}")
    if is_conditional(instruction) and max(instruction.jt, instruction.jf) >= after:
        _refuse(number, instruction, f"jumps past the end; the last instruction is {length - 1}")


def _check_scratch_is_written(program: Program) -> None:
    """Refuse a read of a scratch word that some path reaches without having written it.

    Forward jumps only: one pass in order sees every way to reach an instruction before the instruction. As in
    Linux, a ret does not end a path here, so that code after it counts as reached from it."""
    written_at = [_EVERY_WORD] * len(program)
    written = 0
    for number, instruction in enumerate(program):
        code, jt, jf, k = instruction
        written &= written_at[number]
        if code in (bpf.ST, bpf.STX):
            written |= 1 << k
        elif code in (bpf.LD | bpf.MEM, bpf.LDX | bpf.MEM) and not written >> k & 1:
            _refuse(number, instruction, f"M[{k}] may be read before it is written; write it on every path first")
        elif code == bpf.JMP | bpf.JA:
            written_at[number + 1 + k] &= written
            written = _EVERY_WORD
        elif is_conditional(instruction):
            written_at[number + 1 + jt] &= written
            written_at[number + 1 + jf] &= written
            written = _EVERY_WORD
