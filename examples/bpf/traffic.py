"""Turns a seed into a capture: the traffic of a made-up office network, the same for the same seed on every machine.

The mix follows what is published of access links: most packets are TCP, 40% of all are empty acknowledgements and 40%
full segments (the two humps of "IMIX"), a tenth is DNS, QUIC and other UDP, the rest ICMP, ARP, fragments, VLANs."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from .capture import Capture, Packet, from_packets

_IPV4, _ARP, _IPV6, _VLAN = 0x0800, 0x0806, 0x86DD, 0x8100
_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_TCP_SERVICES = (443, 443, 443, 443, 80, 80, 22, 25, 993, 8080)
_UDP_SERVICES = (53, 53, 53, 443, 443, 123, 5004, 5061, 1900)
_PAYLOAD_SIZES = (0, 0, 0, 0, 1448, 1448, 1448, 1448, 120, 512)


def generate(count: int = 100_000, seed: int = 1992, snapshot_length: int = 262144) -> Capture:
    """A capture of `count` Ethernet packets of 42 to 1,522 bytes, each cut to `snapshot_length` bytes."""
    return from_packets(_packets(count, random.Random(seed), snapshot_length))


def _packets(count: int, rng: random.Random, snapshot_length: int) -> Iterator[Packet]:
    noise = rng.randbytes(1 << 16)  # payloads are windows into it
    for _ in range(count):
        frame = _frame(rng, noise)
        yield Packet(frame[:snapshot_length], len(frame))


def _frame(rng: random.Random, noise: bytes) -> bytes:
    kind = rng.random()
    if kind < 0.01:
        ether_type, body = _ARP, _arp(rng)
    elif kind < 0.16:
        ether_type, body = _IPV6, _ipv6(rng, noise)
    else:
        ether_type, body = _IPV4, _ipv4(rng, noise)
    tag = struct.pack(">HH", _VLAN, rng.choice((10, 20, 30))) if rng.random() < 0.03 else b""
    addresses = b"\x02\x00\x00\x00\x00" + bytes((rng.randrange(64),)) + b"\x02\x00\x00\x00\x01\xfe"
    return addresses + tag + ether_type.to_bytes(2, "big") + body


def _arp(rng: random.Random) -> bytes:
    header = struct.pack(">HHBBH", 1, _IPV4, 6, 4, rng.choice((1, 2)))
    return header + b"\x02\0\0\0\0\1" + _address(rng) + bytes(6) + _address(rng)


def _address(rng: random.Random) -> bytes:
    """IPv4: half of all addresses are the office's own, and few hosts send most of the packets."""
    if rng.random() < 0.5:
        return bytes((192, 168, rng.randrange(4), 1 + min(rng.randrange(254), rng.randrange(254))))
    if rng.random() < 0.3:
        return bytes((10, 1, 2, 1 + rng.randrange(5)))
    return rng.choice((93, 104, 151, 142)).to_bytes(1, "big") + rng.randbytes(3)


def _ipv4(rng: random.Random, noise: bytes) -> bytes:
    protocol, body = _transport(rng, noise, _ICMP)
    options = b"\x94\x04\0\0" if rng.random() < 0.01 else b""  # router alert: a header longer than 20 bytes
    fragment = rng.random()
    flags = 0x4000 if fragment > 0.01 else 0x2000 if fragment > 0.005 else 0x2000 + 185
    length = 20 + len(options) + len(body)
    start = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, 0, length, rng.getrandbits(16), flags, 64, protocol, 0)
    return start + _address(rng) + _address(rng) + options + body


def _ipv6(rng: random.Random, noise: bytes) -> bytes:
    protocol, body = _transport(rng, noise, _ICMP6)
    start = struct.pack(">IHBB", 0x60000000, len(body), protocol, 64)
    network = b"\x20\x01\x0d\xb8\0\0\0\0"
    return start + network + rng.randbytes(8) + network + rng.randbytes(8) + body


def _transport(rng: random.Random, noise: bytes, icmp: int) -> tuple[int, bytes]:
    kind = rng.random()
    if kind < 0.85:
        return _TCP, _tcp(rng, noise)
    if kind < 0.97:
        return _UDP, _udp(rng, noise)
    return icmp, struct.pack(">BBHHH", 8 if icmp == _ICMP else 128, 0, 0, 1, rng.getrandbits(16)) + noise[:56]


def _ports(rng: random.Random, service: int) -> tuple[int, int]:
    client = rng.randrange(32768, 61000)
    return (client, service) if rng.random() < 0.5 else (service, client)


def _payload(rng: random.Random, noise: bytes, size: int) -> bytes:
    start = rng.randrange(len(noise) - size)
    return noise[start : start + size]


def _tcp(rng: random.Random, noise: bytes) -> bytes:
    source, destination = _ports(rng, rng.choice(_TCP_SERVICES))
    kind = rng.random()
    flags = _SYN if kind < 0.02 else _SYN | _ACK if kind < 0.04 else _FIN | _ACK if kind < 0.07 else _ACK
    flags = _RST if 0.07 <= kind < 0.08 else flags
    size = rng.choice(_PAYLOAD_SIZES) if flags == _ACK else 0
    flags |= _PSH if size and size < 1448 else 0
    words = 10 if flags & _SYN else 8  # with options: timestamps, and in a SYN the window scale and so on
    header = struct.pack(">HHIIBBHHH", source, destination, 1, 1, words << 4, flags, 501, 0, 0)
    return header + b"\x01" * (4 * words - 20) + _payload(rng, noise, size)


def _udp(rng: random.Random, noise: bytes) -> bytes:
    service = rng.choice(_UDP_SERVICES)
    source, destination = _ports(rng, service)
    size = 1200 if service == 443 else rng.randrange(40, 200)
    return struct.pack(">HHHH", source, destination, 8 + size, 0) + _payload(rng, noise, size)
