"""The policy of an operator's key: data keys go to the measured image, and nobody changes that.

Two things make it hold. A condition on an allowing statement does not stop a role that another
statement or a grant allows, so each register also has a statement that denies everybody whose
document does not have it, or who has no document. And nobody may change the policy, make grants,
re-encrypt or take a deletion back, the account's administrators included; what is left for them is
to destroy the key (ADR "The policy of a sealing key cannot be changed").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from infra.enclave.measurement import Measurement

__all__ = ["CONDITION_KEY", "KeyHolder", "key_policy"]

CONDITION_KEY = "kms:RecipientAttestation:PCR"
ARN = re.compile(r"arn:aws[a-z-]{0,16}:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,512}")

WITH_DOCUMENT = ["kms:Decrypt", "kms:GenerateDataKey"]
NEVER = [
    "kms:CancelKeyDeletion",
    "kms:CreateGrant",
    "kms:DeriveSharedSecret",
    "kms:Encrypt",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:PutKeyPolicy",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:ReplicateKey",
]
TO_LOOK_AND_DESTROY = [
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who has to do with an operator's key.

    Attributes:
        role: ARN of the role of the instance that carries the enclave.
        administrator: ARN of the role or user that creates and destroys the key.

    Raises:
        CeremonyError: RF-KMS-006 if one is no ARN of a role or user, or both are the same.
    """

    role: str
    administrator: str

    def __post_init__(self) -> None:
        for arn in (self.role, self.administrator):
            if not ARN.fullmatch(arn):
                raise _no_holder("an ARN of a role or user, without a wildcard", repr(arn[:80]))
        if self.role == self.administrator:
            raise _no_holder("an administrator that is not the enclave's role", "the same ARN")


def key_policy(measurement: Measurement, operator: str, holder: KeyHolder) -> dict[str, object]:
    """Return the policy document of an operator's key.

    Args:
        measurement: of the image that may have data keys.
        operator: whose key it is.
        holder: the role and the administrator.

    Security: AWS can change it (its support resets policies of locked keys after identification),
        and holds the key. Nobody else gets a data key for another image.
    """
    registers = {
        f"{CONDITION_KEY}{index}": value.hex() for index, value in sorted(measurement.pcrs.items())
    }
    opened: dict[str, object] = {
        "Sid": "TheMeasuredImage",
        "Effect": "Allow",
        "Principal": {"AWS": holder.role},
        "Action": WITH_DOCUMENT,
        "Resource": "*",
        "Condition": {"StringEqualsIgnoreCase": registers},
    }
    shut = [_shut_without(key, value) for key, value in registers.items()]
    never: dict[str, object] = {
        "Sid": "NobodyEver",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": NEVER,
        "Resource": "*",
    }
    destroy: dict[str, object] = {
        "Sid": "LookAndDestroy",
        "Effect": "Allow",
        "Principal": {"AWS": holder.administrator},
        "Action": TO_LOOK_AND_DESTROY,
        "Resource": "*",
    }
    statements = [opened, *shut, never, destroy]
    return {"Version": "2012-10-17", "Id": f"ringforge-{operator}", "Statement": statements}


def _shut_without(key: str, value: str) -> dict[str, object]:
    """Deny data keys to whoever shows another register, or no document at all."""
    return {
        "Sid": f"NobodyWithoutPCR{key.removeprefix(CONDITION_KEY)}",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": WITH_DOCUMENT,
        "Resource": "*",
        "Condition": {"StringNotEqualsIgnoreCase": {key: value}},
    }


def _no_holder(expected: str, found: str) -> Exception:
    return attestation_error(
        "RF-KMS-006",
        "a key policy needs to know who holds the key",
        expected,
        found,
        effect="no policy was written",
        next_step="give the ARN with --role and --administrator",
    )
