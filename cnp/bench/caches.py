"""Empties the caches, as far as reading more memory than they hold can."""

from __future__ import annotations

import functools
import glob

_LEAST, _MOST = 32 << 20, 256 << 20  # bytes; a virtual machine may claim a cache that it shares with many others
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def sweep() -> None:
    """Read memory of twice the largest cache's size: what was in the caches before, mostly, is not any more.

    By reading, because the C library writes much memory past the caches.
    """
    _memory().find(b"\0")


@functools.cache
def _memory() -> bytearray:
    """Ones, because pages of zeros may all be the same page."""
    return bytearray(b"\1") * min(max(2 * largest_cache(), _LEAST), _MOST)


def largest_cache(pattern: str = "/sys/devices/system/cpu/cpu0/cache/index*/size") -> int:
    """Bytes of the first processor's largest cache, 0 where the kernel does not say."""
    sizes = [0]
    for path in glob.glob(pattern):
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
        sizes.append(int(text.rstrip("KMG")) * _UNITS.get(text[-1:], 1))
    return max(sizes)
