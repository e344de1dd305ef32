"""The root under which documents count: AWS's, or the test root that a sandbox's plan names.

It follows from the plan alone, so whoever reads documents later, offline, needs nothing besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from infra.enclave.chain import aws_root
from infra.enclave.document import read_document
from infra.enclave.insecure_software import check_software_allowed, key_digest
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["root_of"]


def root_of(plan: Plan, document: bytes) -> x509.Certificate:
    """Return the root certificate to which a document must lead under a plan.

    Args:
        plan: the signed plan, which asks for attestation.
        document: an attestation document; a sandbox's test root stands in it.

    Raises:
        CeremonyError: RF-ATTEST-001 if it is no document, RF-ATTEST-002 if it is one under another
            test root than the plan's, RF-ATTEST-011 if the plan allows no test root.

    Security: the test root is taken from the document only if it has the key whose digest all
        operators signed; `chain` then demands that every signature leads to that key.
    """
    assert plan.attestation is not None
    pinned = plan.attestation.insecure_root
    if not pinned:
        return aws_root()
    check_software_allowed(plan)
    first = read_document(document).cabundle[0]
    try:
        root = x509.load_der_x509_certificate(first)
        found = key_digest(root)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise attestation_error(
            "RF-ATTEST-002",
            "the certificates of the attestation document do not lead to the plan's test root",
            "the root's certificate first",
            "a certificate that cannot be read",
            "start the operator in the sandbox whose plan this is",
        ) from error
    if found != pinned:
        raise attestation_error(
            "RF-ATTEST-002",
            "the certificates of the attestation document do not lead to the plan's test root",
            f"a root with the key {pinned.hex()}",
            f"a root with the key {found.hex()}",
            "start the operator in the sandbox whose plan this is",
        )
    return root
