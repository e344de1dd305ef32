"""The keys of the PRSS: contributions sealed to their receivers, and the stage keys made of them.

t+1 members of every set A contribute a random string each; a contributor publishes a commitment to
every string and, for every peer, one HPKE ciphertext with the strings for the sets of both. A
string counts only if it matches its commitment, so all members of A agree on k_A. One honest
contribution makes k_A random to everybody outside A. The KEM is hybrid (ML-KEM-768 and X25519): a
transcript recorded today must stay useless for decades.

Which contributions count is decided by `mpc_core.protocol.setup`. Source: PROTOCOL.md, "PRSS keys";
RFC 9180 (HPKE).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpc_core.protocol.context import STAGES
from mpc_core.sharing.sealing import fields, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpc_core.protocol.quorum import AccessSet

__all__ = [
    "STRING_BYTES",
    "Rejected",
    "SealedContribution",
    "commitment",
    "contribute",
    "is_committed",
    "open_contribution",
    "reference",
    "references",
    "set_key",
    "stage_keys",
]

STRING_BYTES = 32
"""Length of a contributed string, of k_A, and of its children."""

ZERO_STRING = bytes(STRING_BYTES)


@dataclass(frozen=True, slots=True)
class SealedContribution:
    """What a contributor puts on the log, in the fields of `entries.Contribution`."""

    commitments: tuple[bytes, ...]
    ciphertexts: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a receiver complains: "does not decrypt" or "misses a commitment"."""

    reason: str


def commitment(plan_hash: bytes, members: AccessSet, contributor: int, string: bytes) -> bytes:
    """Return SHA-256("c", plan hash, A, i, string)."""
    return hashlib.sha256(
        fields(b"c", plan_hash, bytes(members), bytes([contributor]), string)
    ).digest()


def contribute(
    plan_hash: bytes,
    contributor: int,
    strings: Mapping[AccessSet, bytes],
    public_keys: Mapping[int, bytes],
) -> SealedContribution:
    """Commit to an operator's strings and seal them to the other members.

    Args:
        plan_hash: hash of the signed plan.
        contributor: the operator i.
        strings: a fresh random string for every set the contributor was asked for.
        public_keys: KEM key of every operator that has one.

    Returns:
        Commitments in canonical order of the sets, and a ciphertext for every other member that
        has a KEM key.

    Security: a ciphertext opens only for its receiver, plan, contributor and list of sets. A peer
        whose KEM key is unusable gets an empty ciphertext: it cannot hold up the others, and has
        to ask members of its sets for the strings.
    """
    sets = sorted(strings)
    members_of_sets = {member for members in sets for member in members}
    peers = sorted((members_of_sets & public_keys.keys()) - {contributor})
    return SealedContribution(
        tuple(commitment(plan_hash, members, contributor, strings[members]) for members in sets),
        tuple(
            (peer, _seal(plan_hash, contributor, peer, strings, public_keys[peer]))
            for peer in peers
        ),
    )


def open_contribution(
    plan_hash: bytes,
    contributor: int,
    receiver: int,
    *,
    sets: Sequence[AccessSet],
    sealed: SealedContribution,
    seed: bytes,
) -> dict[AccessSet, bytes] | Rejected:
    """Open what a contributor sealed to a receiver and check it against the commitments.

    Args:
        plan_hash: hash of the signed plan.
        contributor: the operator i that contributed.
        receiver: the operator j that opens.
        sets: the sets i was asked for, in canonical order.
        sealed: the contribution.
        seed: the receiver's private KEM key.

    Returns:
        The string of every set that contains both, or the reason to complain about i.
    """
    shared = [members for members in sets if receiver in members]
    ciphertext = dict(sealed.ciphertexts).get(receiver, b"")
    info = _info(plan_hash, contributor, receiver, shared)
    plaintext = open_sealed(seed, ciphertext, info)
    if plaintext is None or len(plaintext) != STRING_BYTES * len(shared):
        return Rejected("does not decrypt")
    strings = {
        members: plaintext[STRING_BYTES * place : STRING_BYTES * (place + 1)]
        for place, members in enumerate(shared)
    }
    committed = dict(zip(sets, sealed.commitments, strict=True))
    honest = all(
        is_committed(plan_hash, members, contributor, string, committed[members])
        for members, string in strings.items()
    )
    return strings if honest else Rejected("misses a commitment")


def is_committed(
    plan_hash: bytes, members: AccessSet, contributor: int, string: bytes, committed: bytes
) -> bool:
    """Tell whether a string is the one that its contributor committed to."""
    return hmac.compare_digest(commitment(plan_hash, members, contributor, string), committed)


def set_key(plan_hash: bytes, members: AccessSet, strings: Sequence[bytes | None]) -> bytes:
    """Return k_A = HKDF of the contributions in order, bound to A.

    Args:
        plan_hash: hash of the signed plan.
        members: A.
        strings: contributions in the order of `protocol.setup.key_sources`; None for one that a
            complaint turned into the all-zero string.

    Returns:
        32 bytes.

    Security: uniform to everybody outside A as soon as one string is honest and secret.
    """
    assert strings, "a set without a contribution never gets a key"
    material = fields(*(ZERO_STRING if string is None else string for string in strings))
    return _derive(material, fields(b"ringforge/set-key/v1", plan_hash, bytes(members)))


def stage_keys(plan_hash: bytes, members: AccessSet, key: bytes) -> dict[str, bytes]:
    """Return the one-way children of k_A for the stages N, S, M, O."""
    return {
        stage: _derive(
            key, fields(b"ringforge/stage-key/v1", plan_hash, bytes(members), stage.encode())
        )
        for stage in STAGES
    }


def reference(plan_hash: bytes, members: AccessSet, stage: str, child: bytes) -> bytes:
    """Return SHA-256("ref", plan hash, A, stage, child): what an acknowledgement lists."""
    return hashlib.sha256(fields(b"ref", plan_hash, bytes(members), stage.encode(), child)).digest()


def references(
    plan_hash: bytes, children: Mapping[AccessSet, Mapping[str, bytes]]
) -> tuple[bytes, ...]:
    """Return the references of all an operator's stage keys, in the order of an acknowledgement."""
    return tuple(
        reference(plan_hash, members, stage, children[members][stage])
        for members in sorted(children)
        for stage in STAGES
    )


def _seal(
    plan_hash: bytes,
    contributor: int,
    peer: int,
    strings: Mapping[AccessSet, bytes],
    public_key: bytes,
) -> bytes:
    shared = [members for members in sorted(strings) if peer in members]
    plaintext = b"".join(strings[members] for members in shared)
    return seal(public_key, plaintext, _info(plan_hash, contributor, peer, shared))


def _info(plan_hash: bytes, contributor: int, peer: int, sets: Sequence[AccessSet]) -> bytes:
    return fields(
        b"ringforge/contribution/v1",
        plan_hash,
        bytes([contributor]),
        bytes([peer]),
        *(bytes(members) for members in sets),
    )


def _derive(material: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=STRING_BYTES, salt=None, info=info).derive(material)
