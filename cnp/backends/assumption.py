"""Assumptions: what code was compiled under, and how it hears that this is so no longer."""

from __future__ import annotations

from _weakref import ref

from cnp.backends import cell
from cnp.errors import UserError

TYPE_CHECKING = False  # the `typing` module costs 7 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable


class Assumption(cell.Word):
    """Something that holds until `invalidate` is called, and never again: "nobody has redefined len".

    Functions depend on it by a guard, `f.assume(assumption, label)`. Its methods may be called from any thread.
    """

    __slots__ = ("__weakref__", "_callbacks", "_cells", "name")

    is_assumption = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._cells: dict[int, ref[cell.Cell]] = {}  # that have, or had, a target which depends on it; by id
        self._callbacks: list[Callable[[Assumption], object]] = []

    @property
    def is_broken(self) -> bool:
        """Whether it has been invalidated."""
        return bool(self._read())

    def __repr__(self) -> str:
        return f"<assumption {self.name}, {'broken' if self.is_broken else 'which holds'}>"

    def invalidate(self) -> None:
        """From now on code that depends on it goes to the label at its next guard.

        Cells whose target depends on it are reset; then what `on_invalidate` was given is called, on this thread. All
        of them are, and the first exception is raised afterwards. A second time nothing happens.
        """
        with cell.lock:
            if self.is_broken:
                return
            self._write(1)
            alive = [each for each in [weak() for weak in list(self._cells.values())] if each is not None]
            for each in alive:
                each.leave(self)
            self._cells.clear()
            callbacks, self._callbacks = self._callbacks, []
        for each in alive:
            each.give_up()
        error = None
        for callback in callbacks:
            try:
                callback(self)
            except Exception as raised:
                error = error or raised
        if error is not None:
            raise error

    def on_invalidate(self, callback: Callable[[Assumption], object]) -> None:
        """Have `callback(assumption)` called once it is broken; at once if it is. UserError if it is not callable."""
        if not callable(callback):
            raise UserError(f"assumption {self.name!r}: {callback!r} cannot be called; accepted: a callable")
        with cell.lock:
            if not self.is_broken:
                self._callbacks.append(callback)
                return
        callback(self)

    def watch(self, watched: cell.Cell) -> None:
        """A cell has got a target that depends on this. The caller holds the lock."""
        number, cells = id(watched), self._cells
        if number not in cells:
            cells[number] = ref(watched, lambda _: cells.pop(number, None))
