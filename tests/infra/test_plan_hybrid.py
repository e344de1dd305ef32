"""Plans are signed with both keys of every identity, and neither signature can be left away."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.plan import create_identity, load_hybrid_identity, load_identity, write_identity
from infra.plan.hybrid import HYBRID_BYTES, HybridIdentity, PublicIdentity, signing_parties
from infra.plan.keys import create_ml_dsa_key
from infra.plan.signing import (
    missing_signers,
    read_signatures,
    sign_plan,
    signature_of,
    verify_signed_plan,
    write_signatures,
)
from mpc_core.protocol.errors import CeremonyError
from tests.support.plans import complete_document, hybrid_parties, identities, speakers

SIGNED = hybrid_parties().signed
PLAN = SIGNED.plan
KEYS = identities(hybrid_parties())
SIGNATURES = read_signatures(PLAN, SIGNED.signatures)
MESSAGE = b"what is signed"


def _refused(signatures):
    with pytest.raises(CeremonyError) as caught:
        verify_signed_plan(SIGNED.toml, signatures)
    assert caught.value.code == "RF-PLAN-009"
    return caught.value


def _file(signatures):
    lines = (
        f"{name} ed25519+ml-dsa-65 {base64.b64encode(data).decode()}\n"
        for name, data in signatures.items()
    )
    return "".join(lines).encode()


def test_the_plan_carries_both_keys_of_every_party():
    parties = signing_parties(PLAN)
    assert list(parties) == ["op-01", "op-02", "op-03", "op-04", "coordinator"]
    for name, party in parties.items():
        assert party == KEYS[name].public
        assert (len(party.ed25519), len(party.ml_dsa)) == (32, 1952)


def test_every_signature_is_by_both_keys():
    assert _file(SIGNATURES) == SIGNED.signatures
    assert {len(signature) for signature in SIGNATURES.values()} == {HYBRID_BYTES}


@pytest.mark.parametrize(
    "half",
    [
        lambda good, bad: good[:64],
        lambda good, bad: good[64:],
        lambda good, bad: good[:64] + bad[64:],
        lambda good, bad: bad[:64] + good[64:],
        lambda good, bad: good[:64] + bytes(3309),
        lambda good, bad: bytes(64) + good[64:],
        lambda good, bad: good + b"\0",
    ],
)
def test_one_valid_signature_is_not_enough(half):
    other = HybridIdentity(create_identity(), create_ml_dsa_key())
    good, bad = SIGNATURES["op-02"], signature_of(PLAN, other)
    assert _refused(_file({**SIGNATURES, "op-02": half(good, bad)})).operator == "op-02"


def test_a_plan_with_both_keys_cannot_be_signed_with_one():
    known = KEYS | speakers()
    with pytest.raises(CeremonyError, match="RF-PLAN-009"):
        sign_plan(complete_document(), {name: each.ed25519 for name, each in known.items()})


def test_an_older_line_without_the_second_signature_is_refused():
    line = b"op-01 ed25519 " + base64.b64encode(SIGNATURES["op-01"][:64]) + b"\n"
    _refused(line + SIGNED.signatures.partition(b"\n")[2])


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_changed_byte_of_hybrid_signatures_is_refused(data):
    changed = bytearray(SIGNED.signatures)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    _refused(bytes(changed))


@given(st.integers(0, HYBRID_BYTES - 1), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_hybrid_signature_with_any_changed_byte_does_not_verify(at, flip):
    changed = bytearray(SIGNATURES["op-01"])
    changed[at] ^= flip
    message = b"ringforge/plan/v1\0" + PLAN.hash
    assert KEYS["op-01"].public.verifies(SIGNATURES["op-01"], message)
    assert not KEYS["op-01"].public.verifies(bytes(changed), message)


def test_a_signature_is_for_one_message_and_one_key():
    signature = KEYS["op-01"].sign(MESSAGE)
    assert KEYS["op-01"].public.verifies(signature, MESSAGE)
    assert not KEYS["op-01"].public.verifies(signature, MESSAGE + b".")
    assert not KEYS["op-02"].public.verifies(signature, MESSAGE)
    assert not PublicIdentity(KEYS["op-01"].public.ed25519).verifies(signature, MESSAGE)
    assert not PublicIdentity(bytes(32), bytes(1952)).verifies(signature, MESSAGE)
    assert not PublicIdentity(bytes(31), bytes(1951)).verifies(signature, MESSAGE)


def test_signatures_are_gathered_one_after_another():
    some = {name: SIGNATURES[name] for name in ("op-03", "coordinator")}
    data = write_signatures(PLAN, some)
    assert read_signatures(PLAN, data) == some
    assert missing_signers(PLAN, some) == ("op-01", "op-02", "op-04")
    assert _refused(data).operator == "op-01"
    assert read_signatures(PLAN, b"") == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[1], lines[0]],
        lambda lines: [lines[0], lines[0]],
        lambda lines: [lines[0], b"\n"],
        lambda lines: [lines[0], lines[1][:-1]],
        lambda lines: [b"nobody" + lines[0][5:]],
        lambda lines: [b"op-011" + lines[0][5:]],
    ],
)
def test_gathered_signatures_have_one_order_and_one_notation(change):
    lines = SIGNED.signatures.splitlines(keepends=True)
    with pytest.raises(CeremonyError, match="RF-PLAN-009"):
        read_signatures(PLAN, b"".join(change(lines)))


def test_a_vault_holds_both_keys_and_gives_them_for_the_plan_that_names_them(tmp_path):
    own = KEYS["op-01"]
    write_identity(tmp_path, own.ed25519, own.ml_dsa)
    assert load_hybrid_identity(tmp_path, own.public, "op-01").public == own.public
    assert load_identity(tmp_path, own.public.ed25519, "op-01")
    classical = PublicIdentity(own.public.ed25519)
    assert load_hybrid_identity(tmp_path, classical, "op-01").public == classical
    for other in (
        PublicIdentity(own.public.ed25519, KEYS["op-02"].public.ml_dsa),
        PublicIdentity(KEYS["op-02"].public.ed25519, own.public.ml_dsa),
    ):
        with pytest.raises(CeremonyError, match="RF-PLAN-010"):
            load_hybrid_identity(tmp_path, other, "op-01")


def test_a_vault_without_the_second_key_signs_no_plan_that_names_one(tmp_path):
    own = KEYS["op-01"]
    write_identity(tmp_path, own.ed25519)
    with pytest.raises(CeremonyError, match="RF-PLAN-010") as caught:
        load_hybrid_identity(tmp_path, own.public, "op-01")
    assert caught.value.found == "no second key"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem + b"x",
        lambda pem: pem + pem,
        lambda pem: pem.partition(b"-----END PRIVATE KEY-----\n")[2],
        lambda pem: pem[:-5],
    ],
)
def test_a_file_with_anything_else_than_the_two_keys_is_no_identity(tmp_path, spoil):
    own = KEYS["op-01"]
    write_identity(tmp_path, own.ed25519, own.ml_dsa)
    file = tmp_path / "identity.key"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(CeremonyError, match="RF-PLAN-010"):
        load_hybrid_identity(tmp_path, own.public, "op-01")
