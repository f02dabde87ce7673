"""Measured points -> how a cost grows: how well a line fits their logarithms, and what each part of it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnp.bench.measure import slope


@dataclass(frozen=True, slots=True)
class Power:
    """cost = c * n^exponent, fitted to the logarithms."""

    exponent: float
    r_squared: float  # the share of the logarithms' variance that the line explains


@dataclass(frozen=True, slots=True)
class Linear:
    """cost = sum of coefficient * variable."""

    coefficients: tuple[float, ...]
    residuals: tuple[float, ...]  # (measured - fitted) / measured, a point

    @property
    def worst(self) -> float:
        """The largest residual, without its sign."""
        return max(map(abs, self.residuals))


def power(points: Mapping[int, float]) -> Power:
    """Of cost by n, at two n or more."""
    x, y = [math.log(each) for each in points], [math.log(each) for each in points.values()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    product = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
    squares = sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    return Power(slope(points), product**2 / squares if squares else 1.0)


def described(points: Mapping[int, float], unit: str) -> str:
    """How cost grows with n, in words: `r2 0.9999; 12 ns + 0.51 ns each, at most 4% off`."""
    line = linear([(1.0, n) for n in points], list(points.values()))
    fixed, each = line.coefficients
    fitted = f"{fixed:.3g} {unit} + {each:.3g} {unit} each, at most {line.worst:.0%} off"
    return f"exponent, r2 {power(points).r_squared:.5f} from {min(points):,} to {max(points):,}; {fitted}"


def linear(rows: Sequence[Sequence[float]], costs: Sequence[float]) -> Linear:
    """The least squares of the relative residuals, so that small points count as much as large ones.

    A row holds a point's variables; a constant cost is a variable that is always 1. A variable that is zero, or the
    sum of others, at every point gets the coefficient 0.
    """
    weighted = [[each / cost for each in row] for row, cost in zip(rows, costs)]
    columns = list(zip(*weighted))
    matrix = [[math.fsum(a * b for a, b in zip(one, other)) for other in columns] for one in columns]
    coefficients = _solve(matrix, [math.fsum(column) for column in columns])
    fitted = [sum(a * b for a, b in zip(coefficients, row)) for row in rows]
    return Linear(tuple(coefficients), tuple((cost - each) / cost for cost, each in zip(costs, fitted)))


_SINGULAR = 1e-12  # of what the column began with: no more than rounding has left of it


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss and Jordan, for a symmetric matrix without negative eigenvalues: its diagonal serves as pivots."""
    size = len(matrix)
    least = [matrix[k][k] * _SINGULAR for k in range(size)]
    rows = [[*row, value] for row, value in zip(matrix, right)]
    for k in range(size):
        pivot = rows[k][k]
        if pivot <= least[k]:
            for row in rows:
                row[k] = 0.0
            rows[k] = [0.0] * (size + 1)
            continue
        rows[k] = [each / pivot for each in rows[k]]
        for number in range(size):
            if number != k:
                factor = rows[number][k]
                rows[number] = [a - factor * b for a, b in zip(rows[number], rows[k])]
    return [row[-1] for row in rows]
