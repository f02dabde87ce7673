"""The process that runs compiled code for another machine: started, asked, and reported on when it dies."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import select
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Callable
from enum import IntEnum

from cnp.errors import Crash, Unsupported
from cnp.runtime.layout import ARGUMENTS, Host, Signature

FUNCTIONS = ("sum_integers", "sum_floats", "sum_mixed", "half", "narrow", "call_again", "call_again_float")
"""C functions that compiled code may call, in the order of `list_functions` in stencils/runner/runner.c."""

_COMMAND, _REPLY = struct.Struct("<6Q"), struct.Struct("<2Q")
_CALLS_OUT = 1  # the first word of a reply: compiled code has taken a side exit, or called back
_STACK = 8 << 20  # bytes, at most: what Linux gives a process, and qemu its guest, where nobody says otherwise
_PATIENCE = 10.0  # seconds that a process whose pipe is closed may take to end


class Command(IntEnum):
    """What the runner can be asked for; the first command is MAP."""

    MAP = 1
    FLUSH = 2
    HOST = 3
    FUNCTIONS = 4
    RUN = 5
    CALL_FOR_INTEGER = 6
    CALL_FOR_FLOAT = 7
    GO_ON = 8


class Desk(ctypes.Structure):
    """The start of the shared memory: what commands refer to by address. It begins with `struct desk`."""

    _fields_ = (
        ("interrupt", ctypes.c_int64),
        ("raised", ctypes.c_uint64),
        ("integers", ctypes.c_uint64 * ARGUMENTS),
        ("floats", ctypes.c_uint64 * ARGUMENTS),
        ("result_integer", ctypes.c_uint64),
        ("result_float", ctypes.c_uint64),
        ("signature", Signature),
        ("host", Host),
        ("functions", ctypes.c_uint64 * (len(FUNCTIONS) + 1)),  # one more than there should be shows one too many
    )


def find_emulator(target: str) -> list[str]:
    """The command that runs a program of a target here. Unsupported where there is none."""
    names = (f"qemu-{target}-static", f"qemu-{target}")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise Unsupported(
            f"nothing here runs programs for {target}: neither {names[0]} nor {names[1]} is on PATH; "
            "Debian and Ubuntu have them in the packages qemu-user-static and qemu-user"
        )
    return [path, *_processor(path)]


@functools.cache
def _processor(path: str) -> tuple[str, ...]:
    """The option for a processor with all features: for some targets the default is an old one."""
    models = subprocess.run([path, "-cpu", "help"], capture_output=True, text=True, check=False).stdout
    return ("-cpu", "max") if "max" in models.split() else ()


class Guest:
    """A runner. `file` is the descriptor of the memory that it shares."""

    def __init__(self, command: list[str], file: int, answer: Callable[[int], tuple[int, int, bool]]) -> None:
        """`answer` gets the address of the record of a side exit that is taken, or of a callback, may ask for anything,
        and gives the result, as an integer and as a float in registers, and whether the code is to end instead.
        """
        self._answer = answer
        self._last = "nothing"
        self._end = ""  # why there is no process any more
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # until close
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0, pass_fds=(file,),
            env={},
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        try:  # a crash is reported here, and needs no core file in somebody's directory
            resource.prlimit(self._process.pid, resource.RLIMIT_CORE, (0, 0))
        except OSError:
            pass

    def ask(self, command: Command, *words: int, timeout: float | None = None) -> int:
        """The reply to a command of up to five words. Crash if the process dies over it, or has not replied in time.

        timeout: seconds; None waits for ever. After an exception the process is gone.
        """
        if self._end:
            raise Crash(self._end)
        kind, value = self._exchange(command, *words, timeout=timeout)
        while kind == _CALLS_OUT:
            kind, value = self._exchange(Command.GO_ON, *self._answer(value), timeout=timeout)
        return value

    def _exchange(self, command: Command, *words: int, timeout: float | None) -> tuple[int, int]:
        a, b, c, d, e, *_ = (*words, 0, 0, 0, 0, 0)
        self._last = f"{command.name} {a:#x}"
        try:
            os.write(self._in, _COMMAND.pack(command, a, b, c, d, e))
            if timeout is not None and not self._poll.poll(timeout * 1000):
                self._end = f"the runner did not reply to {self._last} within {timeout} s, and was stopped"
                raise Crash(self._end)
            reply = os.read(self._out, _REPLY.size)
        except BrokenPipeError:
            reply = b""
        except BaseException:
            self.close()  # a reply that comes later would be taken for that of the next command
            raise
        if len(reply) != _REPLY.size:
            self._end = self._report()
            self.close()
            raise Crash(self._end)
        kind, value = _REPLY.unpack(reply)
        return kind, value

    def _report(self) -> str:
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        how = f"died of {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        return f"the runner {how} when asked for {self._last}" + (f"; it said: {said}" if said else "")

    @property
    def pid(self) -> int:
        """The process, for debuggers."""
        return self._process.pid

    def close(self) -> None:
        """End the process. May be called again."""
        process = self._process
        self._end = self._end or "the runner has been stopped"
        if process.returncode is None:
            process.kill()
            process.wait()
        for file in (process.stdin, process.stdout, self._errors):
            if file is not None:
                file.close()


def stack_size() -> int:
    """Bytes of native stack that a child of this process may count on."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _STACK if soft == resource.RLIM_INFINITY else min(soft, _STACK)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
