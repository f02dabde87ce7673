"""Classic BPF packet filters, compiled: one native function filters a whole capture in one call.

    from examples.bpf import compile_filter, program_from, read
    verdicts = compile_filter(program_from("tcp port 80")).run(read("capture.pcap"))

A filter comes as `tcpdump -ddd` text (instruction.py), or from an expression where libpcap is installed (libpcap.py);
validator.py refuses what could not run safely; compiler.py lowers it to cnp ops; interpreter.py says what it means."""

from .capture import Capture, CaptureError, Packet, read
from .filter import Filter, compile_filter, interpret, program_from
from .instruction import FilterError, Instruction
from .libpcap import LibpcapMissing
from .validator import validate

__all__ = [
    "Capture",
    "CaptureError",
    "Filter",
    "FilterError",
    "Instruction",
    "LibpcapMissing",
    "Packet",
    "compile_filter",
    "interpret",
    "program_from",
    "read",
    "validate",
]
