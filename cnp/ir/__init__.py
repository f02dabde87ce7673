"""The IR: functions under construction, their text form, what is well formed, and what each op means."""

from cnp.ir.function import Extern, Function, Label, Register, extern
from cnp.ir.optable import add_ops, default_ops, set_default_ops

__all__ = [
    "Extern",
    "Function",
    "Label",
    "Register",
    "add_ops",
    "default_ops",
    "extern",
    "set_default_ops",
]
