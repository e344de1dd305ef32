"""Sealed contributions and stage keys (PROTOCOL.md, "PRSS keys")."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from itertools import pairwise

import pytest

from mpc_core.protocol.quorum import Quorum, access_sets
from mpc_core.protocol.setup import contributors, sets_contributed_by, sets_of
from mpc_core.sharing import sets
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import (
    Rejected,
    commitment,
    contribute,
    open_contribution,
    reference,
    references,
    set_key,
    stage_keys,
)

PLAN = hashlib.sha256(b"plan").digest()
QUORUM = Quorum(7, 2)
ENTRY_BYTES = 262_144


def draw(*parts, length=32):
    return hashlib.shake_256(repr(parts).encode()).digest(length)


def seeds(quorum=QUORUM):
    return {i: draw("kem", i, length=KEM_SEED_BYTES) for i in quorum.everyone}


def public_keys(quorum=QUORUM):
    return {i: kem_public_key(seed) for i, seed in seeds(quorum).items()}


def strings_of(contributor, quorum=QUORUM):
    return {
        members: draw("string", contributor, members)
        for members in sets_contributed_by(contributor, quorum)
    }


@pytest.fixture(scope="module")
def sealed():
    return contribute(PLAN, 1, strings_of(1), public_keys())


def open_as(receiver, sealed, **changes):
    facts = {
        "plan_hash": PLAN,
        "contributor": 1,
        "receiver": receiver,
        "sets": sets_contributed_by(1, QUORUM),
        "sealed": sealed,
        "seed": seeds()[receiver],
    } | changes
    return open_contribution(**facts)


@pytest.mark.parametrize("receiver", [2, 3, 4, 5, 6, 7])
def test_a_receiver_gets_the_strings_of_exactly_the_sets_of_both(sealed, receiver):
    expected = {a: s for a, s in strings_of(1).items() if receiver in a}
    assert open_as(receiver, sealed) == expected


def test_a_ciphertext_opens_only_for_its_plan_receiver_contributor_and_sets(sealed):
    ciphertexts = dict(sealed.ciphertexts)
    moved = dataclasses.replace(sealed, ciphertexts=((3, ciphertexts[2]),))
    own = sets_contributed_by(1, QUORUM)
    refused = Rejected("does not decrypt")
    assert open_as(2, sealed, plan_hash=bytes(32)) == refused
    assert open_as(2, sealed, contributor=3) == refused
    assert open_as(2, sealed, sets=own[1:]) == refused
    assert open_as(3, moved, seed=seeds()[2]) == refused
    assert open_as(2, sealed, seed=seeds()[3]) == refused


@pytest.mark.parametrize("place", [0, 1100, -1])
def test_a_changed_byte_of_a_ciphertext_is_a_reason_to_complain(sealed, place):
    changed = bytearray(dict(sealed.ciphertexts)[2])
    changed[place] ^= 1
    forged = dataclasses.replace(sealed, ciphertexts=((2, bytes(changed)),))
    assert open_as(2, forged) == Rejected("does not decrypt")


@pytest.mark.parametrize("ciphertext", [b"", b"short"])
def test_a_ciphertext_that_is_none_is_a_reason_to_complain(sealed, ciphertext):
    forged = dataclasses.replace(sealed, ciphertexts=((2, ciphertext),))
    assert open_as(2, forged) == Rejected("does not decrypt")


def test_a_string_that_misses_its_commitment_is_a_reason_to_complain(sealed):
    lie = contribute(PLAN, 1, {a: draw("lie", a) for a in strings_of(1)}, public_keys())
    forged = dataclasses.replace(sealed, ciphertexts=lie.ciphertexts)
    assert open_as(2, forged) == Rejected("misses a commitment")


def test_an_unusable_kem_key_of_one_does_not_hold_up_the_others():
    for bad in (b"", bytes(1216), b"\xff" * 1216, b"\xff" * 1184):
        keys = public_keys() | {5: bad}
        sealed = contribute(PLAN, 1, strings_of(1), keys)
        assert isinstance(open_as(2, sealed), dict)
        assert open_as(5, sealed) == Rejected("does not decrypt")


def test_a_commitment_binds_plan_set_contributor_and_string():
    members, other = access_sets(QUORUM)[:2]
    seen = {
        commitment(PLAN, members, 1, draw("s")),
        commitment(bytes(32), members, 1, draw("s")),
        commitment(PLAN, other, 1, draw("s")),
        commitment(PLAN, members, 2, draw("s")),
        commitment(PLAN, members, 1, draw("t")),
    }
    assert len(seen) == 5


def test_all_members_derive_the_same_key_and_it_depends_on_every_contribution():
    members = access_sets(QUORUM)[5]
    chosen = contributors(members, QUORUM)
    sealed = {i: contribute(PLAN, i, strings_of(i), public_keys()) for i in chosen}

    def key_at(at):
        strings = [
            strings_of(i)[members]
            if i == at
            else open_contribution(
                PLAN,
                i,
                at,
                sets=sets_contributed_by(i, QUORUM),
                sealed=sealed[i],
                seed=seeds()[at],
            )[members]
            for i in chosen
        ]
        return set_key(PLAN, members, strings)

    keys = [key_at(at) for at in members]
    assert all(one == other for one, other in pairwise(keys))
    strings = [strings_of(i)[members] for i in chosen]
    variants = {set_key(PLAN, members, strings), set_key(PLAN, members, strings[::-1])}
    variants |= {
        set_key(PLAN, members, [*strings[:place], None, *strings[place + 1 :]])
        for place in range(len(strings))
    }
    variants |= {
        set_key(PLAN, access_sets(QUORUM)[6], strings),
        set_key(bytes(32), members, strings),
    }
    assert len(variants) == 4 + len(strings)


def test_a_voided_string_enters_as_zeros_so_a_missing_one_is_another_key():
    members = access_sets(QUORUM)[0]
    string = draw("s")
    assert set_key(PLAN, members, [None, string]) == set_key(PLAN, members, [bytes(32), string])
    assert set_key(PLAN, members, [None, string]) != set_key(PLAN, members, [string])


def test_stage_keys_and_references_are_all_different():
    children = {members: stage_keys(PLAN, members, draw("key")) for members in sets_of(1, QUORUM)}
    values = [child for stages in children.values() for child in stages.values()]
    values += [*references(PLAN, children), draw("key")]
    assert len(set(values)) == len(values)
    first = sets_of(1, QUORUM)[0]
    assert references(PLAN, children)[1] == reference(PLAN, first, "S", children[first]["S"])


def hkdf(material, *info):
    """RFC 5869 for one block, no salt."""
    extracted = hmac.digest(bytes(32), material, "sha256")
    return hmac.digest(extracted, encode(*info) + b"\x01", "sha256")


def encode(*fields):
    parts = [len(fields).to_bytes(4, "big")]
    for part in fields:
        parts += [len(part).to_bytes(4, "big"), part]
    return b"".join(parts)


def test_keys_are_hkdf_sha256_of_what_the_protocol_lists():
    strings = [bytes(32), b"\x01" * 32]
    key = set_key(PLAN, (1, 2, 3), [None, strings[1]])
    assert key == hkdf(encode(*strings), b"ringforge/set-key/v1", PLAN, b"\1\2\3")
    child = hkdf(key, b"ringforge/stage-key/v1", PLAN, b"\1\2\3", b"M")
    assert stage_keys(PLAN, (1, 2, 3), key)["M"] == child
    expected = hashlib.sha256(encode(b"ref", PLAN, b"\1\2\3", b"M", child)).digest()
    assert reference(PLAN, (1, 2, 3), "M", child) == expected


def test_protocol_and_sharing_number_the_sets_alike():
    for n, t in ((4, 1), (7, 2), (13, 4)):
        assert tuple(sets.access_sets(n, t)) == access_sets(Quorum(n, t))


def test_at_thirteen_operators_contribution_and_acknowledgement_fit_an_entry():
    quorum = Quorum(13, 4)
    sizes = []
    for i in quorum.everyone:
        sealed = contribute(PLAN, i, strings_of(i, quorum), public_keys(quorum))
        sizes.append(
            sum(len(c) for c in sealed.commitments) + sum(len(c) for _, c in sealed.ciphertexts)
        )
    assert max(sizes) < 100_000
    assert 4 * 32 * len(sets_of(1, quorum)) == 63_360
    assert max(sizes) + 4096 < ENTRY_BYTES
