"""Numbers of any size, as compiled code has them."""

from __future__ import annotations


class Words:
    """Twice a small number, or 2 n + 1 for large number n."""

    def __init__(self) -> None:
        self.large: list[int] = []

    def word(self, number: int) -> int:
        """What a number is in compiled code."""
        if -(2**62) <= number < 2**62:
            return 2 * number
        self.large.append(number)
        return 2 * len(self.large) - 1

    def number(self, word: int) -> int:
        """The number that a word is."""
        return self.large[word >> 1] if word & 1 else word >> 1
