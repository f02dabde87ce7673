"""Numbers of any size, as compiled code has them."""

from __future__ import annotations

import threading
from collections.abc import Sequence


class Words(threading.local):
    """Twice a small number, or 2 n + 1 for large number n. Each thread has its own, behind the `lasting` ones."""

    def __init__(self, lasting: Sequence[int] = ()) -> None:
        self.large = list(lasting)
        self.running = 0  # calls of compiled code that have not returned

    def word(self, number: int) -> int:
        """What a number is in compiled code."""
        if -(2**62) <= number < 2**62:
            return 2 * number
        self.large.append(number)
        return 2 * len(self.large) - 1

    def number(self, word: int) -> int:
        """The number that a word is."""
        return self.large[word >> 1] if word & 1 else word >> 1
