"""Signatures under a plan, one after another: who signs, who is missing, what others sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.files import write_atomic
from infra.governance.refusals import governance_error
from infra.homes import Home
from infra.plan.document import parse_plan
from infra.plan.hybrid import signing_parties
from infra.plan.keys import load_hybrid_identity, read_identity
from infra.plan.signing import (
    PLAN_FILE,
    SIGNATURE_FILE,
    missing_signers,
    read_file,
    read_signatures,
    signature_of,
    write_signatures,
)
from infra.plan.words import bytes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.plan.document import PlanDocument
    from mpc_core.protocol.plan import Plan

__all__ = ["Draft", "check_typed", "open_draft", "sign"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that some have signed.

    Attributes:
        path: its plan.toml; plan.sig lies beside it.
        document: what it says.
        plan: the same, for the protocol.
        signatures: the valid signatures so far, by name.
    """

    path: Path
    document: PlanDocument
    plan: Plan
    signatures: Mapping[str, bytes]

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has yet to sign."""
        return missing_signers(self.plan, self.signatures)

    def with_signatures(self, more: Mapping[str, bytes]) -> Draft:
        """Return the draft with these signatures too, after writing plan.sig.

        Raises:
            CeremonyError: RF-PLAN-009 if one is not valid, RF-DISK-* if the disk refuses.
        """
        data = write_signatures(self.plan, {**self.signatures, **more})
        signatures = read_signatures(self.plan, data)
        write_atomic(self.path.with_name(SIGNATURE_FILE), data)
        return Draft(self.path, self.document, self.plan, signatures)


def open_draft(path: Path) -> Draft:
    """Read a plan and the signatures beside it.

    Args:
        path: plan.toml, or the folder that it lies in.

    Raises:
        CeremonyError: RF-PLAN-* if the plan or a signature is not valid.
    """
    file = path / PLAN_FILE if path.is_dir() else path
    document = parse_plan(read_file(file))
    beside = file.with_name(SIGNATURE_FILE)
    plan = document.to_plan()
    signatures = read_signatures(plan, read_file(beside)) if beside.exists() else {}
    return Draft(file, document, plan, signatures)


def sign(draft: Draft, home: Path) -> tuple[str, Draft]:
    """Sign a plan with the identity of a home; return as whom, and the draft with the signature.

    Raises:
        CeremonyError: RF-GOVERN-002 if the plan does not name that identity, RF-PLAN-010 if the
            home lacks a key of it.
    """
    vault = Home(home).vault
    found = read_identity(vault, home.resolve().name).public.ed25519
    parties = signing_parties(draft.plan)
    name = next((name for name, party in parties.items() if party.ed25519 == found), None)
    if name is None:
        raise governance_error(
            "RF-GOVERN-002",
            "the plan does not name this identity among those who sign it",
            "a plan with this identity key",
            f"no party with the key {found.hex()}",
            "give the home that the plan was made for, or ask for a plan that names this identity",
            effect="nothing was signed",
        )
    identity = load_hybrid_identity(vault, parties[name], name)
    return name, draft.with_signatures({name: signature_of(draft.plan, identity)})


def check_typed(document: PlanDocument, typed: str) -> None:
    """Check that somebody typed the plan's hash, in hex or in words.

    Raises:
        CeremonyError: RF-GOVERN-003 if it is another one.
    """
    given = bytes_of(typed) or _from_hex(typed)
    if given != document.hash:
        raise governance_error(
            "RF-GOVERN-003",
            "what was typed is not the hash of this plan",
            "the 32 words or the 64 hex digits, as the other operators read them",
            f"{len(typed.split())} words that are another hash or none",
            "read the words to the other operators; if theirs differ, they have another plan",
            effect="nothing was signed",
        )


def _from_hex(typed: str) -> bytes | None:
    try:
        return bytes.fromhex(typed)
    except ValueError:
        return None
