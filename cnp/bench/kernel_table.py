"""The kernels by name: what each is called with, small and in full, and what it returns."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnp.bench.figure import Unavailable

Arguments = tuple[Any, ...]
"""Integers, floats, and ctypes arrays: buffers that a call may write."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One algorithm, written in <name>.cnp and <name>.c, statement by statement alike."""

    name: str
    arguments: Callable[
        [bool], Arguments
    ]  # fresh ones, given whether to be small; in full, for 2 to 10 ms of clang -O2
    result: Any = None  # a ctypes type

    def source(self, suffix: str) -> Path:
        """The kernel's file in bench/kernels. Unavailable in an installed package."""
        return directory() / f"{self.name}{suffix}"


def directory() -> Path:
    """bench/kernels of the checkout. Unavailable in an installed package."""
    path = Path(__file__).resolve().parent.parent.parent / "bench" / "kernels"
    if not path.is_dir():
        raise Unavailable("bench/kernels is not there: this is not a checkout")
    return path


def _doubles(n: int, step: int) -> Any:
    return (ctypes.c_double * n)(*(number * step % 17 - 8.0 for number in range(n)))


def _integers(n: int, step: int) -> Any:
    return (ctypes.c_int64 * n)(*(number * step % 17 - 8 for number in range(n)))


def _letters(n: int, alphabet: str) -> Any:
    return _bytes("".join(random.Random(n).choices(alphabet, k=n)))


def _bytes(text: str) -> Any:
    return (ctypes.c_uint8 * len(text)).from_buffer_copy(text.encode())


def _matrix_f64(small: bool) -> Arguments:
    n = 16 if small else 200
    return (ctypes.c_double * (n * n))(), _doubles(n * n, 3), _doubles(n * n, 5), n


def _matrix_i64(small: bool) -> Arguments:
    n = 16 if small else 200
    return (ctypes.c_int64 * (n * n))(), _integers(n * n, 3), _integers(n * n, 5), n


def _sieve(small: bool) -> Arguments:
    n = 1 << (12 if small else 21)
    return (ctypes.c_uint8 * n)(), n


def _mandelbrot(small: bool) -> Arguments:
    width, height = (12, 8) if small else (180, 120)
    return (ctypes.c_uint8 * (width * height))(), width, height, 200


# Sun, Jupiter, Saturn, Uranus, Neptune: astronomical units, days, solar masses times 4 pi^2.
_PLANETS = (
    (0, 0, 0, -0.000387668, -0.00327590, 2.39357e-05, 39.4784176),
    (4.84143144, -1.16032004, -0.10362204, 0.60632639, 2.81198684, -0.02521836, 0.03769367),
    (8.34336671, 4.12479856, -0.40352341, -1.01077434, 1.82566237, 0.00841576, 0.01128632),
    (12.89436956, -15.11115140, -0.22330757, 1.08279100, 0.86871301, -0.01083263, 0.00172372),
    (15.37969711, -25.91931460, 0.17925877, 0.97909073, 0.59469899, -0.03475595, 0.00203368),
)


def _nbody(small: bool) -> Arguments:
    numbers = [each for planet in _PLANETS for each in planet]
    bodies = ctypes.c_double * len(numbers)
    return bodies(), bodies(*numbers), len(_PLANETS), 20 if small else 60_000


def _spectral_norm(small: bool) -> Arguments:
    n = 10 if small else 300
    vector = ctypes.c_double * n
    return vector(), vector(), vector(), n


def _hashed(small: bool) -> Arguments:
    n = 1_000 if small else 3_000_000
    return _bytes(bytes(range(32, 127)).decode() * (n // 95)), n // 95 * 95


def _crc32(small: bool) -> Arguments:
    return (ctypes.c_uint32 * 256)(), *_hashed(small)


def _sorted(small: bool, n: int) -> Arguments:
    n = 100 if small else n
    return (ctypes.c_int64 * n)(), n


def _edit_distance(small: bool) -> Arguments:
    m, n = (20, 30) if small else (1_500, 2_000)
    return (ctypes.c_int32 * (n + 1))(), _letters(m, "acgt"), m, _letters(n, "acgt"), n


def _binary_search(small: bool) -> Arguments:
    n, m = (100, 50) if small else (30_000, 50_000)
    numbers = random.Random(n)
    keys = [numbers.randrange(n * 10) for _ in range(n + m)]
    return (ctypes.c_int64 * n)(*sorted(keys[:n])), n, (ctypes.c_int64 * m)(*keys[n:]), m


def _life(small: bool) -> Arguments:
    width, height, generations = (10, 8, 5) if small else (200, 150, 100)
    cells = ctypes.c_uint8 * ((width + 2) * (height + 2))
    return cells(), cells(), width, height, generations


def _string_search(small: bool) -> Arguments:
    n = 500 if small else 1_000_000
    return _letters(n, "aaab"), n, _bytes("aabaa"), 5


def _branches(small: bool) -> Arguments:
    parts = ("x = y / 2;\n", "f(a, b);\n", '"text"', '"a\\"b\\n"', "// to the end\n", "/* a * b */", "if (x) ")
    text = "".join(random.Random(1).choices(parts, k=50 if small else 150_000))
    return (ctypes.c_int64 * 3)(), _bytes(text), len(text)


def _registers24(small: bool) -> Arguments:
    return _integers(24, 7), 50 if small else 600_000


def _scale(small: bool) -> Arguments:
    n, rounds = (8, 2) if small else (100, 800)
    return (ctypes.c_int32 * (n * n))(), (ctypes.c_int32 * (n * n))(*range(-n, n * n - n)), n, rounds


def _number(small: int, full: int) -> Callable[[bool], Arguments]:
    return lambda is_small: (small if is_small else full,)


KERNELS = (
    Kernel("binary_search", _binary_search, ctypes.c_int64),
    Kernel("branches", _branches),
    Kernel("calls", _number(100, 500_000), ctypes.c_int64),
    Kernel("collatz", _number(100, 30_000), ctypes.c_int64),
    Kernel("crc32", _crc32, ctypes.c_int32),
    Kernel("digits", _number(1_000, 600_000), ctypes.c_int64),
    Kernel("edit_distance", _edit_distance, ctypes.c_int32),
    Kernel("fib", _number(12, 31), ctypes.c_int64),
    Kernel("fnv", _hashed, ctypes.c_int64),
    Kernel("heap_sort", lambda small: _sorted(small, 60_000)),
    Kernel("life", _life, ctypes.c_int64),
    Kernel("mandelbrot", _mandelbrot),
    Kernel("matrix_f64", _matrix_f64),
    Kernel("matrix_i64", _matrix_i64),
    Kernel("nbody", _nbody, ctypes.c_double),
    Kernel("quick_sort", lambda small: _sorted(small, 80_000)),
    Kernel("registers24", _registers24, ctypes.c_int64),
    Kernel("scale", _scale),
    Kernel("sieve", _sieve, ctypes.c_int64),
    Kernel("spectral_norm", _spectral_norm, ctypes.c_double),
    Kernel("squares", _number(1_000, 4_000_000), ctypes.c_int64),
    Kernel("string_search", _string_search, ctypes.c_int64),
)
