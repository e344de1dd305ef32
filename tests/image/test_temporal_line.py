"""An enclave calls the Temporal server that its people named, and its parent sees ciphertext."""

import base64
import dataclasses
import json
import os
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from infra import operator as process
from infra.board.strict import encode
from infra.cli.main import app
from infra.governance.answers import render_card
from infra.network.places import Reach
from infra.party.instructions import TemporalLine, sign_instruction
from infra.party.temporal_line import checked_request, client_key, line_of, signed_request
from infra.party.vault import open_vault
from infra.plan.signing import read_signatures
from infra.temporal.client import connect
from infra.temporal.server import open_server
from mpc_core.protocol.errors import CeremonyError
from tests.image.enclosed import NAME
from tests.support.plans import speakers
from tests.support.temporal_tls import behind_tls, carried, certificate, issued, named

REQUEST = "enrolment/temporal.csr"
ELSEWHERE = "203.0.113.7:7233"
PREFACE = b"PRI * HTTP/2.0"
"""How a line in the clear begins."""


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(act, *arguments, **more):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments, **more)
    return refusal.value.code


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    own = {name: text for name, text in os.environ.items() if not name.startswith("TEMPORAL_")}
    with open_server(tmp_path_factory.mktemp("temporal"), report=print, environment=own) as server:
        yield server.address


class Enrolled:
    """An operator whose enclave asked for a certificate, with the files of its people."""

    def __init__(self, operator, folder):
        operator.speakers = speakers()
        self.operator, self.folder = operator, folder
        self.authority = certificate(folder, "authority")
        for name in ("server", "parent"):
            certificate(folder, name, self.authority)
        certificate(folder, "elsewhere")
        card = operator.enrolled()
        (folder / "card.toml").write_text(render_card(card))
        (folder / "temporal.csr").write_bytes(operator.bucket.get(REQUEST).data)
        self.draft = operator.plan_with(card)
        self.plan = self.draft.to_plan()
        others = operator.signed_by_others(self.draft)
        operator.start(self.draft, others)
        line = operator.bucket.get("enrolment/plan.sig").data
        self.signatures = {**others, **read_signatures(self.plan, line)}
        self.people = operator.people(self.draft, self.signatures)
        self.ben = self.people.parent / "ben"

    def request(self):
        return run("operator", "temporal-request", self.folder / "card.toml", self.csr)

    @property
    def csr(self):
        return self.folder / "temporal.csr"

    def certified(self):
        """Have the authority of the Temporal server sign what the enclave asks for."""
        asked = x509.load_pem_x509_csr(self.request().stdout.encode())
        assert asked.is_signature_valid
        assert asked.subject == named(NAME)
        (self.folder / "op-02.pem").write_bytes(issued(NAME, asked.public_key(), *self.authority))
        return ("--certificate", self.folder / "op-02.pem", "--request", self.csr)

    def sign(self, address, *more, authority="authority", speaker=None):
        """Give the command of who speaks for the operator."""
        said = ("--representative", speaker or self.ben, "--temporal", address, "--json")
        above = ("--authority", self.folder / f"{authority}.pem")
        return run("operator", "temporal-line", "--home", self.people, *said, *above, *more)

    def line(self, address, *more, **how):
        result = self.sign(address, *more, **how)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["temporal_line"]

    def start(self, line):
        """Start the enclave with that in its launch document; return its home and identity."""
        home = self.operator.start(self.draft, self.signatures, temporal_line=line)
        return home, open_vault(home, self.plan).identity.ed25519

    def settings(self, line, address):
        home, key = self.start(line)
        return line_of(home, self.plan, key, address)


@pytest.fixture
def enrolled(operator, tmp_path_factory):
    return Enrolled(operator, tmp_path_factory.mktemp("people"))


async def test_the_enclave_gets_through_and_its_parent_sees_ciphertext(enrolled, plain):
    seen = []
    async with behind_tls(enrolled.folder, plain) as server, carried(server, seen) as address:
        line = enrolled.line(address, *enrolled.certified())
        client = await connect(address, identity=NAME, settings=enrolled.settings(line, address))
        assert [each async for each in client.list_workflows()] == []
    sent = b"".join(seen)
    assert sent
    assert PREFACE not in sent


async def test_a_line_in_the_clear_would_have_been_seen(plain):
    seen = []
    async with carried(plain, seen) as address:
        await connect(address, identity=NAME)
    assert PREFACE in b"".join(seen)


async def test_a_server_of_another_authority_is_not_believed(enrolled, plain):
    async with behind_tls(enrolled.folder, plain) as address:
        line = enrolled.line(address, *enrolled.certified(), authority="elsewhere")
        settings = enrolled.settings(line, address)
        with pytest.raises(CeremonyError, match="RF-TEMP-004"):
            await connect(address, identity=NAME, settings=settings, deadline_seconds=0.5)


def test_a_server_that_asks_for_no_certificate_needs_none(enrolled):
    tls = enrolled.settings(enrolled.line(ELSEWHERE), ELSEWHERE)["tls"]
    assert (tls.client_cert, tls.client_private_key) == (None, None)
    assert tls.server_root_ca_cert == (enrolled.folder / "authority.pem").read_bytes()


def test_its_people_say_which_namespace_and_name_of_the_server_count(enrolled):
    more = ("--namespace", "keys.lyon", "--server-name", "temporal.example")
    settings = enrolled.settings(enrolled.line(ELSEWHERE, *more), ELSEWHERE)
    assert (settings["namespace"], settings["tls"].domain) == ("keys.lyon", "temporal.example")


def test_a_parent_names_neither_server_nor_authority(enrolled):
    plan, known = enrolled.plan, speakers()
    line = enrolled.line(ELSEWHERE)
    home, key = enrolled.start(line)
    assert refused(line_of, home, plan, key, "127.0.0.1:7233") == "RF-TEMP-010"
    authority = (enrolled.folder / "elsewhere.pem").read_bytes()
    own = TemporalLine(ELSEWHERE, "", "", authority, b"")
    signed = base64.b64decode(line)
    for false in (
        sign_instruction(own, plan, 2, known["anna"]),
        sign_instruction(own, dataclasses.replace(plan, hash=bytes(32)), 2, known["ben"]),
        encode(own),
        signed[:-1] + bytes([signed[-1] ^ 1]),
        b"",
    ):
        home.temporal_line.write_bytes(false)
        assert refused(line_of, home, plan, key, ELSEWHERE) == "RF-GOVERN-011"


def test_without_a_line_an_enclave_starts_in_sandboxes_only(enrolled):
    home, key = enrolled.start(enrolled.line(ELSEWHERE))
    home.temporal_line.unlink()
    assert line_of(home, enrolled.plan, key, ELSEWHERE) is None
    real = dataclasses.replace(enrolled.plan, sandbox=False)
    # The parent could relay a loopback address as well: none is allowed in the clear here.
    for address in (ELSEWHERE, "127.0.0.1:7233"):
        assert refused(line_of, home, real, key, address) == "RF-TEMP-010"
    outside = dataclasses.replace(real, attestation=None)
    assert line_of(home, outside, key, ELSEWHERE) is None


@pytest.mark.usefixtures("logging_of_its_own")
def test_the_process_goes_by_what_was_signed(enrolled):
    home, _ = enrolled.start(enrolled.line(ELSEWHERE))
    where = Reach("127.0.0.1")
    url = enrolled.operator.site.url
    start = (home.path, "127.0.0.1:7233", None, where)
    assert refused(process.run_operator, *start, insecure_local_kms=url) == "RF-TEMP-010"


async def test_the_process_connects_by_what_was_signed(enrolled, monkeypatch):
    home, _ = enrolled.start(enrolled.line(ELSEWHERE))
    seat = process._Seat.of(home, ELSEWHERE, rejoin=False)
    asked = {}

    async def connecting(address, **how):
        asked.update(how, address=address)
        raise StoppedError

    monkeypatch.setattr(process, "connect", connecting)
    parts = SimpleNamespace(plan=enrolled.plan, seat=seat)
    with pytest.raises(StoppedError):
        await process._work(parts, ELSEWHERE, None)
    assert asked["settings"] == seat.line
    assert asked["settings"]["tls"].server_root_ca_cert


class StoppedError(Exception):
    """The test has seen enough."""


def test_a_parent_that_asks_for_a_certificate_itself_gets_none(enrolled):
    mine = enrolled.csr.read_bytes()
    stranger = Ed25519PrivateKey.generate()
    foreign = signed_request(stranger, NAME)
    for false in (
        foreign,
        mine.partition(b"identity-signature")[0],
        foreign.partition(b"identity-signature")[0] + mine[mine.index(b"identity-signature") :],
        b"",
    ):
        enrolled.csr.write_bytes(false)
        result = enrolled.request()
        assert (result.exit_code, result.stdout, "RF-TEMP-011" in result.stderr) == (1, "", True)


def test_a_false_request_in_the_bucket_is_replaced(operator):
    card = operator.enrolled()
    asked = operator.bucket.get(REQUEST)
    operator.bucket.put(REQUEST, b"false", asked.tag)
    operator.enrolled()
    made = operator.bucket.get(REQUEST).data
    assert checked_request(made, bytes.fromhex(card.identity_key))
    operator.enrolled()
    assert operator.bucket.get(REQUEST).data == made


def test_a_certificate_that_the_enclave_did_not_ask_for_is_not_signed(enrolled):
    words = ("--certificate", enrolled.folder / "parent.pem", "--request", enrolled.csr)
    result = enrolled.sign(ELSEWHERE, *words)
    assert (result.exit_code, "RF-TEMP-011" in result.stderr) == (1, True)
    assert enrolled.sign(ELSEWHERE, *words[:2]).exit_code == 2


def test_what_is_no_authority_is_not_signed(enrolled):
    (enrolled.folder / "none.pem").write_bytes(b"")
    result = enrolled.sign(ELSEWHERE, authority="none")
    assert (result.exit_code, "RF-TEMP-011" in result.stderr) == (1, True)


def test_nobody_else_signs_a_line(enrolled):
    result = enrolled.sign(ELSEWHERE, speaker=enrolled.people.parent / "anna")
    assert (result.exit_code, "RF-PLAN-010" in result.stderr) == (1, True)


def test_the_key_of_a_line_follows_from_the_identity_and_is_in_no_bucket(enrolled):
    _, identity = enrolled.start(enrolled.line(ELSEWHERE))
    key, again = client_key(identity), client_key(identity)
    assert key.private_numbers() == again.private_numbers()
    other = client_key(Ed25519PrivateKey.generate())
    assert key.private_numbers() != other.private_numbers()
    asked = x509.load_pem_x509_csr(enrolled.csr.read_bytes())
    assert asked.public_key() == key.public_key()
    secret = key.private_numbers().private_value.to_bytes(32)
    bucket = enrolled.operator.bucket
    data = b"".join(bucket.get(name).data for name in bucket.keys())  # noqa: SIM118 - no mapping
    assert secret not in data
