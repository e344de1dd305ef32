"""Attested connections on real sockets: who is let in, who is refused, and for how long."""

import dataclasses
import datetime as dt
import socket
import time

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.drill.thief import Thief
from infra.enclave.insecure_software import InsecureSoftwareModule
from infra.enclave.peers import approved_by
from infra.transport import attestation, pinned
from infra.transport.attestation import Attestation
from infra.transport.outbox import CALLER, make_app
from infra.transport.tls import COORDINATOR, Identity
from mpc_core.protocol.errors import CeremonyError
from tests.support.attested import AttestedWorld
from tests.support.faulty_proxy import FaultyProxy, between
from tests.support.transport import calling, serving


@pytest.fixture(scope="module")
def parties():
    return AttestedWorld()


@pytest.fixture
def world(parties):
    world = AttestedWorld(refusals=[], now=parties.now)
    world.__dict__.update(root=parties.root, parties=parties.parties)
    return world


@dataclasses.dataclass
class Server:
    port: int
    bodies: list

    def call(self, identity, peer="op-01", path="/who"):
        with calling(identity, peer, self.port) as other:
            return other.request("POST", path, b"a payload", limit=100).decode()

    def refusal(self, identity, peer="op-01"):
        with pytest.raises(CeremonyError) as caught:
            self.call(identity, peer)
        return caught.value


def _served(identity):
    bodies = []

    async def who(request):
        bodies.append(await request.read())
        return web.Response(text=request[CALLER])

    app = make_app(identity)
    app.router.add_post("/who", who)
    return app, bodies


@pytest.fixture
def server(world):
    identity = world.identity("op-01")
    app, bodies = _served(identity)
    with serving(app, identity) as port:
        yield Server(port, bodies)


def _liar(world, kind):
    """Return op-02 with an enclave that is wrong in one thing."""
    false = FALSE_ENCLAVES[kind]
    return world.identity("op-02", enclave=false.made(world.enclave("op-02"), world.root))


@pytest.mark.parametrize("name", ["op-02", "op-04", COORDINATOR])
def test_members_whose_enclaves_run_the_plans_software_talk_to_each_other(world, server, name):
    assert server.call(world.identity(name)) == name
    assert world.refusals == []


@pytest.mark.parametrize("kind", FALSE_ENCLAVES)
def test_a_caller_is_refused_before_its_payload_is_read_and_told_why_by_name(world, server, kind):
    liar, code = _liar(world, kind), FALSE_ENCLAVES[kind].code
    with capture_logs() as logs:
        told = server.refusal(liar)
    assert (told.code, told.operator) == ("RF-PEER-020", "op-01")
    assert code in told.subject
    (by, error), *_ = world.refusals
    assert (by, error.operator, error.code) == ("op-01", "op-02", code)
    assert {"op-02"} == {entry["operator"] for entry in logs if entry["event"] == "peer refused"}
    assert server.bodies == []


@pytest.mark.parametrize("kind", FALSE_ENCLAVES)
@pytest.mark.parametrize("caller", ["op-03", COORDINATOR])
def test_a_server_is_refused_by_name_before_anything_is_sent_to_it(world, kind, caller):
    liar, code = _liar(world, kind), FALSE_ENCLAVES[kind].code
    app, bodies = _served(liar)
    with serving(app, liar) as port:
        error = Server(port, bodies).refusal(world.identity(caller), "op-02")
    assert (error.code, error.operator) == (code, "op-02")
    assert [by for by, _ in world.refusals] == [caller]
    assert bodies == []


def test_an_operator_without_a_document_is_refused(world, server):
    error = server.refusal(world.identity("op-02", attested=False))
    assert (error.code, error.operator) == ("RF-PEER-020", "op-01")
    assert [error.code for _, error in world.refusals] == ["RF-ATTEST-014"]


def test_a_host_of_the_log_has_no_document_and_speaks_for_no_operator(world, server):
    host = world.identity(COORDINATOR)
    assert host.attestation.shown is None
    masked = Identity(
        "op-02",
        world.parties.identities[COORDINATOR],
        world.members,
        clock=world.clock,
        attestation=Attestation(world.plan),
    )
    assert server.refusal(masked).code.startswith("RF-PEER")
    assert {error.code for _, error in world.refusals} == {"RF-PEER-001"}


def test_a_bulk_connection_judges_the_server_as_well(world):
    liar = _liar(world, "changed-code")
    app, _ = _served(liar)
    with (
        serving(app, liar) as port,
        socket.create_connection(("127.0.0.1", port)) as line,
        pytest.raises(CeremonyError) as caught,
    ):
        world.identity("op-03").client_context("op-02").call(line)
    assert (caught.value.code, caught.value.operator) == ("RF-ATTEST-005", "op-02")


def test_an_enclave_shows_one_document_on_all_its_connections_and_renews_it_at_half_its_age(world):
    identity = world.identity("op-02")
    identity.server_context()
    first = identity.attestation.shown
    identity.client_context("op-01")
    assert identity.attestation.shown is first
    world.now += dt.timedelta(seconds=world.document_seconds / 2)
    identity.client_context("op-03")
    assert identity.attestation.shown.document != first.document
    assert identity.attestation.shown.tls_key != first.tls_key


def test_a_document_is_verified_once_and_its_age_looked_at_every_time(world, monkeypatch):
    verified, real = [], attestation.verify_peer

    def counting(*arguments):
        verified.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(attestation, "verify_peer", counting)
    identity = world.identity("op-01")
    app, bodies = _served(identity)
    with serving(app, identity) as port, calling(world.identity("op-02"), "op-01", port) as peer:
        for _ in range(3):
            peer.request("POST", "/who", b"", limit=100)
        of_op_02 = [binding for _, binding, *_ in verified if binding.operator == "op-02"]
        assert len(of_op_02) == 1
        world.now += dt.timedelta(seconds=world.document_seconds + 1)
        with pytest.raises(CeremonyError):
            peer.request("POST", "/who", b"", limit=100)
    assert "RF-ATTEST-007" in {error.code for _, error in world.refusals}
    assert len(bodies) == 3


@pytest.mark.parametrize(("more_seconds", "counts"), [(0, True), (1, False)])
def test_a_document_of_the_future_counts_as_far_as_two_clocks_may_differ(
    world, more_seconds, counts
):
    ahead = dt.timedelta(seconds=world.plan.deadlines.clock_seconds + more_seconds)
    module = InsecureSoftwareModule(
        world.plan, world.root, approved_by(world.plan), lambda: world.now + ahead
    )
    enclave = dataclasses.replace(world.enclave("op-02"), module=module)
    world.now = world.now.replace(microsecond=0)
    pem, _, _ = world.identity("op-02", enclave=enclave).issue()
    shown = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    judge = world.identity("op-01").attestation
    if counts:
        assert judge.admit("op-02", shown) == world.now + ahead + judge.maximal_age
        return
    with pytest.raises(CeremonyError) as caught:
        judge.admit("op-02", shown)
    assert (caught.value.code, caught.value.operator) == ("RF-ATTEST-007", "op-02")


class _Later:
    """The clock of connections, which can be put forward."""

    def __init__(self):
        self.ahead = 0.0

    def monotonic(self):
        return time.monotonic() + self.ahead


@pytest.mark.parametrize(
    ("share", "connections"),
    [(0.0, 1), (0.26, 2), (1.01, 2)],
    ids=["young", "due: ends with an answer", "too old: is cut"],
)
def test_a_connection_is_made_anew_before_the_documents_of_its_ends_are_too_old(
    world, server, monkeypatch, share, connections
):
    clock = _Later()
    monkeypatch.setattr(pinned, "time", clock)
    caller = world.identity("op-02")
    with between(server.port) as (proxy, port), calling(caller, "op-01", port) as peer:
        peer.request("POST", "/who", b"", limit=100)
        clock.ahead = share * world.document_seconds
        for _ in range(2):
            assert peer.request("POST", "/who", b"", limit=100) == b"op-02"
        assert proxy.connections == connections
    assert world.refusals == []


def test_a_relay_between_two_enclaves_sees_ciphertext_only(world, server, monkeypatch):
    seen, real = [], FaultyProxy._pass

    async def watching(proxy, reader, writer, *, counts):
        read = reader.read

        async def noting(most):
            seen.append(await read(most))
            return seen[-1]

        reader.read = noting
        await real(proxy, reader, writer, counts=counts)

    monkeypatch.setattr(FaultyProxy, "_pass", watching)
    caller = world.identity("op-02")
    with between(server.port) as (_, port), calling(caller, "op-01", port) as peer:
        assert peer.request("POST", "/who", b"a payload", limit=100) == b"op-02"
    assert server.bodies == [b"a payload"]
    passed = b"".join(seen)
    assert len(passed) > len(caller.attestation.shown.document)
    certificate = b"insecure-software.test-root"
    assert certificate in caller.attestation.shown.document
    for plain in (b"a payload", b"/who", b"op-02", certificate):
        assert plain not in passed


def _thief(world, name):
    """Return op-04 with the certificate of another member."""
    stolen, _, _ = world.identity(name).issue()
    key = world.parties.identities["op-04"]
    return Thief("op-04", key, world.members, clock=world.clock, stolen=stolen)


def test_a_caller_with_a_stolen_certificate_is_refused_under_the_name_of_its_victim(world, server):
    with capture_logs() as logs:
        server.refusal(_thief(world, "op-02"))
    assert {(error.operator, error.code) for _, error in world.refusals} == {
        ("op-02", "RF-PEER-021")
    }
    assert "RF-PEER-021" in {entry.get("code") for entry in logs}
    assert server.bodies == []


def test_a_server_with_a_stolen_certificate_is_refused_under_the_name_of_its_victim(world):
    thief = _thief(world, "op-02")
    app, bodies = _served(world.identity("op-02"))
    with serving(app, thief) as port:
        error = Server(port, bodies).refusal(world.identity("op-03"), "op-02")
    assert (error.operator, error.code) == ("op-02", "RF-PEER-021")
    assert bodies == []
