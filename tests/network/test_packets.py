"""Joined TCP segments, compared with segments that are made one by one."""

import random
import struct

import pytest

from infra.network.packets import PREFIX, parse_packet

SOURCE, DESTINATION = bytes([198, 18, 0, 1]), bytes([198, 18, 0, 2])
FIN, PSH, ACK, CWR = 0x01, 0x08, 0x10, 0x80


def _ones(data):
    """The ones' complement sum of RFC 1071, by its definition."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2])
        total = total % 65536 + total // 65536
    return total


def ip_packet(payload, *, identification=9, sequence=5, flags=ACK, options=b"", ip_options=b""):
    """Return an IP packet as the kernel passes it on: with the sum of the pseudo header only."""
    tcp = struct.pack(
        "!HHIIBBHHH", 1000, 2000, sequence, 77, (20 + len(options)) * 4, flags, 512, 0, 0
    )
    tcp = bytearray(tcp + options)
    pseudo = SOURCE + DESTINATION + struct.pack("!HH", 6, len(tcp) + len(payload))
    tcp[16:18] = _ones(pseudo).to_bytes(2)
    length = 20 + len(ip_options) + len(tcp) + len(payload)
    words = (0x45 + len(ip_options) // 4, 0, length, identification, 0x4000, 64, 6, 0)
    ip = bytearray(struct.pack("!BBHHHBBH", *words) + SOURCE + DESTINATION + ip_options)
    ip[10:12] = (0xFFFF ^ _ones(ip)).to_bytes(2)
    return bytes(ip + tcp) + payload


def joined(payload, segment, **fields):
    """Return the same as a TUN device hands it out."""
    header = len(ip_packet(b"", **fields))
    return parse_packet(PREFIX.pack(1, 1, header, segment, 20, 16) + ip_packet(payload, **fields))


def alone(payload, segment, at, **fields):
    """Return one segment of it, made by itself."""
    flags = fields.pop("flags", ACK)
    count = -(-len(payload) // segment)
    if at < count - 1:
        flags &= ~(FIN | PSH)
    if at:
        flags &= ~CWR
    return ip_packet(
        payload[at * segment : (at + 1) * segment],
        flags=flags,
        sequence=(fields.pop("sequence", 5) + at * segment) % 2**32,
        identification=(fields.pop("identification", 9) + at) % 2**16,
        **fields,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"flags": ACK | PSH | FIN | CWR},
        {"options": bytes(range(12)), "sequence": 2**32 - 100, "identification": 65_535},
        {"ip_options": b"\1\1\1\0"},
    ],
)
@pytest.mark.parametrize("size", [101, 200, 1000, 5001])
def test_every_segment_that_is_taken_out_is_the_one_that_would_have_been_sent(fields, size):
    payload, segment = random.Random(size).randbytes(size), 100
    packet = joined(payload, segment, **fields)
    assert packet.segments == -(-size // segment)
    total = 0
    for at in range(packet.segments):
        single = packet.run(at, at + 1)
        assert single.data[PREFIX.size :] == alone(payload, segment, at, **fields)
        assert PREFIX.unpack(single.data[: PREFIX.size])[1] == 0
        assert single.segments == 1
        total += single.wire_bytes
    assert packet.wire_bytes == total


def test_a_run_of_segments_comes_apart_into_the_same_segments():
    payload = bytes(range(256)) * 4
    packet = joined(payload, 100, flags=ACK | FIN | CWR)
    for first, stop in ((0, 3), (2, 9), (8, 11), (0, 11)):
        run = packet.run(first, stop)
        assert run.segments == stop - first
        for at in range(first, stop):
            assert run.run(at - first, at - first + 1).data == packet.run(at, at + 1).data


def test_the_addresses_are_those_of_the_ip_header():
    packet = joined(b"x", 100)
    assert packet.source.to_bytes(4) == SOURCE
    assert packet.destination.to_bytes(4) == DESTINATION


@pytest.mark.parametrize("data", [b"", bytes(10), bytes(40), PREFIX.pack(0, 0, 0, 0, 0, 0) + b"`"])
def test_what_is_not_ipv4_is_passed_over(data):
    assert parse_packet(data) is None


def test_a_packet_of_its_own_stays_whole():
    data = PREFIX.pack(0, 0, 0, 0, 0, 0) + ip_packet(b"y" * 30)
    packet = parse_packet(data)
    assert (packet.segments, packet.wire_bytes) == (1, len(data) - PREFIX.size)
    assert packet.run(0, 1) is packet
