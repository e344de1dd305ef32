"""What peers send on their own: answers over HTTP, direct calls, certificates, orders' texts."""

from __future__ import annotations

import http.client
import io
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.board import strict
from infra.party.peers import _OwedAnswer, _OwedRequest, owed_answer
from infra.transport.attestation import Attestation
from infra.transport.client import Peer
from infra.transport.fetch import _Download
from infra.transport.notice import Notice, refused_by
from infra.transport.outbox import _requested_range
from infra.transport.parts import Part
from infra.transport.tls import Identity, Members
from mpc_core.protocol.entries import Return
from mpc_core.protocol.errors import CeremonyError
from tests.fuzz.registry import chosen, one_of, target
from tests.fuzz.values import PLAN
from tests.support.attested import AttestedWorld
from tests.support.board import key_of

BLOB = bytes(range(256)) * 2
LEAF = 128
LOST = (CeremonyError, OSError, http.client.HTTPException, UnicodeError)
"""What an attempt to fetch may end with: the last three count as a lost connection."""


def _answers():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n"
    yield b"\0" + head + BLOB
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 256\r\n"
    yield b"\1" + part + b"Content-Range: bytes 256-511/512\r\n\r\n" + BLOB[256:]
    yield b"\0HTTP/1.1 100 Continue\r\n\r\n" + head + BLOB


class _Line:
    """A connection on which everything has arrived already."""

    def __init__(self, data):
        self.makefile = lambda _mode: io.BytesIO(data)


@cache
def _folder():
    return tempfile.TemporaryDirectory(prefix="ringforge-fuzz-")


@target(seeds=_answers, refusals=LOST)
def http_answer(data):
    """The answer to a request for a blob, whole (first byte even) or its second half."""
    half = bool(data[:1]) and data[0] % 2 == 1
    folder = Path(_folder().name)
    peer = SimpleNamespace(name="op-01")
    download = _Download(peer, bytes(32), len(BLOB), LEAF, folder / "blob", None, None)
    start = len(BLOB) // 2 if half else 0
    part = Part(folder / "part", start, len(BLOB), LEAF, memoryview(BLOB)[start:])
    try:
        response = http.client.HTTPResponse(_Line(data[1:]), method="GET")
        response.begin()
        download._check_start(part, response)
        download._append(part, response)
        assert part.present == part.size
    finally:
        assert part.present <= part.size
        part.restart()


def _ranges():
    return [b"bytes=0-", b"bytes=5-9", b"bytes=-3"]


@target(seeds=_ranges, refusals=(web.HTTPException,))
def requested_range(data):
    """The range that a caller of the outbox asks for."""
    request = make_mocked_request("GET", "/", {"Range": data.decode("latin-1")})
    start, stop = _requested_range(request, len(BLOB))
    assert 0 <= start <= stop <= len(BLOB)


POSTED = {Return(3): b"return 3", Return(4): b"return 4"}


def _owed_call(data):
    strict.decode(_OwedAnswer, owed_answer(data, POSTED))


def _owed_entries(data):
    assert strict.encode(strict.decode(_OwedAnswer, data)) == data


def _owed_calls():
    return [strict.encode(_OwedRequest(())), strict.encode(_OwedRequest(("return/3",)))]


@target(seeds=chosen(_owed_calls, lambda: [strict.encode(_OwedAnswer((b"entry", b"")))]))
def owed(data):
    """Direct calls for entries that a summons lists, and their answers."""
    one_of(data, _owed_call, _owed_entries)


@cache
def _members():
    keys = {each.name: each.identity_key for each in PLAN.operators}
    return Members(PLAN.ceremony_id, keys)


def _certificates():
    pem, _, _ = Identity("op-01", key_of(1), _members()).issue()
    yield x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


@target(seeds=_certificates)
def certificate(data):
    assert _members().identify(data) == "op-01"


@cache
def _attested():
    return AttestedWorld()


def _attested_certificates():
    pem, _, _ = _attested().identity("op-02").issue()
    yield x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


@target(seeds=_attested_certificates)
def attested_certificate(data):
    """The document in the certificate of a peer, once the handshake has shown whose it is."""
    world = _attested()
    Attestation(world.plan, now=world.clock).admit("op-02", data)


def _notices():
    error = CeremonyError("RF-ATTEST-005", "op-02 runs other software", expected="a", found="b")
    yield Notice.of(error).body


@target(seeds=_notices)
def notice(data):
    """Whatever a peer writes, a person sees one printable line of each part."""
    told = refused_by(Peer(None, "op-01", "localhost", 1), data)
    assert all(part.isprintable() for part in (told.subject, told.expected, told.found))
