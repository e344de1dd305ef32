"""Secrets that a member of a set gets back from another one.

Two kinds of secrets, each named by a *purpose*: "strings/<i>/<r>", what operator i contributed in
round r, and "children/<stage>", the keys of a stage. An answer holds the secrets of all sets that
contain both asker and giver and is sealed to a key that the asker made for it. The asker checks
every secret against the log, so a false one is only one that did not come.

Who asks with a key that a rejoin entry names needs no proof: people vouched for it. Who asks on its
own account proves that it still has its vault, by a code made with the children of another stage.

Source: PROTOCOL.md, "Recovery and destruction".
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpc_core.sharing.sealing import fields, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpc_core.protocol.quorum import AccessSet

__all__ = [
    "Question",
    "children_of",
    "open_answer",
    "proof_of_children",
    "seal_answer",
    "strings_of",
]

SECRET_BYTES = 32
MISSING = bytes(SECRET_BYTES)
"""Stands for a secret that the giver does not hold: it fits no commitment and no reference."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an operator asks another one for; the asker signs it.

    Attributes:
        asker: who asks.
        giver: who is asked.
        purpose: which secrets.
        public_key: KEM key to which the answer is sealed.
        proved_by: the stage by whose children the asker proves that it has its vault; "" if it
            does not.
        proof: the code made with them.
    """

    asker: int
    giver: int
    purpose: str
    public_key: bytes
    proved_by: str = ""
    proof: bytes = b""


def strings_of(contributor: int, round_number: int) -> str:
    """Return the purpose that names the strings of a contribution."""
    return f"strings/{contributor}/{round_number}"


def children_of(stage: str) -> str:
    """Return the purpose that names the keys of a stage."""
    return f"children/{stage}"


def seal_answer(
    plan_hash: bytes, question: Question, sets: Sequence[AccessSet], held: Mapping[AccessSet, bytes]
) -> bytes:
    """Seal the secrets that a question asks for.

    Args:
        plan_hash: hash of the signed plan.
        question: the question.
        sets: the sets that contain both and have such a secret, in canonical order.
        held: the secrets that the giver holds, by set; others are left out.

    Returns:
        The sealed secrets; no bytes when the asker's key is unusable.

    Security: opens for the asker's key only, and for this plan, pair, purpose and list of sets.
        Every set of the list contains the asker, which is to know these secrets anyway.
    """
    plaintext = b"".join(held.get(members) or MISSING for members in sets)
    return seal(question.public_key, plaintext, _info(plan_hash, question, sets))


def open_answer(
    plan_hash: bytes, question: Question, sets: Sequence[AccessSet], sealed: bytes, seed: bytes
) -> dict[AccessSet, bytes]:
    """Open an answer; nothing that cannot be opened is told from an empty one.

    Args:
        plan_hash: hash of the signed plan.
        question: what was asked.
        sets: the sets that contain both and have such a secret, in canonical order.
        sealed: the answer.
        seed: the private KEM key that belongs to the question's.

    Returns:
        A secret for each set, not checked against anything yet.
    """
    plaintext = open_sealed(seed, sealed, _info(plan_hash, question, sets))
    if plaintext is None or len(plaintext) != SECRET_BYTES * len(sets):
        return {}
    return {
        members: plaintext[SECRET_BYTES * place : SECRET_BYTES * (place + 1)]
        for place, members in enumerate(sets)
    }


def proof_of_children(plan_hash: bytes, question: Question, shared: Sequence[bytes]) -> bytes:
    """Return the code by which a question proves possession of the children of another stage.

    Args:
        plan_hash: hash of the signed plan.
        question: the question; its own proof is left out.
        shared: children of the stage `proved_by` for all sets that contain both, in canonical
            order.

    Returns:
        32 bytes.

    Security: t corrupted operators together with somebody who stole the asker's identity key miss
        the child of one of these sets if the giver is honest, and so cannot make the code.
    """
    key = HKDF(
        SHA256(),
        SECRET_BYTES,
        salt=None,
        info=fields(b"ringforge/recovery-proof/v1", plan_hash, question.proved_by.encode()),
    ).derive(fields(*shared))
    message = fields(
        bytes([question.asker]),
        bytes([question.giver]),
        question.purpose.encode(),
        question.public_key,
    )
    return hmac.digest(key, message, "sha256")


def _info(plan_hash: bytes, question: Question, sets: Sequence[AccessSet]) -> bytes:
    return fields(
        b"ringforge/recovery/v1",
        plan_hash,
        bytes([question.giver]),
        bytes([question.asker]),
        question.purpose.encode(),
        *(bytes(members) for members in sets),
    )
