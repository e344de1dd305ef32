"""The enclave that an operator's process runs in, as far as its plan asks for one.

A plan with a measurement asks for it, and no switch takes that back: the process has a security
module, or it does not start. A sandbox's plan may say that software stands in for the module.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.enclave.binding import Binding
from infra.enclave.chain import aws_root
from infra.enclave.insecure_software import (
    SOFTWARE_ENCLAVE,
    Authority,
    InsecureSoftwareModule,
    measure_installed,
)
from infra.enclave.nitro import NitroModule
from infra.enclave.questions import nonce_for
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from infra.enclave.device import SecurityModule
    from infra.homes import Home
    from mpc_core.protocol.plan import Plan

__all__ = ["Enclave", "enclave_of"]


@dataclass(frozen=True, slots=True)
class Enclave:
    """What proves to the others which software an operator runs.

    Attributes:
        plan: the signed plan, which asks for attestation.
        operator: the operator's name in it.
        module: signs documents.
        root: certificate to which the documents lead.
        clock: the time, with its time zone.
    """

    plan: Plan
    operator: str
    module: SecurityModule
    root: Certificate
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)

    def document(self, tls_key: bytes, kem_key: bytes = b"") -> bytes:
        """Return a document that binds these keys to this operator and its plan.

        Args:
            tls_key: DER of the public key of a TLS certificate.
            kem_key: the public KEM key, if there is one.

        Raises:
            CeremonyError: RF-ATTEST-010 if the module refuses.

        Security: whoever verifies it knows that software with these registers asked for it; that
            such software keeps the private halves to itself is what its release is examined for.
        """
        binding = Binding.of(self.plan, self.operator, tls_key, kem_key)
        nonce = nonce_for(self.plan, self.operator)
        return self.module.attest(user_data=binding.user_data, nonce=nonce, public_key=None)


def enclave_of(home: Home, plan: Plan) -> Enclave | None:
    """Return the enclave of an operator's process, or None if the plan asks for none.

    Args:
        home: the operator's home; in a sandbox it may hold a test root.
        plan: the signed plan.

    Raises:
        CeremonyError: RF-ATTEST-010 if there is no device, RF-ATTEST-013 if a sandbox's home holds
            no test root.
    """
    if plan.attestation is None:
        return None
    if SOFTWARE_ENCLAVE not in plan.insecure:
        return Enclave(plan, home.name, NitroModule.open(), aws_root())
    try:
        root = Authority.load(home.insecure_enclave)
    except (FileNotFoundError, ValueError) as error:
        raise attestation_error(
            "RF-ATTEST-013",
            "the plan asks for an enclave, and there is none",
            f"{home.insecure_enclave} with the sandbox's test root",
            type(error).__name__,
            "make the sandbox anew with --enclave software",
            effect="nothing was started: the others would refuse this operator",
            operator=home.name,
        ) from error
    module = InsecureSoftwareModule(plan, root, measure_installed())
    return Enclave(plan, home.name, module, root.certificate)
