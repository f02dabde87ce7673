"""An eBPF virtual machine: bytecode that clang -target bpf compiled runs as machine code, every access checked or
proven to be inside.

    from examples.ebpf import Program
    program = Program.read("packet.o", "parse")
    print(program.run(packet), program.map("counters")[key])

elf.py reads object files; verifier.py, analysis.py and accesses.py refuse what could not run safely and find the checks
that each access needs; compiler.py, lowering.py and access_code.py lower to cnp ops; interpreter.py says what
instructions mean. Programs may loop for ever: `program.run(packet, budget=100_000)` ends those.

Compiled code has atomics by ops/atomics.c: `cnp build examples/ebpf/ops -o ebpf.cnpl` builds them, and
`Program.read(..., ops=atomics.load("ebpf.cnpl"))` takes them."""

from .helpers import Buffer, HostHelper, Number
from .instruction import EbpfError, Instruction
from .maps import Map, MapSpec
from .memory import Fault, OutOfBudget
from .program import Program

__all__ = [
    "Buffer",
    "EbpfError",
    "Fault",
    "HostHelper",
    "Instruction",
    "Map",
    "MapSpec",
    "Number",
    "OutOfBudget",
    "Program",
]
