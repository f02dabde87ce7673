"""When an interpreter compiles what it runs: counters of one guest function, and the policy that they ask."""

from __future__ import annotations

import enum
import threading

TYPE_CHECKING = False  # importing typing costs milliseconds that every program would wait for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class State(enum.Enum):
    """What has become of a guest function."""

    COLD = "cold"  # it is interpreted, and counted
    COMPILING = "compiling"  # it is interpreted in the meantime
    COMPILED = "compiled"
    REFUSED = "refused"  # it is interpreted from now on


class Event(enum.Enum):
    """What is counted."""

    CALL = "call"
    LOOP = "loop"  # a jump back
    EXIT = "exit"  # compiled code was left for the interpreter


class Policy:
    """Compile at the `calls`th call, or a loop at the `loops`th jump back; give the code up at the `exits`th exit.

    All count anew from then on. Once code has been given up `attempts` times the function is refused.
    """

    def __init__(self, calls: int = 100, loops: int = 1000, exits: int = 50, attempts: int = 3) -> None:
        self.calls = calls
        self.loops = loops
        self.exits = exits
        self.attempts = attempts

    def __call__(self, tiered: Tiered, event: Event) -> int | None:
        """How many more of these events to let pass before it is asked again; 0 to act now; None for never.

        To act is to compile, or to give the code up after an EXIT. Never means that the function is refused, or after
        an EXIT that its code stays.
        """
        if event is Event.EXIT:
            return max(0, self.exits - tiered.exits)
        if tiered.given_up >= self.attempts:
            return None
        if event is Event.CALL:
            return max(0, self.calls - tiered.calls)
        return max(0, self.loops - tiered.loops)


_lock = threading.Lock()  # held for a few instructions, when a counter has run out
_NEVER = float("inf")


class Tiered:
    """One guest function. An interpreter asks it where it begins to run the function, and at jumps back:

    ```python
    code = tiered.code or tiered.called()  # compiled code, or None: go on interpreting
    entry = tiered.entries.get(point) or tiered.looped(point)  # the same for the loop at `point`
    ```

    and tells it of exits by `tiered.left()`. What compiling raises none of them raises: `error` keeps it.
    """

    __slots__ = (
        "_call_limit",
        "_compile",
        "_exit_limit",
        "_loop_limit",
        "_policy",
        "_start",
        "calls",
        "code",
        "entries",
        "error",
        "exits",
        "given_up",
        "loops",
        "state",
    )

    def __init__(
        self,
        compile: Callable[[Any], Any],
        policy: Callable[[Tiered, Event], int | None] | None = None,
        start: Callable[[Callable[[], None]], Any] | None = None,
    ) -> None:
        """`compile(None)` compiles the function, `compile(point)` an entry to a loop of it; if it gives None or raises
        an Exception, that is not tried again. `policy` is called as Policy is (None: one by default). `start` runs the
        compilation it is given, now or later, on this thread or another: an executor's `submit`, say.
        """
        self._compile = compile
        self._policy = Policy() if policy is None else policy
        self._start = start
        self.code: Any = None
        """What `compile(None)` gave, while it is in use."""
        self.entries: dict[Any, Any] = {}
        """By point, what `compile(point)` gave; False where it gave nothing, or has yet to."""
        self.error: Exception | None = None
        """The latest that a compilation raised."""
        self.given_up = 0
        """How often exits have made code useless."""
        self._cool_down()

    def _cool_down(self) -> None:
        self.state = State.COLD
        self.code = None
        self.entries.clear()
        self.calls = self.loops = self.exits = 0
        self._call_limit = self._loop_limit = self._exit_limit = 0.0  # the policy is asked at once

    def __repr__(self) -> str:
        counts = f"{self.calls} calls, {self.loops} jumps back, {self.exits} exits"
        return f"<tiered function, {self.state.value}, {counts}>"

    def called(self) -> Any:
        """A call was made that no compiled code served. Returns the compiled code if there is some now, else None."""
        self.calls += 1
        is_due = self.calls >= self._call_limit and self.state is State.COLD and self._is_due(Event.CALL)
        if is_due:
            self._run(None)
        return self.code

    def looped(self, point: Any) -> Any:
        """A jump back of the loop at `point` was interpreted. Returns an entry to it if there is one now, else None.

        A point is anything hashable but None.
        """
        self.loops += 1
        is_due = self.loops >= self._loop_limit and point not in self.entries and self._is_due(Event.LOOP)
        if is_due:
            self._run(point)
        return self.entries.get(point) or None

    def left(self) -> None:
        """Compiled code of the function was left. It may be given up, to be compiled again once it is hot again."""
        if self.code is None and not self.entries:  # of code that was given up while it ran
            return
        self.exits += 1
        if self.exits >= self._exit_limit and self._is_due(Event.EXIT):
            self.given_up += 1
            self._cool_down()

    def refuse(self) -> None:
        """Interpret the function from now on. Code that runs goes on."""
        self.state = State.REFUSED
        self.code = None
        self.entries.clear()
        self._call_limit = self._loop_limit = self._exit_limit = _NEVER

    def _is_due(self, event: Event) -> bool:
        """Ask the policy."""
        wait = self._policy(self, event)
        if wait is None and event is not Event.EXIT:
            self.refuse()
            return False
        limit = _NEVER if wait is None else wait
        if event is Event.CALL:
            self._call_limit = self.calls + limit
        elif event is Event.LOOP:
            self._loop_limit = self.loops + limit
        else:
            self._exit_limit = self.exits + limit
        return limit == 0

    def _claim(self, point: Any, claimed: list[Any]) -> None:
        """Add to `claimed` if nobody else has begun to compile this: two threads may have come as far."""
        with _lock:
            if point is None:
                if self.state is State.COLD:
                    claimed.append(point)
                    self.state = State.COMPILING
            elif point not in self.entries and self.state is not State.REFUSED:
                claimed.append(point)
                self.entries[point] = False

    def _run(self, point: Any) -> None:
        claimed: list[Any] = []
        try:
            self._claim(point, claimed)
            if not claimed:
                return
            if self._start is None:
                self._make(point)
            else:
                self._start(lambda: self._make(point))
        except BaseException:  # of who should have started it, or Ctrl-C: it may be tried again
            if claimed:
                self._release(point)
            raise

    def _release(self, point: Any) -> None:
        if point is None:
            self.state = State.COLD
        else:
            self.entries.pop(point, None)

    def _make(self, point: Any) -> None:
        made = None
        try:
            made = self._compile(point)
        except Exception as error:
            self.error = error
        if made is None and point is None:
            self.refuse()
        elif made is None or self.state is State.REFUSED:
            return
        elif point is None:
            self.code, self.state = made, State.COMPILED
        else:
            self.entries[point] = made
