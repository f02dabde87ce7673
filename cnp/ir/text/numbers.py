"""Numbers as the text form writes them, NaN payloads included, so that reading gives back what was written."""

from __future__ import annotations

import math
import struct
from typing import Any

from cnp.ir.signature import float_value, integer_value
from cnp.types import Type

_MANTISSA = 52
_NARROWER = 29  # bits by which an f32's mantissa is shorter


def parse_number(text: str, type: Type | None) -> int | float:
    """An int or a float. A NaN's payload is that of `type`, in a float that converts to it. ValueError or
    OverflowError if it cannot be.

    `1`, `-0x1f`, `1_000`, `1.5`, `1e-3`, `0x1.8p+1`, `inf`, `-nan`, `nan:0x1`.
    """
    sign = -1 if text.startswith("-") else 1
    body = text.lstrip("+-").lower()
    if body.startswith("nan"):
        return _nan(sign, body, 23 if type is Type.f32 else _MANTISSA)
    if body == "inf":
        return sign * math.inf
    if body.startswith("0x"):
        is_float = "." in body or "p" in body
        return sign * (float.fromhex(body) if is_float else int(body, 16))
    return sign * (float(body) if any(each in body for each in ".e") else int(body))


def _nan(sign: int, body: str, mantissa: int) -> float:
    payload = int(body[4:], 16) if body[3:] else 1 << (mantissa - 1)
    if not 0 < payload < 1 << mantissa:
        raise ValueError(f"a NaN's payload must be in [1, 2^{mantissa})")
    bits = 0x7FF << _MANTISSA | payload << (_MANTISSA - mantissa) | (sign < 0) << 63
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def print_number(number: Any, type: Type | None) -> str | None:
    """The text of anything that counts as a number; None for anything else."""
    integer = integer_value(number)
    if integer is not None:
        return str(integer)
    try:
        value = float_value(number)
    except OverflowError:
        return None
    if value is None:
        return None
    return _print_nan(value, 23 if type is Type.f32 else _MANTISSA) if math.isnan(value) else repr(value)


def _print_nan(value: float, mantissa: int) -> str:
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    sign = "-" if bits >> 63 else ""
    payload = (bits & (1 << _MANTISSA) - 1) >> (_MANTISSA - mantissa)
    quiet = 1 << (mantissa - 1)
    # Converting to f32 makes a NaN whose payload vanishes a quiet one.
    return f"{sign}nan" if payload in (0, quiet) else f"{sign}nan:{payload:#x}"
