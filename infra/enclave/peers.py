"""What the document of an operator must prove to the other operators of its plan.

The same function judges a document that a peer shows now, and one that stands on the log: there it
is read at its own time, so that everybody who reads the log, whenever, comes to the same verdict.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

from infra.enclave.binding import Binding
from infra.enclave.document import read_document
from infra.enclave.measurement import Measurement
from infra.enclave.questions import nonce_for
from infra.enclave.refusals import attestation_error
from infra.enclave.roots import root_of
from infra.enclave.verification import Expectation, verify_document
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.enclave.document import Document
    from mpc_core.protocol.entries import Attestation
    from mpc_core.protocol.plan import Plan

__all__ = ["approved_by", "check_posted", "examiner_of", "verify_peer"]


def approved_by(plan: Plan) -> Measurement:
    """Return the software that a plan with attestation approves."""
    assert plan.attestation is not None
    return Measurement(dict(plan.attestation.registers))


def verify_peer(
    plan: Plan, binding: Binding, document: bytes, now: dt.datetime | None = None
) -> Document:
    """Return the document that these bytes are, if it proves an operator's enclave.

    Args:
        plan: the signed plan, which asks for attestation.
        binding: whose enclave it should be, with which keys.
        document: what was shown.
        now: the time at which it must be young; None for a document on the log, of any age.

    Raises:
        CeremonyError: RF-ATTEST-001 to RF-ATTEST-008, with the operator's name.

    Security: nothing of a peer is trusted but its identity key, which the plan names and which
        signed the certificate or the entry that carries the document.
    """
    rules = plan.attestation
    assert rules is not None
    try:
        expected = Expectation(
            approved_by(plan),
            nonce_for(plan, binding.operator),
            binding.user_data,
            operator=binding.operator,
            maximal_age=dt.timedelta(seconds=rules.document_seconds),
        )
        at = read_document(document).time if now is None else now
        return verify_document(document, root_of(plan, document), expected, at)
    except CeremonyError as error:
        raise _named(error, binding.operator) from error


def check_posted(plan: Plan, operator: int, entry: Attestation) -> Document:
    """Return the document of an entry of the log, if it proves what it is there for.

    Raises:
        CeremonyError: as `verify_peer`.
    """
    binding = Binding.of(plan, plan.name_of(operator), entry.tls_key, entry.kem_key)
    return verify_peer(plan, binding, entry.document)


def examiner_of(plan: Plan) -> Callable[[int, Attestation], str]:
    """Return what judges the documents on the log: the code of the refusal, "" for a right one.

    The verdict is a function of plan and entry, so it is made once for each.
    """

    @lru_cache(maxsize=16 * plan.count)
    def examine(operator: int, entry: Attestation) -> str:
        try:
            check_posted(plan, operator, entry)
        except CeremonyError as error:
            return error.code
        return ""

    return examine


def _named(error: CeremonyError, operator: str) -> CeremonyError:
    """Return the same refusal with the name of the operator that it is about."""
    return attestation_error(
        error.code,
        error.subject,
        error.expected,
        error.found,
        error.next_step,
        operator=operator,
    )
