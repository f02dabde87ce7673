"""The core's structures as ctypes sees them: the second half of stencils/core/layout.h, field for field."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

REGISTERS = 32
ARGUMENTS = 8

KNOWN_OPS = (
    *("i64_move", "f64_move", "i64_select", "f64_select", "branch_table", "i32_wrap_i64"),
    *("i32_mul", "i64_mul", "i32_shl", "i64_shl", "i32_shr_u", "i64_shr_u", "i32_and", "i64_and"),
    *("i32_div_s", "i32_div_u", "i32_rem_s", "i32_rem_u", "i64_div_s", "i64_div_u", "i64_rem_s", "i64_rem_u"),
    *("i32_div_s_magic", "i32_div_u_magic", "i32_rem_s_magic", "i32_rem_u_magic"),
    *("i64_div_s_magic", "i64_div_u_magic", "i64_rem_s_magic", "i64_rem_u_magic"),
    *("i64_div_s_magic_add", "i64_div_u_magic_add", "i64_rem_s_magic_add", "i64_rem_u_magic_add"),
    *("i32_div_s_magic_two", "i64_div_s_magic_two"),
    *("i32_sub", "i64_sub", "i32_add", "i64_add", "i32_rotr", "i64_rotr", "i32_rotl", "i64_rotl"),
    *("branch_i32_nez", "branch_i32_eqz", "i32_eqz", "i64_eqz"),
    *("i64_load", "f64_load", "i64_store", "f64_store"),
)
"""Methods of the rows that the core asks for, in the order of `enum known_op`."""

REDUCIBLE_OPS = (
    *("i32_sub", "i64_sub", "i32_mul", "i64_mul", "i32_div_s", "i32_div_u", "i32_rem_s", "i32_rem_u"),
    *("i64_div_s", "i64_div_u", "i64_rem_s", "i64_rem_u", "i32_shl", "i64_shl", "i32_shr_s", "i64_shr_s"),
    *("i32_shr_u", "i64_shr_u", "i32_rotl", "i64_rotl", "i32_rotr", "i64_rotr"),
)
"""Methods of the rows that a constant operand b may make cheaper, or whose count is taken modulo the width."""

KNOWN_CONTROLS = (
    *("jump", "ret", "count", "count_large_frame", "poll", "poll_before_call", "poll_large_frame"),
    *("trap_exit", "trap", "call", "call_small_frame", "call_large_frame"),
    *("call_c", "call_c_stack", "call_c_large_frame", "call_c_stack_large_frame", "c_entry_integer", "c_entry_float"),
    *("callback_integer", "callback_float", "landing_pad", "veneer", "far_jump"),
    *("call_symbol", "call_symbol_stack", "call_symbol_large_frame", "call_symbol_stack_large_frame"),
    *("call_cell", "call_cell_small_frame", "call_cell_large_frame"),
)
"""Control stencils, in the order of `enum known_control`."""


class Library(ctypes.Structure):
    """`struct library`."""

    _fields_ = (
        ("ops", c_void_p),
        ("placements", c_void_p),
        ("stencils", c_void_p),
        ("holes", c_void_p),
        ("chunks", c_void_p),
        ("runs", c_void_p),
        ("families", c_void_p),
        ("kinds", c_void_p),
        ("classes", c_void_p),
        ("fields", c_void_p),
        ("blob", c_uint64),
        ("last_routine", c_uint32),
        ("n_ops", c_uint32),
        ("n_classes", c_uint32),
        ("integer_registers", c_uint32),
        ("float_registers", c_uint32),
        ("alternative", (c_uint8 * (REGISTERS + 1)) * 2),
        ("extends_signs", c_uint8),
        ("reaches_far", c_uint8),
        ("reach", c_uint32),
        ("slot_reach", c_uint32),
        ("first_slot", c_uint32),
        ("c_arguments", c_uint32),
        ("wide_bits", c_uint32),
        ("most_repeated", c_uint32),
        ("aligns_loops", c_uint32),
        ("longest_padding", c_uint32),
        ("words", c_uint32),
        ("constants", c_void_p),
        ("integer_argument", c_uint8 * REGISTERS),
        ("integer_result", c_uint32),
        ("float_result", c_uint32),
        ("survivors", c_uint32),
        ("scratch", c_uint32),
        ("padding", c_uint32 * 16),
        ("control", c_uint32 * len(KNOWN_CONTROLS)),
        ("reducible", c_uint64 * 4),
        ("known", c_uint16 * len(KNOWN_OPS)),
    )


PYTHON_FUNCTIONS = (
    *("PyList_GetItem", "PyList_Size", "PyTuple_GetItem", "PyTuple_Size", "PyByteArray_AsString"),
    *("PyLong_AsLongLong", "PyLong_AsLongLongAndOverflow", "PyLong_AsUnsignedLongLong"),
    *("PyLong_FromLongLong", "PyLong_FromUnsignedLongLong", "PyFloat_AsDouble", "PyFloat_FromDouble"),
    *("PyNumber_Index", "PyErr_Occurred", "PyErr_Clear", "PyErr_ExceptionMatches", "PyErr_Fetch", "PyErr_Restore"),
    *("PyObject_Free", "PyErr_Format", "PyErr_CheckSignals", "PyErr_WriteUnraisable"),
    *("PyObject_GetBuffer", "PyObject_CheckBuffer", "PyNumber_Check", "PySequence_Check", "PyBuffer_Release"),
    *("PyObject_CallFunctionObjArgs", "PyObject_IsInstance", "Py_IncRef", "Py_DecRef"),
    *("PyEval_SaveThread", "PyEval_RestoreThread", "PyGILState_Ensure", "PyGILState_Release", "PyGILState_Check"),
    *("PyGILState_GetThisThreadState", "PyObject_Vectorcall", "PyTuple_New", "PyTuple_SetItem", "PyEval_GetFrame"),
    "PyUnicode_FromFormat",
)
PYTHON_OBJECTS = (
    *("none", "type_error", "overflow_error", "value_error", "long_type", "float_type", "register_type", "label_type"),
    *("raise_trap", "release", "reclaim"),
)
LIBC_FUNCTIONS = (
    *("pthread_getspecific", "pthread_setspecific", "pthread_self", "pthread_getattr_np", "pthread_attr_getstack"),
    *("pthread_attr_destroy", "mmap", "munmap", "clock_gettime", "sigaction", "sigaltstack", "raise"),
)


class OldAction(ctypes.Structure):
    """`struct old_action`."""

    _fields_ = (
        ("handler", c_uint64),
        ("signal", c_uint32),
        ("flags", c_uint32),
        ("depth", c_uint32),
        ("zero", c_uint32),
    )


class Threads(ctypes.Structure):
    """`struct threads`."""

    _fields_ = (
        ("epoch", c_uint64),
        ("first", c_void_p),
        ("lock", c_uint32),
        ("has_retired", c_uint32),
        ("catches", c_uint32),
        ("zero", c_uint32),
        ("old", OldAction * 3),
    )


class Host(ctypes.Structure):
    """`struct host`, which begins with `struct python`."""

    _fields_ = (
        *((name, c_void_p) for name in (*PYTHON_FUNCTIONS, *PYTHON_OBJECTS)),
        ("long_layout", c_int64),
        ("tuple_items", c_int64),
        ("type_offset", c_int64),
        ("slot_offset", c_int64),
        ("poll", c_void_p),
        ("trapped", c_void_p),
        ("left", c_void_p),
        ("called", c_void_p),
        ("came_out", c_void_p),
        *((name, c_void_p) for name in LIBC_FUNCTIONS),
        ("main_thread", c_uint64),
        ("context_key", c_uint32),
        ("zero", c_uint32),
        ("threads", c_void_p),
    )


class Signature(ctypes.Structure):
    """`struct signature`."""

    _fields_ = (
        ("host", c_void_p),
        ("entry", c_uint64),
        ("name", c_void_p),
        ("number", c_uint32),
        ("n_parameters", c_uint8),
        ("result_type", c_uint8),
        ("releases_gil", c_uint8),
        ("uses_floats", c_uint8),
        ("uses_buffers", c_uint8),
        ("is_bare", c_uint8),
        ("lacks_gil", c_uint8),
        ("zero", c_uint8 * 1),
        ("parameter_type", c_uint8 * ARGUMENTS),
    )


CALLEE_CODE, CALLEE_C, CALLEE_MEMBER, CALLEE_SYMBOL, CALLEE_CELL = range(5)
NO_OP_NUMBER = 0xFFFFFFFF
"""In place of an op's number in a trace: what stands in front of a function's first call."""


class Callee(ctypes.Structure):
    """`struct callee`."""

    _fields_ = (
        ("address", c_uint64),
        ("kind", c_uint8),
        ("result_type", c_uint8),
        ("n_parameters", c_uint8),
        ("zero", c_uint8 * 5),
        ("parameter_type", c_uint8 * (2 * ARGUMENTS)),
    )


class Callback(ctypes.Structure):
    """`struct callback`: a callable of the host's that compiled code calls."""

    _fields_ = (
        ("host", c_void_p),
        ("function", c_void_p),
        ("name", c_void_p),
        ("result_type", c_uint8),
        ("n_parameters", c_uint8),
        ("zero", c_uint8 * 6),
        ("parameter_type", c_uint8 * (2 * ARGUMENTS)),
    )


class SideExit(ctypes.Structure):
    """`struct side_exit`: where compiled code is left for a handler."""

    _fields_ = (
        ("host", c_void_p),
        ("handler", c_void_p),
        ("point", c_void_p),
        ("name", c_void_p),
        ("values", c_void_p),
        ("n_values", c_uint32),
        ("label", c_uint32),
        ("result_type", c_uint8),
        ("zero", c_uint8 * 7),
        ("frame_size", c_uint32),
        ("extent", c_uint32),
        ("position", c_uint32),
        ("offset", c_uint32),
    )


class SideExitValue(ctypes.Structure):
    """`struct side_exit_value`: what a side exit hands over, and where it is found."""

    _fields_ = (
        ("constant", c_uint64),
        ("reg", c_uint32),
        ("type", c_uint8),
        ("is_constant", c_uint8),
        ("place", ctypes.c_int16),
        ("slot", c_int32),
        ("zeros", c_uint32),
    )


class GuestExits(ctypes.Structure):
    """`struct guest_exits`: what the side exits of a function are made of."""

    _fields_ = (
        ("exits", c_char_p),
        ("n", c_uint64),
        ("kinds", c_void_p),
        ("live", c_void_p),
        ("files", c_void_p),
        ("types", c_char_p),
        ("first", c_uint64),
        ("stack", c_uint32),
        ("zero", c_uint32),
        ("common", SideExit),
    )


NO_POSITION = 0xFFFFFFFF
"""Of a side exit that nothing leads to."""


class Interval(ctypes.Structure):
    """`struct interval`: where the allocator put a register."""

    _fields_ = (
        ("start", c_int32),
        ("end", c_int32),
        ("weight", ctypes.c_float),
        ("hint", c_int32),
        ("place", ctypes.c_int16),
        ("wish", ctypes.c_int16),
        ("slot", c_int32),
        ("defined_in", c_uint32),
        ("sure_until", c_uint32),
    )


class Trace(ctypes.Structure):
    """`struct trace`: one stencil of a function."""

    _fields_ = (("op", c_uint32), ("stencil", c_uint32), ("offset", c_uint32), ("item", c_uint32))


class External(ctypes.Structure):
    """`struct external`: what a function refers to outside itself."""

    _fields_ = (
        ("position", c_uint32),
        ("field", c_uint32),
        ("callee", c_uint32),
        ("offset", c_uint32),
        ("addend", c_int32),
    )


NO_CALLEE = 0xFFFFFFFF
"""In place of a callee's number: what is referred to lies in the blob."""


class Request(ctypes.Structure):
    """`struct request`. Its `kept` is what its pointers point to."""

    __slots__ = ("kept",)

    kept: object

    _fields_ = (
        ("ops", c_void_p),
        ("types", c_void_p),
        ("words", c_char_p),
        ("n_words", c_uint64),
        ("constants", c_char_p),
        ("type_bytes", c_void_p),
        ("n_constants", c_uint32),
        ("n_exits", c_uint32),
        ("callees", c_void_p),
        ("scratch", c_void_p),
        ("scratch_size", c_uint64),
        ("serial", c_uint32),
        ("function_number", c_uint32),
        ("n_registers", c_uint32),
        ("n_parameters", c_uint32),
        ("n_labels", c_uint32),
        ("n_callees", c_uint32),
        ("result_type", c_uint8),
        ("safepoints", c_uint8),
        ("trace", c_uint8),
        ("is_plain", c_uint8),
        ("landing_pads", c_uint8),
        ("far_calls", c_uint8),
        ("zero", c_uint8 * 2),
        ("exits", c_void_p),
        ("leave", c_uint64),
        ("pins", c_void_p),
        ("error", c_uint32),
        ("error_op", c_uint32),
        ("error_operand", c_uint32),
        ("code_size", c_uint32),
        ("frame_size", c_uint32),
        ("n_items", c_uint32),
        ("n_traces", c_uint32),
        ("is_bare", c_uint32),
        ("alignment", c_uint32),
        ("code_end", c_uint32),
        ("scratch_used", c_uint64),
        ("compilation", c_void_p),
        ("traces", c_void_p),
        ("intervals", c_void_p),
    )

    def read_traces(self) -> list[tuple[int, int, int]]:
        """(op or NO_OP_NUMBER, stencil, offset) of each stencil, in the order of the code."""
        rows = (Trace * self.n_traces).from_address(self.traces) if self.n_traces else ()
        return [(row.op, row.stencil, row.offset) for row in rows]

    def read_intervals(self) -> list[tuple[int, int, int, int]]:
        """(start, end, hardware register or -1, slot or -1) of each register; end is -1 where nothing uses it."""
        rows = (Interval * self.n_registers).from_address(self.intervals) if self.n_registers else ()
        return [(row.start, row.end, row.place, row.slot) for row in rows]


STRUCTURES = (
    *(Library, Host, Signature, Callee, Request, Interval, Trace, External),
    *(Callback, SideExit, SideExitValue, Threads),
)
"""Those whose sizes the core is asked for when it starts, in the order of cnp_size_of."""
