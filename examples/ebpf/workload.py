"""Turns a seed into contexts for the programs that come with the example, the same on every machine."""

from __future__ import annotations

import random
import struct

from examples.bpf import traffic


def make(name: str, size: int, seed: int = 1) -> bytes:
    """A context of about `size` bytes for the program of that name."""
    rng = random.Random(seed)
    if name == "packets":
        made = bytearray()
        captured = traffic.generate(max(1, size // 130), seed, snapshot_length=128)
        for packet in captured:
            made += struct.pack("<H", len(packet.data)) + packet.data
        return bytes(made)
    if name == "flows":
        keys = [rng.getrandbits(32) for _ in range(600)]
        return b"".join(struct.pack("<I", keys[min(rng.randrange(600), rng.randrange(600))]) for _ in range(size // 4))
    return rng.randbytes(size)
