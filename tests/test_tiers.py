"""Counters and policies: when a guest function is compiled, entered in a loop, given up, refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cnp.tiers import Event, Policy, State, Tiered


def until(tiered: Tiered, event: Callable[[], Any], most: int = 10_000) -> int:
    """How many events it takes for something to be compiled; most + 1 if it is none."""
    return next((count for count in range(1, most + 1) if event() is not None), most + 1)


@pytest.mark.parametrize("calls", [1, 2, 10])
def test_a_function_is_compiled_at_its_threshold(calls: int) -> None:
    asked: list[Any] = []
    tiered = Tiered(lambda point: asked.append(point) or "code", Policy(calls=calls))
    assert tiered.state is State.COLD and tiered.code is None
    assert until(tiered, tiered.called) == calls
    assert (tiered.state, tiered.code, asked) == (State.COMPILED, "code", [None])


def test_loops_get_entries_of_their_own() -> None:
    asked: list[Any] = []
    tiered = Tiered(lambda point: asked.append(point) or f"at {point}", Policy(loops=5))
    assert until(tiered, lambda: tiered.looped(30)) == 5
    assert tiered.entries == {30: "at 30"} and tiered.code is None and tiered.state is State.COLD
    assert tiered.looped(40) == "at 40", "the function is hot already"
    assert tiered.looped(30) == "at 30" and asked == [30, 40]


def test_what_cannot_be_compiled_is_not_tried_again() -> None:
    tries: list[Any] = []

    def refuse(point: Any) -> Any:
        tries.append(point)
        if point == 1:
            raise ValueError("no loops")
        return None if point is None else point

    tiered = Tiered(refuse, Policy(calls=3, loops=2))
    assert until(tiered, lambda: tiered.looped(1), 20) == 21
    assert isinstance(tiered.error, ValueError) and tries == [1] and tiered.state is State.COLD
    assert tiered.looped(2) == 2
    assert until(tiered, tiered.called, 20) == 21
    assert tiered.state is State.REFUSED and tries == [1, 2, None]
    assert tiered.looped(2) is None and not tiered.entries, "refused as a whole"


def test_code_that_is_left_too_often_is_given_up_and_in_the_end_refused() -> None:
    tiered = Tiered(lambda point: "code", Policy(calls=4, exits=3, attempts=2))
    for attempt in range(2):
        assert until(tiered, tiered.called) == 4
        for _ in range(2):
            tiered.left()
        assert tiered.state is State.COMPILED and tiered.given_up == attempt
        tiered.left()
        assert tiered.state is State.COLD and tiered.code is None and tiered.given_up == attempt + 1
        tiered.left()  # of an activation that still runs
        assert tiered.exits == 0
    assert until(tiered, tiered.called, 20) == 21 and tiered.state is State.REFUSED


def test_entries_are_given_up_with_the_rest() -> None:
    tiered = Tiered(lambda point: "code", Policy(loops=2, exits=1, attempts=1))
    assert until(tiered, lambda: tiered.looped(7)) == 2
    tiered.left()
    assert not tiered.entries and until(tiered, lambda: tiered.looped(7), 20) == 21
    assert tiered.state is State.REFUSED


def test_any_callable_is_a_policy() -> None:
    asked: list[Any] = []

    def policy(tiered: Tiered, event: Event) -> int | None:
        asked.append((event, tiered.calls, tiered.loops, tiered.exits))
        return {Event.CALL: 3 if tiered.calls < 6 else 0, Event.LOOP: 2, Event.EXIT: None}[event]

    tiered = Tiered(lambda point: "code", policy)
    assert until(tiered, tiered.called) == 7
    assert asked == [(Event.CALL, 1, 0, 0), (Event.CALL, 4, 0, 0), (Event.CALL, 7, 0, 0)]
    for _ in range(5):
        assert tiered.looped(1) is None
        tiered.left()
    assert asked[3:] == [(Event.LOOP, 7, 1, 0), (Event.EXIT, 7, 1, 1), (Event.LOOP, 7, 3, 2), (Event.LOOP, 7, 5, 4)]
    assert tiered.code == "code"


def test_a_subclass_decides_for_some_functions() -> None:
    class Small(Policy):
        def __call__(self, tiered: Tiered, event: Event) -> int | None:
            return None if tiered in large else super().__call__(tiered, event)

    large: list[Tiered] = []
    small = Small(calls=2)
    one, other = Tiered(lambda point: 1, small), Tiered(lambda point: 2, small)
    large.append(other)
    assert until(one, one.called, 20) == 2 and until(other, other.called, 20) == 21
    assert "refused, 20 calls" in repr(other)


def test_compiling_elsewhere() -> None:
    """Until the code is there, calls are interpreted."""
    jobs: list[Callable[[], None]] = []
    tiered = Tiered(lambda point: "code", Policy(calls=2), start=jobs.append)
    assert until(tiered, tiered.called, 20) == 21 and until(tiered, lambda: tiered.looped(1), 20) == 21
    (job,) = jobs
    assert tiered.state is State.COMPILING
    job()
    assert tiered.code == "code"
    late = Tiered(lambda point: "code", Policy(calls=1, loops=1), start=jobs.append)
    assert late.called() is None and late.looped(1) is None
    late.refuse()
    jobs[1]()
    jobs[2]()
    assert late.state is State.REFUSED and late.code is None and not late.entries
    made: list[int] = []

    def start(job: Callable[[], None]) -> None:
        threading.Thread(target=job).start()

    threaded = Tiered(lambda point: made.append(1) or "code", Policy(calls=1), start=start)
    while threaded.called() is None:
        pass
    assert made == [1] and threaded.state is State.COMPILED

    def full(job: Callable[[], None]) -> None:
        raise RuntimeError("no more jobs")

    for call in (refused := Tiered(lambda point: "code", Policy(1, 1), start=full)).called, lambda: refused.looped(1):
        with pytest.raises(RuntimeError, match="no more jobs"):
            call()
    assert refused.state is State.COLD and not refused.entries, "it may be tried again"


def test_a_compilation_that_runs_the_function_does_not_start_another() -> None:
    def compile(point: Any) -> Any:
        assert tiered.state is State.COMPILING and tiered.called() is None and tiered.looped(3) is None
        return "code"

    tiered = Tiered(compile, lambda tiered, event: 0 if event is Event.CALL else 10)
    assert tiered.called() == "code" and tiered.error is None


def test_ctrl_c_in_a_compilation_passes_and_changes_nothing() -> None:
    results: list[Any] = [KeyboardInterrupt(), "code", KeyboardInterrupt(), "entry"]

    def compile(point: Any) -> Any:
        result = results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    tiered = Tiered(compile, Policy(calls=1, loops=1))
    with pytest.raises(KeyboardInterrupt):
        tiered.called()
    assert tiered.called() == "code"
    with pytest.raises(KeyboardInterrupt):
        tiered.looped(1)
    assert tiered.looped(1) == "entry"
