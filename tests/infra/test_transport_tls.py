import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientError, ClientSession, web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from infra.transport.outbox import CALLER, make_app
from infra.transport.tls import Identity, Members
from mpc_core.protocol.errors import CeremonyError
from tests.support.transport import NAMES, calling, members_of, serving


async def who(request):
    return web.Response(text=request[CALLER])


@pytest.fixture
def port(world):
    app = make_app(world.identity("op-01"))
    app.router.add_get("/who", who)
    with serving(app, world.identity("op-01")) as port:
        yield port


def call(identity, peer, port):
    with calling(identity, peer, port) as other:
        return other.request("GET", "/who", limit=100).decode()


def refused(identity, peer, port):
    with pytest.raises(CeremonyError) as caught:
        call(identity, peer, port)
    return caught.value


@pytest.mark.parametrize("name", [name for name in NAMES if name != "op-01"])
def test_a_server_learns_from_the_verified_certificate_which_member_calls(world, port, name):
    assert call(world.identity(name), "op-01", port) == name
    assert world.refusals == []


def test_a_caller_with_a_foreign_key_in_a_members_name_is_refused_and_the_reason_logged(
    world, port
):
    liar = Identity("op-02", Ed25519PrivateKey.generate(), world.members)
    with capture_logs() as logs:
        assert refused(liar, "op-01", port).code == "RF-PEER-007"
    assert {error.code for error in world.refusals} == {"RF-PEER-001"}
    assert "signature" in world.refusals[0].found
    assert "RF-PEER-001" in {entry.get("code") for entry in logs}


def test_a_caller_that_the_plan_does_not_name_is_refused(world, port):
    stranger = members_of(world.keys | {"stranger": Ed25519PrivateKey.generate()})
    refused(Identity("stranger", Ed25519PrivateKey.generate(), stranger), "op-01", port)
    assert {error.code for error in world.refusals} == {"RF-PEER-001"}


def test_a_member_that_issues_itself_a_certificate_in_another_members_name_stays_itself(
    world, port
):
    class Masked(Identity):
        def issue(self):
            self.name = "op-03"
            return super().issue()

    liar = Masked("op-02", world.keys["op-02"], world.members)
    refused(liar, "op-01", port)
    assert {error.code for error in world.refusals} == {"RF-PEER-001"}


def test_a_member_cannot_appoint_itself_an_authority_for_another_members_name(world, port):
    class Delegating(Identity):
        """Signs, as op-02, a CA in the name of op-03, which then signs a leaf for op-03."""

        def issue(self):
            middle_key = Ed25519PrivateKey.generate()
            anchor = world.members.anchors["op-03"]
            middle = (
                x509.CertificateBuilder()
                .subject_name(anchor.subject)
                .issuer_name(world.members.anchors["op-02"].subject)
                .public_key(middle_key.public_key())
                .serial_number(1)
                .not_valid_before(anchor.not_valid_before_utc)
                .not_valid_after(anchor.not_valid_after_utc)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .sign(world.keys["op-02"], None)
            )
            leaf_of_op_03 = Identity("op-03", middle_key, world.members).issue()
            pem, passphrase, renew_at = leaf_of_op_03
            return pem + middle.public_bytes(Encoding.PEM), passphrase, renew_at

    refused(Delegating("op-02", world.keys["op-02"], world.members), "op-01", port)
    assert world.refusals


@pytest.mark.parametrize("days", [-9, 3])
def test_a_caller_whose_certificate_is_not_valid_now_is_refused(world, port, days):
    late = Identity(
        "op-02",
        world.keys["op-02"],
        world.members,
        clock=lambda: datetime.now(UTC) + timedelta(days=days),
    )
    refused(late, "op-01", port)
    assert {error.code for error in world.refusals} == {"RF-PEER-002"}


def test_a_clock_that_is_hours_wrong_is_tolerated(world, port):
    for hours in (-20, 20):
        skewed = Identity(
            "op-02",
            world.keys["op-02"],
            world.members,
            clock=lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours),
        )
        assert call(skewed, "op-01", port) == "op-02"


def test_a_caller_without_a_certificate_is_refused(world, port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    anchor = world.members.anchors["op-01"].public_bytes(Encoding.DER)
    context.load_verify_locations(cadata=anchor)

    async def anonymous():
        async with (
            ClientSession() as session,
            session.get(
                f"https://127.0.0.1:{port}/who",
                ssl=context,
                server_hostname=world.members.host_name("op-01"),
            ) as response,
        ):
            return await response.text()

    with pytest.raises(ClientError):
        asyncio.run(anonymous())
    assert {error.code for error in world.refusals} == {"RF-PEER-005"}


def test_tls_1_2_is_refused(world, port):
    context = world.identity("op-02").client_context("op-01")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def old():
        await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=world.members.host_name("op-01")
        )

    with pytest.raises((ssl.SSLError, ConnectionError)):
        asyncio.run(old())
    assert "RF-PEER-009" in {error.code for error in world.refusals}


def test_a_client_refuses_another_member_at_its_peers_address(world, port):
    error = refused(world.identity("op-02"), "op-03", port)
    assert (error.code, error.operator) == ("RF-PEER-003", "op-03")


def test_a_client_refuses_a_member_that_claims_its_peers_host_name(world):
    class Claiming(Identity):
        """Issues, as op-03, a certificate for the host name of op-01."""

        def issue(self):
            names = {self.members.host_name("op-03"): self.members.host_name("op-01")}
            real = Members.host_name
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    Members, "host_name", lambda members, name: names[real(members, name)]
                )
                return super().issue()

    app = make_app(world.identity("op-01"))
    app.router.add_get("/who", who)
    with serving(app, Claiming("op-03", world.keys["op-03"], world.members)) as port:
        error = refused(world.identity("op-02"), "op-01", port)
    assert (error.code, error.operator) == ("RF-PEER-003", "op-01")


def test_a_client_refuses_a_server_with_a_foreign_key(world):
    app = make_app(world.identity("op-01"))
    app.router.add_get("/who", who)
    liar = Identity("op-01", Ed25519PrivateKey.generate(), world.members)
    with serving(app, liar) as port:
        error = refused(world.identity("op-02"), "op-01", port)
    assert (error.code, error.operator) == ("RF-PEER-001", "op-01")


def test_a_client_refuses_a_server_whose_certificate_expired(world):
    app = make_app(world.identity("op-01"))
    past = datetime.now(UTC) - timedelta(days=9)
    old = Identity("op-01", world.keys["op-01"], world.members, clock=lambda: past)
    with serving(app, old) as port:
        assert refused(world.identity("op-02"), "op-01", port).code == "RF-PEER-002"


def test_the_same_keys_in_another_ceremony_are_refused_by_clients_and_servers(world, port):
    elsewhere = members_of(world.keys, ceremony_id="ff" * 16)
    stranger = Identity("op-02", world.keys["op-02"], elsewhere)
    assert refused(stranger, "op-01", port).code == "RF-PEER-003"

    class Elsewhere(Identity):
        """Calls with the right host name, but shows a certificate of the other ceremony."""

        def issue(self):
            here, self.members = self.members, elsewhere
            try:
                return super().issue()
            finally:
                self.members = here

    liar = Elsewhere("op-02", world.keys["op-02"], world.members)
    assert refused(liar, "op-01", port).code == "RF-PEER-008"
    assert {error.code for error in world.refusals} == {"RF-PEER-003"}


def test_a_certificate_is_renewed_before_it_expires_without_a_restart(world):
    now = [datetime.now(UTC) - timedelta(days=30)]
    server = Identity("op-01", world.keys["op-01"], world.members, clock=lambda: now[0])
    app = make_app(server)
    app.router.add_get("/who", who)
    with serving(app, server) as port:
        assert refused(world.identity("op-02"), "op-01", port).code == "RF-PEER-002"
        now[0] = datetime.now(UTC)
        assert call(world.identity("op-02"), "op-01", port) == "op-02"


def test_a_certificate_that_was_not_signed_by_the_plans_key_identifies_nobody(world):
    liar = Identity("op-02", Ed25519PrivateKey.generate(), world.members)
    pem, _, _ = liar.issue()
    leaf = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    with pytest.raises(CeremonyError) as caught:
        world.members.identify(leaf)
    assert caught.value.code == "RF-PEER-001"
    with pytest.raises(CeremonyError) as caught:
        world.members.identify(None)
    assert caught.value.code == "RF-PEER-005"
