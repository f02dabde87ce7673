"""bench/kernels/*.cnp -> entries, by cnp."""

from __future__ import annotations

from cnp import Function
from cnp.bench.kernel_entry import LocalEntry
from cnp.bench.kernel_table import Arguments, Kernel
from cnp.ir.optable import Code
from cnp.ir.text import parse
from cnp.ir.text.module import Module

_TABLE_ENTRY = 4  # bytes of a jump table for each label


def parsed(kernel: Kernel) -> Module:
    """The functions of a kernel's file."""
    path = kernel.source(".cnp")
    return parse(path.read_text(encoding="utf-8"), str(path))


def cnp_entry(kernel: Kernel, arguments: Arguments) -> LocalEntry:
    """A kernel as a user of cnp gets it: safepoints in its loops included."""
    module = parsed(kernel)
    compiled = module[kernel.name].compile()
    size = sum(len(each.compile().code) - jump_tables(each) for each in module.values())
    return LocalEntry(lambda: compiled(*arguments), arguments, size)


def jump_tables(function: Function) -> int:
    """Bytes of constants in a function's code: of C compilers' constants are not counted either."""
    labels = [len(op) - 3 for op in function.ops if op[0] == Code.TABLE]
    return sum(labels) * _TABLE_ENTRY
