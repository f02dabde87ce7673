"""Many functions, large functions, many threads, forks: code memory stays as it was, and results stay right."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_outcomes import actual, agree, expected
from random_programs import Generator

from cnp import Function, Trap, TrapKind, f64, i32, i64
from cnp.backends import native
from cnp.ir.reference import Interpreter

ROOT = Path(__file__).parent.parent

FACE = """
    import cnp
    from cnp import i64

    f = cnp.Function("sum_of_squares_mod_7", params=[i64], result=i64)
    (n,) = f.params
    i, total, term = f.reg(i64), f.reg(i64), f.reg(i64)
    head, done = f.label(), f.label()
    f.i64_const(i, 0)
    f.i64_const(total, 0)
    f.place(head)
    f.branch_i64_ge_s(i, n, done)
    f.i64_mul(term, i, i)
    f.i64_rem_s(term, term, 7)
    f.i64_add(total, total, term)
    f.i64_add(i, i, 1)
    f.jump(head)
    f.place(done)
    f.ret(total)
    g = f.compile()
    assert g(1_000_000) == sum(each * each % 7 for each in range(1_000_000))
"""


def mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def in_use() -> tuple[int, ...]:
    """What tells whether code memory is as it was; its high-water mark may have risen."""
    found = native.core().memory.statistics()
    return found.live, found.live_blocks, found.reserved, found.free, found.free_ranges, found.top, found.mappings


def adder(number: int, size: int = 1) -> Function:
    f = Function(f"add_{number}", [i64], i64)
    for _ in range(size):
        f.i64_add(f.params[0], f.params[0], number)
    f.ret(f.params[0])
    return f


class TestDropped:
    @pytest.mark.parametrize("size", [1, 100])
    def test_nothing_is_left(self, size: int) -> None:
        def rounds(count: int) -> None:
            for number in range(count):
                g = adder(number, size).compile()
                assert g(1) == 1 + number * size
                assert g.address

        rounds(1000)
        gc.collect()
        before = in_use()
        maps, memory = mappings(), resident()
        rounds(10_000 // (1 + size // 20))
        gc.collect()
        assert in_use() == before
        assert mappings() == maps
        assert resident() - memory < 1 << 20

    def test_in_another_order(self) -> None:
        gc.collect()
        before = in_use()
        alive = [adder(number, 1 + number % 37).compile() for number in range(2000)]
        assert in_use() != before
        for kept in (1, 2, 3, 5):
            alive = [each for number, each in enumerate(alive) if number % (kept + 1)]
            for each in alive[::7]:
                number = int(each.__name__[4:])
                assert each(0) == number * (1 + number % 37)
        del alive, each
        gc.collect()
        assert in_use() == before

    def test_refused_functions_leave_nothing(self) -> None:
        f = Function("bad", [i64], f64)
        for _ in range(50):
            f.i64_add(f.params[0], f.params[0], 1)
        f.ret(f.params[0])
        caller = Function("caller", [i64], f64)
        d = caller.reg(f64)
        caller.call(d, f, caller.params[0])
        caller.ret(d)
        gc.collect()
        before, memory = in_use(), 0
        for number in range(5000):
            for each in (f, caller):
                with pytest.raises(ValueError, match="type i64"):
                    each.compile()
            if number == 500:
                memory = resident()
        gc.collect()
        assert in_use() == before
        assert resident() - memory < 1 << 20

    def test_scratch_is_reused(self) -> None:
        g = adder(1, 50_000).compile()
        memory = resident()
        for _ in range(10):
            g = adder(1, 50_000).compile()
        gc.collect()
        assert resident() - memory < 32 << 20
        assert g(0) == 50_000


def in_threads(count: int, run: Callable[[int], None]) -> None:
    """Raises what any of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def guarded(number: int) -> None:
        try:
            barrier.wait()
            run(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]


@pytest.fixture
def short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("short_turns")
class TestThreads:
    def test_compiling_and_calling_at_once(self) -> None:
        gc.collect()
        before = in_use()

        def run(number: int) -> None:
            for turn in range(200):
                size = 1 + (turn * 7 + number) % 90
                g = adder(number, size).compile(nogil=bool(turn % 2))
                assert g(turn) == turn + number * size
                if turn % 20 == 0:
                    f = Function("deep", [i64], i64)
                    f.call(f.params[0], f, f.params[0])
                    f.ret(f.params[0])
                    with pytest.raises(Trap) as caught:
                        f.compile(nogil=True)(1)
                    assert caught.value.kind == TrapKind.STACK_OVERFLOW

        in_threads(8, run)
        gc.collect()
        assert in_use() == before

    def test_one_function_in_all_threads(self) -> None:
        f = Function("sum", [i64, i64], i64)
        n, total = f.params
        again = f.label()
        f.place(again)
        f.i64_add(total, total, n)
        f.i64_sub(n, n, 1)
        f.branch_i64_nez(n, again)
        f.ret(total)
        g, results = f.compile(nogil=True), {}

        def run(number: int) -> None:
            results[number] = [g(100_000 + number, number) for _ in range(20)]

        in_threads(8, run)
        for number, found in results.items():
            n_ = 100_000 + number
            assert found == [n_ * (n_ + 1) // 2 + number] * 20

    def test_threads_that_end_leave_no_stacks(self) -> None:
        g = adder(1).compile()
        deep = Function("deep", [i64], i64)
        deep.call(deep.params[0], deep, deep.params[0])
        deep.ret(deep.params[0])
        h = deep.compile()

        def run(number: int) -> None:
            assert g(number) == number + 1
            with pytest.raises(Trap):
                h(1)

        for _ in range(5):
            in_threads(8, run)
        maps, memory = mappings(), resident()
        for _ in range(40):
            in_threads(8, run)
        # 320 threads: stacks left behind would be as many mappings. The C library's own heaps for threads come and go.
        assert mappings() < maps + 64
        assert resident() - memory < 8 << 20


class TestLarge:
    def test_100_000_ops_in_a_row(self) -> None:
        assert adder(3, 100_000).compile()(7) == 300_007

    @pytest.mark.parametrize("count", [1000, 10_000])
    def test_registers_alive_at_once(self, count: int) -> None:
        f = Function("many", [i64], i64)
        registers = [f.reg(i64) for _ in range(count)]
        floats = [f.reg(f64) for _ in range(count)]
        for number, (a, x) in enumerate(zip(registers, floats)):
            f.i64_mul(a, f.params[0], number)
            f.f64_convert_i64_s(x, a)
        total, term = f.reg(i64), f.reg(i64)
        f.i64_const(total, 0)
        for a, x in zip(reversed(registers), floats):
            f.i64_trunc_f64_s(term, x)
            f.i64_mul(total, total, 3)
            f.i64_add(total, total, a)
            f.i64_xor(total, total, term)
        f.ret(total)
        assert f.compile()(11) == Interpreter().run(f, [11])

    def test_blocks(self) -> None:
        """20,000 small blocks with branches over short and long distances, forwards and back."""
        f = Function("blocks", [i64], i64)
        x, fuel = f.params[0], f.reg(i64)
        labels = [f.label() for _ in range(20_000)]
        done = f.label()
        f.i64_const(fuel, 30_000)
        for number, label in enumerate(labels):
            f.place(label)
            f.i64_sub(fuel, fuel, 1)
            f.branch_i64_lt_s(fuel, 0, done)
            f.i64_mul(x, x, 31)
            f.i64_add(x, x, number)
            f.branch_i64_lt_s(x, 0, labels[number * 7919 % len(labels)])
            f.branch_i64_gt_u(x, 2**62, labels[(number + 3) % len(labels)])
        f.place(done)
        f.ret(x)
        assert f.compile()(5) == Interpreter().run(f, [5])

    def test_a_table_of_10_000_labels(self) -> None:
        f = Function("table", [i64], i64)
        labels, default, index = [f.label() for _ in range(10_000)], f.label(), f.reg(i32)
        f.i32_wrap_i64(index, f.params[0])
        f.branch_table(index, labels, default)
        for number, label in enumerate(labels):
            f.place(label)
            f.ret(number * 3)
        f.place(default)
        f.ret(-1)
        g = f.compile()
        assert [g(each) for each in range(10_000)] == [each * 3 for each in range(10_000)]
        assert [g(10_000), g(-1), g(2**32 + 5)] == [-1, -1, 15]

    def test_1000_functions_that_call_one_another(self) -> None:
        functions = [Function(f"f{number}", [i64, i64], i64) for number in range(1000)]
        for number, f in enumerate(functions):
            n, total = f.params
            done = f.label()
            f.branch_i64_eqz(n, done)
            f.i64_sub(n, n, 1)
            f.i64_add(total, total, number)
            f.call(total, functions[(number * 617 + 1) % 1000], n, total)
            f.place(done)
            f.ret(total)
        at, expected_total = 0, 0
        for _ in range(3000):
            expected_total += at
            at = (at * 617 + 1) % 1000
        assert functions[0].compile()(3000, 0) == expected_total


class TestFork:
    def check(self, child: int) -> None:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def in_child(self, run: Callable[[], None]) -> None:
        child = os.fork()
        if not child:
            code = 1
            try:
                run()
                code = 0
            except BaseException as error:
                print(f"in the child: {error!r}", file=sys.stderr)
            os._exit(code)
        self.check(child)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_child_and_parent_go_their_own_ways(self) -> None:
        olds = [adder(number, 20).compile() for number in range(50)]

        def run() -> None:
            assert [each(1) for each in olds] == [1 + 20 * number for number in range(50)]
            del olds[::2]
            gc.collect()
            news = [adder(-number, 20).compile() for number in range(100)]
            assert [each(1) for each in news] == [1 - 20 * number for number in range(100)]
            for seed in range(50):
                program = Generator(seed).program()
                wanted = expected(program)
                assert wanted is None or agree(wanted, actual(program))
            assert [each(1) for each in olds] == [1 + 20 * number for number in range(1, 50, 2)]

        for _ in range(3):
            self.in_child(run)
            assert [each(1) for each in olds] == [1 + 20 * number for number in range(50)]
            more = [adder(number, 3).compile() for number in range(100)]
            assert [each(0) for each in more] == [3 * number for number in range(100)]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_grandchildren(self) -> None:
        g = adder(5).compile()

        def run() -> None:
            assert g(1) == 6
            h = adder(7).compile()
            self.in_child(lambda: assert_equal((g(2), h(2), adder(9).compile()(2)), (7, 9, 11)))
            assert (g(3), h(3)) == (8, 10)

        self.in_child(run)
        assert g(4) == 9


def assert_equal(a: Any, b: Any) -> None:
    assert a == b


@pytest.mark.parametrize("way", ["double", "flip"])
def test_ways_to_get_code_memory(way: str) -> None:
    script = (
        FACE
        + """
    from cnp.backends import native
    print(native.core().memory.way.name.lower())
    hs = [f.compile() for _ in range(300)]
    del hs[::3]
    assert all(h(10) == 285 - 7 * sum(e * e // 7 for e in range(10)) for h in hs)
    """
    )
    environment = {**os.environ, "CNP_CODE_MEMORY": way}
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert way in found.stdout


def test_the_process_ends_while_threads_run_native_code() -> None:
    script = """
    import threading, time
    import cnp
    from cnp import i64
    f = cnp.Function("f", [i64], i64)
    again = f.label()
    f.place(again)
    f.i64_add(f.params[0], f.params[0], 1)
    f.jump(again)
    g = f.compile(nogil=True)
    threading.Thread(target=g, args=(0,), daemon=True).start()
    time.sleep(0.1)
    print("done")
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr


COLLECTED = """
import gc, sys, cnp
f = cnp.Function("next", [cnp.i64], cnp.i64)
f.i64_add(f.params[0], f.params[0], 1)
f.ret(f.params[0])

class Owner:
    def __del__(self):
        print(self.compiled(3))

owner = Owner()
owner.compiled, owner.itself = f.compile(), owner
if sys.argv[1] == "collected":
    del owner
    gc.collect()
"""


@pytest.mark.parametrize("when", ["collected", "at exit"])
def test_the_finalizers_of_a_cycle_may_still_call(when: str) -> None:
    ran = subprocess.run([sys.executable, "-c", COLLECTED, when], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "4\n"), ran.stderr
