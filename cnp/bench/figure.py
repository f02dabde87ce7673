"""What a bench reports: figures with targets, and the samples behind them."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cnp.bench.measure import Ratio, median, quartiles
from cnp.errors import CnpError, InternalError


class Unavailable(CnpError):
    """What a figure needs is not on this machine; the message says what."""


class Mark(enum.Enum):
    """How a figure compares with its target."""

    PASS = "pass"
    MISS = "MISS"
    REPORTED = "-"  # there is no target
    UNAVAILABLE = "unavailable"
    FAILED = "FAILED"  # a bench stopped, for instance because results differ


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `name` starts with its bench: `emission.instructions_per_instruction.face`."""

    name: str
    value: float | None  # None where there is none; `note` then says why
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    low: float | None = None  # quartiles of the samples, in the unit of the value
    high: float | None = None
    note: str = ""
    failed: bool = False

    @property
    def mark(self) -> Mark:
        """Whether the target is met."""
        if self.value is None:
            return Mark.FAILED if self.failed else Mark.UNAVAILABLE
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
        self._add(Figure(f"{self.bench}.{name}", value, unit, at_most, at_least, note=note))

    def sampled(
        self, name: str, samples: Sequence[float], unit: str, *, at_most: float | None = None, note: str = ""
    ) -> None:
        """A figure measured several times: the median counts, the quartiles are its spread."""
        self._sampled(name, samples, unit, at_most, None, note)

    def ratio(
        self, name: str, ratio: Ratio, *, at_most: float | None = None, at_least: float | None = None, note: str = ""
    ) -> None:
        """A quotient measured several times: the median of the rounds' quotients, and their quartiles."""
        self._sampled(name, ratio.rounds, "x", at_most, at_least, note)
        self._keep(f"{self.bench}.{name}.numerator", ratio.numerator)
        self._keep(f"{self.bench}.{name}.denominator", ratio.denominator)

    def unavailable(self, name: str, reason: str) -> None:
        """A figure that cannot be had here."""
        self._add(Figure(f"{self.bench}.{name}" if name else self.bench, None, note=reason))

    def left_out(self, *names: str) -> None:
        """Figures that a quick run has no time for."""
        for name in names:
            self.unavailable(name, "left out of a quick run")

    def failed(self, reason: str) -> None:
        """The bench stopped; what it measured before stays."""
        self._add(Figure(self.bench, None, note=reason, failed=True))

    @contextmanager
    def part(self, *names: str) -> Iterator[None]:
        """Reports those of the figures `names` that the body did not get to as unavailable if it says so."""
        try:
            yield
        except Unavailable as error:
            for name in names:
                if not self._has(f"{self.bench}.{name}"):
                    self.unavailable(name, str(error))

    def text(self, text: str) -> None:
        """Something to read beside the figures, for --verbose."""
        self.texts.append(text)

    def _sampled(
        self, name: str, samples: Sequence[float], unit: str, at_most: float | None, at_least: float | None, note: str
    ) -> None:
        full = f"{self.bench}.{name}"
        self._check(full, samples)
        low, high = quartiles(samples)
        self._add(Figure(full, median(samples), unit, at_most, at_least, low, high, note))
        self.samples[full] = list(samples)

    def _keep(self, name: str, samples: Sequence[float]) -> None:
        self._check(name, samples)
        self.samples[name] = list(samples)

    def _check(self, name: str, values: Sequence[float]) -> None:
        # JSON has no other numbers, and minutes later is too late to find out.
        for each in values:
            if not math.isfinite(each):
                raise InternalError(f"bench {self.bench}: {name} is {each}, which is not a number to report")

    def _add(self, figure: Figure) -> None:
        # Files and tables keep figures by name: a second one would hide the first, and what it misses.
        if self._has(figure.name):
            raise InternalError(f"bench {self.bench}: two figures are called {figure.name}")
        self._check(figure.name, [] if figure.value is None else [figure.value])
        self.figures.append(figure)

    def _has(self, name: str) -> bool:
        return any(each.name == name for each in self.figures)
