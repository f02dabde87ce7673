"""bench/kernels/*.cnp -> entries, by LLVM without optimisation, through llvmlite."""

from __future__ import annotations

from cnp.bench.kernel_c import size_of_functions
from cnp.bench.kernel_cnp import parsed
from cnp.bench.kernel_entry import LocalEntry, foreign
from cnp.bench.kernel_table import Arguments, Kernel
from cnp.bench.peers.llvm import compile_functions, object_file


def llvm_entry(kernel: Kernel, arguments: Arguments) -> LocalEntry:
    """A kernel as cnp gets it, every register in memory as clang -O0 has variables. Unavailable without llvmlite."""
    functions = [parsed(kernel)[kernel.name]]
    compiled = compile_functions(functions)
    return foreign(compiled[kernel.name], kernel, arguments, size_of_functions(object_file(functions)))
