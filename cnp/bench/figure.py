"""What a bench reports: figures with targets, and the samples behind them."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cnp.bench.measure import Ratio, median, quartiles
from cnp.errors import CnpError


class Unavailable(CnpError):
    """What a figure needs is not on this machine; the message says what."""


class Mark(enum.Enum):
    """How a figure compares with its target."""

    PASS = "pass"
    MISS = "miss"
    REPORTED = "-"  # there is no target
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `name` starts with its bench: `emission.instructions_per_instruction.face`."""

    name: str
    value: float | None  # None where it is unavailable; `note` then says why
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    low: float | None = None  # quartiles of the samples, in the unit of the value
    high: float | None = None
    note: str = ""

    @property
    def mark(self) -> Mark:
        """Whether the target is met."""
        if self.value is None:
            return Mark.UNAVAILABLE
        if self.at_most is None and self.at_least is None:
            return Mark.REPORTED
        met = (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )
        return Mark.PASS if met else Mark.MISS


@dataclass(slots=True)
class Recorder:
    """Takes the figures of one bench. `quick` asks for few rounds and small sizes: a check that everything runs."""

    bench: str
    quick: bool = False
    figures: list[Figure] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)  # shown by --verbose

    def rounds(self, full: int, quick: int = 3) -> int:
        """How many rounds to run."""
        return quick if self.quick else full

    def value(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        note: str = "",
    ) -> None:
        """A figure that was counted, or computed from others: it has no spread."""
        self.figures.append(Figure(f"{self.bench}.{name}", value, unit, at_most, at_least, note=note))

    def sampled(
        self, name: str, samples: Sequence[float], unit: str, *, at_most: float | None = None, note: str = ""
    ) -> None:
        """A figure measured several times: the median counts, the quartiles are its spread."""
        full = f"{self.bench}.{name}"
        low, high = quartiles(samples)
        self.samples[full] = list(samples)
        self.figures.append(Figure(full, median(samples), unit, at_most, low=low, high=high, note=note))

    def ratio(
        self, name: str, ratio: Ratio, *, at_most: float | None = None, at_least: float | None = None, note: str = ""
    ) -> None:
        """A quotient of two medians of interleaved rounds; its spread is that of the rounds' own quotients."""
        full = f"{self.bench}.{name}"
        self.samples[f"{full}.numerator"] = list(ratio.numerator)
        self.samples[f"{full}.denominator"] = list(ratio.denominator)
        low, high = quartiles(ratio.rounds)
        self.figures.append(Figure(full, ratio.value, "x", at_most, at_least, low, high, note))

    def unavailable(self, name: str, reason: str) -> None:
        """A figure that cannot be had here."""
        self.figures.append(Figure(f"{self.bench}.{name}" if name else self.bench, None, note=reason))

    @contextmanager
    def part(self, *names: str) -> Iterator[None]:
        """Reports the figures `names` as unavailable if the body says so."""
        try:
            yield
        except Unavailable as error:
            for name in names:
                self.unavailable(name, str(error))

    def text(self, text: str) -> None:
        """Something to read beside the figures, for --verbose."""
        self.texts.append(text)
