"""Faults in compiled code and in C that it calls, and signals: what is raised, what is left in memory, who else hears.

Each program runs in a process of its own, since handlers of faults are there to stay.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from test_layout import compilers

ROOT = Path(__file__).parent.parent

BEGIN = """
    import ctypes, gc, os, signal, subprocess, sys, threading
    import cnp
    from cnp import Function, Trap, TrapKind, i64, f64

    def trap_of(call, *arguments):
        try:
            call(*arguments)
        except Trap as trap:
            return trap
        raise AssertionError("no trap")

    def c(name, count=3):
        return cnp.extern(ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value, [i64] * count, i64)

    def peeking():
        f = Function("peek", [i64], i64)
        d = f.reg(i64)
        f.i64_load(d, f.params[0])
        f.ret(d)
        return f

    def copying(name="copy"):
        \"\"\"Rounds of a loop, written down before and after memcpy; the last one copies from another address.\"\"\"
        f = Function(name, [i64] * 4, i64)
        (log, rounds, good, bad), count, to, of, again = f.params, f.reg(i64), f.reg(i64), f.reg(i64), f.label()
        f.i64_const(count, 0)
        f.place(again)
        f.i64_add(count, count, 1)
        f.i64_store(count, log)
        f.i64_add(to, log, 16)
        f.i64_eq(condition := f.reg(cnp.i32), count, rounds)
        f.select(of, bad, good, condition)
        f.call(None, c("memcpy"), to, of, 8)
        f.i64_store(count, log, 8)
        f.branch_i64_lt_s(count, rounds, again)
        f.ret(count)
        return f

    words = lambda n: (ctypes.c_int64 * n)()
    at = ctypes.addressof
    small = Function("small", [], i64)
    small.ret(42)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(BEGIN) + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def succeeds(program: str, *arguments: str) -> None:
    found = run(program, *arguments)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "done\n"


def test_where_faults_become_traps() -> None:
    """In code that was compiled before as well as after; on other threads; without the GIL; in calls of calls."""
    succeeds(
        """
        before = peeking().compile()
        cnp.catch_faults()
        cnp.catch_faults()
        word, log = words(1), words(3)
        for call in (before, peeking().compile(), peeking().compile(nogil=True)):
            word[0] = 7
            assert call(at(word)) == 7
            trap = trap_of(call, 24)
            assert (trap.kind, trap.function, trap.detail) == (TrapKind.MEMORY_FAULT, "peek", "SIGSEGV at address 0x18")
            assert str(trap) == "memory fault (SIGSEGV at address 0x18) in a call of function 'peek'"
            assert trap_of(call, -2**62).detail == "SIGSEGV"  # the processor does not say which address it was
            assert call(at(word)) == 7

        good = words(1)
        good[0] = 9
        outer = Function("outer", [i64] * 4, i64)
        d = outer.reg(i64)
        outer.call(d, copying(), *outer.params)
        outer.ret(d)
        for make in (copying(), outer):
            for nogil in (False, True):
                call = make.compile(nogil=nogil)
                for rounds in (1, 2, 10_000):
                    log[:] = 0, 0, 0
                    trap = trap_of(call, at(log), rounds, at(good), 16)
                    assert (trap.kind, trap.function) == (TrapKind.MEMORY_FAULT, make.name)
                    assert list(log) == [rounds, rounds - 1, 9 if rounds > 1 else 0], list(log)
                    assert call(at(log), rounds, at(good), at(good)) == rounds
                    assert list(log) == [rounds, rounds, 9]
        assert ctypes.pythonapi.PyGILState_Check() == 1

        found = []
        def work():
            for _ in range(1000):
                found.append(trap_of(call, at(words(3)), 3, at(good), 16).kind)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        assert found == [TrapKind.MEMORY_FAULT] * 4000
        assert small.compile()() == 42
        print("done")
        """
    )


def test_other_faults_and_ends() -> None:
    """A page behind the end of a file, a division in C, the end of the native stack in C, addresses that C calls."""
    succeeds(
        """
        import mmap, tempfile
        cnp.catch_faults()
        peek = peeking().compile()
        with tempfile.TemporaryFile() as file:
            file.truncate(mmap.PAGESIZE)
            memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
            address = at(ctypes.c_char.from_buffer(memory))
            file.truncate(0)
            assert trap_of(peek, address + 8).detail == f"SIGBUS at address {address + 8:#x}"
        f = Function("divide", [])
        f.call(None, c("raise", 1), signal.SIGUSR1)  # a signal that is no fault
        f.ret()
        heard = []
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        f.compile()()
        assert heard == [1]

        f = Function("sort", [i64])  # compares by compiled code, called from C, called from compiled code
        compare = Function("compare", [i64, i64], cnp.i32)
        d = compare.reg(i64)
        compare.i64_load(d, compare.params[0])
        compare.i64_load(d, d)
        compare.ret(0)
        compared = compare.compile()
        f.call(None, c("qsort", 4), f.params[0], 4, 8, compared.address)
        f.ret()
        numbers = words(4)
        numbers[:] = 24, 24, 24, 24
        trap = trap_of(f.compile(), at(numbers))  # the inner call's trap is the thread's exception
        assert (trap.kind, trap.function) == (TrapKind.MEMORY_FAULT, "compare")
        assert small.compile()() == 42

        def address_space_after_threads(count):
            for _ in range(count):
                thread = threading.Thread(target=trap_of, args=(peek, 16))
                thread.start()
                thread.join()
            return int(open("/proc/self/statm").read().split()[0]) * mmap.PAGESIZE
        sizes = [address_space_after_threads(40) for _ in range(5)]  # malloc takes some now and then
        assert min(b - a for a, b in zip(sizes, sizes[1:])) < 1 << 20, "stacks of signal handlers are left behind"
        with cnp.fuel(10**6):
            assert trap_of(peek, 16).kind == TrapKind.MEMORY_FAULT
        print("done")
        """
    )


@pytest.mark.parametrize("faulthandler", ["before", "after", "again", "not"])
@pytest.mark.parametrize("where", ["python", "callback", "nogil callback", "sent"])
def test_faults_elsewhere_are_not_ours(where: str, faulthandler: str) -> None:
    """They end the process as they did, and faulthandler, where it is enabled, says where."""
    found = run(
        """
        where, when = sys.argv[1:]
        import faulthandler
        if when == "before":
            faulthandler.enable()
        cnp.catch_faults()
        if when in ("after", "again"):
            faulthandler.enable()
        if when == "again":
            cnp.catch_faults()
        if when != "after":  # then faulthandler is asked first
            assert trap_of(peeking().compile(), 16).kind == TrapKind.MEMORY_FAULT
        print("running", flush=True)
        if where == "python":
            ctypes.string_at(16)
        elif where == "sent":
            os.kill(os.getpid(), signal.SIGSEGV)
        else:
            back = ctypes.PYFUNCTYPE if where == "callback" else ctypes.CFUNCTYPE
            callback = back(ctypes.c_int64, ctypes.c_int64)(lambda n: len(ctypes.string_at(n)))
            f = Function("f", [i64], i64)
            f.call(f.params[0], cnp.extern(ctypes.cast(callback, ctypes.c_void_p).value, [i64], i64), f.params[0])
            f.ret(f.params[0])
            f.compile(nogil=where != "callback")(16)
        print("alive")
        """,
        where,
        faulthandler,
    )
    assert found.returncode == -signal.SIGSEGV
    assert found.stdout == "running\n"
    assert found.stderr.count("Fatal Python error: Segmentation fault") == (faulthandler != "not"), found.stderr
    assert ("string_at" in found.stderr) == (where != "sent" and faulthandler != "not")


MENDING = """
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
static void *page;
static size_t size;
static void mend(int signal, siginfo_t *info, void *state) {
    if (info->si_addr == page && mprotect(page, size, PROT_READ | PROT_WRITE))
        page = 0;
}
static void mend_plainly(int signal) { mprotect(page, size, PROT_READ | PROT_WRITE); }
int install(void *at, size_t bytes, int plainly) {
    struct sigaction action = {.sa_flags = plainly ? 0 : SA_SIGINFO};
    page = at;
    size = bytes;
    if (plainly)
        action.sa_handler = mend_plainly;
    else
        action.sa_sigaction = mend;
    return sigaction(SIGSEGV, &action, 0);
}
"""


def test_a_handler_that_was_there_before_goes_on(tmp_path: Path) -> None:
    """One of another library, which mends what was at fault; and one that ignores a signal which somebody sends."""
    compiler = next(iter(compilers()), None)
    if compiler is None:
        pytest.skip("NOT TESTED: there is no C compiler")
    source, library = tmp_path / "mend.c", tmp_path / "mend.so"
    source.write_text(MENDING)
    subprocess.run([*compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    for plainly in ("", "plainly"):
        succeeds(
            """
            import mmap
            libc, mending = ctypes.CDLL(None), ctypes.CDLL(sys.argv[1])
            page = mmap.mmap(-1, mmap.PAGESIZE)
            address = at(ctypes.c_char.from_buffer(page))
            assert mending.install(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), bool(sys.argv[2])) == 0
            signal.signal(signal.SIGFPE, signal.SIG_IGN)
            cnp.catch_faults()
            peek = peeking().compile()
            for _ in range(3):
                libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 0)
                assert ctypes.string_at(address, 1) == bytes(1)
                assert trap_of(peek, 16).kind == TrapKind.MEMORY_FAULT
            os.kill(os.getpid(), signal.SIGFPE)
            print("done")
            """,
            str(library),
            plainly,
        )


@pytest.mark.parametrize("nogil", ["", "nogil"])
def test_ctrl_c_leaves_memory_as_of_one_point(nogil: str) -> None:
    """In a loop, and in calls of calls: what each of three functions has counted fits together."""
    succeeds(
        """
        def counting(name, slot):
            f = Function(name, [i64])
            count = f.reg(i64)
            f.i64_load(count, f.params[0], slot)
            f.i64_add(count, count, 1)
            f.i64_store(count, f.params[0], slot)
            return f, count

        inner, _ = counting("inner", 16)
        inner.ret()
        middle = Function("middle", [i64])
        k, count, again = middle.reg(i64), middle.reg(i64), middle.label()
        middle.i64_const(k, 0)
        middle.place(again)
        middle.i64_load(count, middle.params[0], 8)
        middle.i64_add(count, count, 1)
        middle.i64_store(count, middle.params[0], 8)
        middle.call(None, inner, middle.params[0])
        middle.i64_add(k, k, 1)
        middle.branch_i64_lt_s(k, 10, again)
        middle.ret()
        outer = Function("outer", [i64])
        count, again = outer.reg(i64), outer.label()
        outer.place(again)
        outer.i64_load(count, outer.params[0])
        outer.i64_add(count, count, 1)
        outer.i64_store(count, outer.params[0])
        outer.call(None, middle, outer.params[0])
        outer.jump(again)
        simple = Function("simple", [i64])
        count, again = simple.reg(i64), simple.label()
        simple.i64_const(count, 0)
        simple.place(again)
        simple.i64_add(count, count, 1)
        simple.i64_store(count, simple.params[0])
        simple.i64_store(count, simple.params[0], 8)
        simple.i64_store(count, simple.params[0], 16)
        simple.jump(again)
        pause = "import os, sys, time; time.sleep(0.2); os.kill(int(sys.argv[1]), 2)"
        for function in (simple, outer):
            call, counts = function.compile(nogil=bool(sys.argv[1])), words(3)
            sender = subprocess.Popen([sys.executable, "-c", pause, str(os.getpid())])
            try:
                call(at(counts))
            except KeyboardInterrupt:
                pass
            sender.wait()
            first, second, third = counts
            assert first > 100
            if function is simple:
                assert first == second == third
            else:  # between two rounds of the middle loop, or where it begins or has ended
                assert second == third
                assert 10 * (first - 1) <= second <= 10 * first
            assert small.compile()() == 42
        print("done")
        """,
        nogil,
    )
