"""Clocks: rounds that alternate between what is compared, medians, quartiles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


def median(samples: Iterable[float]) -> float:
    """The middle, or the mean of the two in the middle."""
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quartiles(samples: Iterable[float]) -> tuple[float, float]:
    """The samples a quarter and three quarters of the way up."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    return ordered[round(last * 0.25)], ordered[round(last * 0.75)]


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive values."""
    logarithms = [math.log(each) for each in values]
    return math.exp(sum(logarithms) / len(logarithms))


def slope(points: Mapping[int, float]) -> float:
    """The exponent e of the best fit y = c * x^e: 1 is linear."""
    x, y = [math.log(each) for each in points], [math.log(each) for each in points.values()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two series of the same rounds."""

    numerator: Sequence[float]
    denominator: Sequence[float]

    @property
    def value(self) -> float:
        """The median of the rounds' quotients: what slows a whole round cancels, and it lies between the quartiles."""
        return median(self.rounds)

    @property
    def rounds(self) -> list[float]:
        """The quotient of every round."""
        return [a / b for a, b in zip(self.numerator, self.denominator)]


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / 1e9


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each call, by name; a round calls each once, so that the machine's moods fall on all alike.

    `warm` rounds are run first and not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-warm, rounds):
        for name, work in works.items():
            taken = seconds(work)
            if number >= 0:
                samples[name].append(taken)
    return samples


def repeats_for(work: Callable[[int], object], target_seconds: float) -> int:
    """How often to repeat `work(n)` inside for a call to last about `target_seconds`; at least once."""
    n = 1
    while True:
        # The quickest of three: the first may also load or compile something, and any may be interrupted.
        taken = min(seconds(lambda n=n: work(n)) for _ in range(3))  # type: ignore[misc]
        if taken >= target_seconds / 4 or n >= 1 << 24:
            return max(1, round(n * target_seconds / max(taken, 1e-9)))
        n *= 4
