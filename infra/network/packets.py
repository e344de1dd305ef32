"""IPv4 packets as a TUN device hands them out, and how a long one comes apart.

The kernel joins TCP segments of one connection to one packet of up to 64 KiB and says in the header
before it (virtio's) how long a segment is. The relay passes such packets on whole, which is what
makes it fast, and takes them apart only where a segment gets lost.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["Packet", "parse_packet"]

PREFIX = struct.Struct("=BBHHHH")
"""virtio_net_hdr: flags, GSO type, header length, GSO size, checksum start and offset."""

NO_GSO, TCP_IPV4 = 0, 1
ECN = 0x80
"""Beside a GSO type: only the first segment keeps the flag CWR."""

VERSION_4, TCP = 4, 6
SHORTEST_IP, SHORTEST_TCP = 20, 20
FIN, PSH, CWR = 0x01, 0x08, 0x80


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, of one segment or of several.

    Attributes:
        data: virtio header, IP header, TCP header if it has several segments, payload.
        source: address of the sender, as an integer.
        destination: address of the receiver.
        headers: bytes of IP and TCP header that each segment carries on a line; 0 if not joined.
        segment: payload bytes of a full segment; 0 if not joined.
    """

    data: bytes
    source: int
    destination: int
    headers: int = 0
    segment: int = 0

    @property
    def payload(self) -> int:
        """Bytes after the headers that every segment repeats."""
        return len(self.data) - PREFIX.size - self.headers

    @property
    def segments(self) -> int:
        """How many packets it is on a line."""
        return -(-self.payload // self.segment) if self.segment else 1

    @property
    def wire_bytes(self) -> int:
        """Bytes on a line, from the IP header on, all segments together."""
        return self.payload + self.segments * self.headers

    def run(self, first: int, stop: int) -> Packet:
        """Return the segments from `first` up to `stop`, joined to one packet.

        What is returned differs from what a router would see in nothing but the joining: length,
        identification, sequence number and flags are those of the segments.
        """
        if first == 0 and stop == self.segments:
            return self
        flags, gso, header_length, size, start, offset = PREFIX.unpack_from(self.data)
        at = PREFIX.size
        headers = bytearray(self.data[at : at + self.headers])
        body = self.data[at + self.headers :][first * self.segment : stop * self.segment]
        last = stop == self.segments
        _rewrite(headers, len(body), first, first * self.segment, last=last)
        if stop - first == 1:
            gso, size = NO_GSO, 0
        prefix = PREFIX.pack(flags, gso, header_length, size, start, offset)
        joined = 0 if stop - first == 1 else self.segment
        data = prefix + headers + body
        return Packet(data, self.source, self.destination, self.headers if joined else 0, joined)


def parse_packet(data: bytes) -> Packet | None:
    """Return a packet that a TUN device handed out, or nothing if it is not IPv4."""
    at = PREFIX.size
    if len(data) < at + SHORTEST_IP or data[at] >> 4 != VERSION_4:
        return None
    source, destination = struct.unpack_from("!II", data, at + 12)
    _, gso, _, size, _, _ = PREFIX.unpack_from(data)
    if gso & ~ECN != TCP_IPV4 or not size:
        return Packet(data, source, destination)
    ip = 4 * (data[at] & 15)
    headers = ip + 4 * (data[at + ip + 12] >> 4)
    return Packet(data, source, destination, headers, size)


def _rewrite(headers: bytearray, payload: int, number: int, offset: int, *, last: bool) -> None:
    """Turn the headers of a joined packet into those of some of its segments."""
    ip = 4 * (headers[0] & 15)
    length = len(headers) + payload
    identification = int.from_bytes(headers[4:6]) + number
    struct.pack_into("!HH", headers, 2, length, identification & 0xFFFF)
    struct.pack_into("!H", headers, 10, 0)
    struct.pack_into("!H", headers, 10, 0xFFFF ^ _folded(headers[:ip]))
    sequence = int.from_bytes(headers[ip + 4 : ip + 8]) + offset
    struct.pack_into("!I", headers, ip + 4, sequence & 0xFFFFFFFF)
    if not last:
        headers[ip + 13] &= ~(FIN | PSH) & 0xFF
    if number:
        headers[ip + 13] &= ~CWR & 0xFF
    # The receiving kernel adds the payload itself: the field holds the pseudo header's sum alone.
    pseudo = headers[12:20] + struct.pack("!HH", TCP, length - ip)
    struct.pack_into("!H", headers, ip + 16, _folded(pseudo))


def _folded(data: bytes | bytearray) -> int:
    """Return the sum of 16-bit words with the carries added in (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
