"""The sections of plan.toml, each with what it may say; `rules` says what they owe each other.

What came later is optional and is rendered only where it is said, so an older plan stays the
canonical rendering of itself.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from infra.plan.hybrid import ML_DSA_KEY_BYTES

__all__ = [
    "AuditorSection",
    "CoordinatorSection",
    "Count",
    "DeadlineSection",
    "DecisionSection",
    "DeputySection",
    "Hex16",
    "Hex32",
    "Jurisdiction",
    "LayoutSection",
    "LimitSection",
    "MeasurementSection",
    "MlDsaKey",
    "Name",
    "OperatorSection",
    "Particulars",
    "RepresentativeSection",
    "RetentionSection",
    "RevisionSection",
    "Section",
    "Shortcut",
    "TestSection",
    "Text",
    "TimeZone",
    "as_tuple",
]

LONGEST_TEXT = 160


def as_tuple(value: object) -> object:
    """Take a list of TOML for the tuple that a frozen section holds."""
    return tuple(value) if isinstance(value, list) else value


def _is_shown_as_it_is(text: str) -> str:
    """Refuse text that two people could see differently, or that would need escapes in TOML.

    Security: line breaks, control characters, marks that turn the direction of writing and a second
        composition of the same letter could make two different plans look alike.
    """
    if not text.isprintable() or set(text) & set('"\\'):
        raise ValueError("has a character that is not shown as it is")
    if unicodedata.normalize("NFC", text) != text or text != text.strip():
        raise ValueError("is not composed (NFC), or begins or ends with a blank")
    return text


def _is_ml_dsa_key(text: str) -> str:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
    if len(key) != ML_DSA_KEY_BYTES or base64.b64encode(key).decode() != text:
        raise ValueError("is not the base64 of an ML-DSA-65 key")
    return text


def _is_measured(text: str) -> str:
    if not text.strip("0"):
        raise ValueError("is zero, as in an enclave in debug mode")
    return text


Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Register = Annotated[str, Field(pattern="^[0-9a-f]{96}$"), AfterValidator(_is_measured)]
Shortcut = Literal["setup-seed", "drill-parameters", "software-enclave"]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
Text = Annotated[
    str, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(_is_shown_as_it_is)
]
MlDsaKey = Annotated[str, Field(max_length=4096), AfterValidator(_is_ml_dsa_key)]
Jurisdiction = Annotated[str, Field(pattern="^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z]{1,20}([/_+-][A-Za-z0-9]{1,20}){0,4}$")]
Count = Annotated[int, Field(ge=1, le=99)]
Days = Annotated[int, Field(ge=0, le=36_525)]


class Section(BaseModel):
    """Fields of these exact types and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Particulars(Section):
    """Who a party is. Whoever has them inherits them first: fields of later bases come before."""

    organisation: Text | None = None
    site: Text | None = None
    jurisdiction: Jurisdiction | None = None
    time_zone: TimeZone | None = None
    contact: Text | None = None
    kms_key: Text | None = None
    storage: Text | None = None


class _Numbered(Section):
    index: Annotated[int, Field(ge=1)]
    name: Name
    identity_key: Hex32


class OperatorSection(Particulars, _Numbered):
    """An operator; its index is its place in the list, and its evaluation point."""


class CoordinatorSection(Section):
    """Who hosts the log and gives the orders; trusted for liveness only."""

    identity_key: Hex32


class DeputySection(Section):
    """Who may host the log in the coordinator's place, once n-t operators moved it there."""

    name: Name
    identity_key: Hex32


class AuditorSection(Section):
    """Who is to look at the transcript: neither signs the plan nor speaks on the log."""

    name: Name
    identity_key: Hex32


class RepresentativeSection(Section):
    """Who speaks for an operator in an enclave: signs the plan, its decisions and its approvals."""

    name: Name
    operator: Name
    identity_key: Hex32


class RevisionSection(Section):
    """Which plan this one takes the place of; the first has no such section."""

    number: Annotated[int, Field(ge=2, le=9_999)]
    previous: Hex32


class DeadlineSection(Section):
    """Waiting times in seconds, on each operator's own clock, and what decisions may add.

    `clock_seconds` is how far two clocks may differ: what is older or of the future by that.
    """

    step_seconds: Annotated[float, Field(ge=0.1, le=86_400)]
    waiting_seconds: Annotated[float, Field(ge=0.1, le=2_592_000)]
    extension_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = None
    clock_seconds: Annotated[int, Field(ge=2, le=3_600)] | None = None


class LayoutSection(Section):
    """How the ceremony is cut into batches."""

    version: Literal[1]
    bits_per_batch: Annotated[int, Field(ge=1_024, le=1 << 24)]
    products_per_batch: Annotated[int, Field(ge=256, le=1 << 24)]
    bodies_per_batch: Annotated[int, Field(ge=256, le=1 << 24)]
    leaf_bytes: Annotated[int, Field(ge=1_024, le=1 << 20)]
    batches_in_flight: Annotated[int, Field(ge=1, le=64)]


class LimitSection(Section):
    """What an operator may put on the log."""

    entry_bytes: Annotated[int, Field(ge=4_096, le=1 << 20)]
    entries_per_operator: Annotated[int, Field(ge=100, le=10_000_000)]
    corrections_per_operator: Annotated[int, Field(ge=0, le=100)]


class TestSection(Section):
    """Test openings after the assembly, and the budget of `ringforge decrypt`."""

    flood_bound_log2: Annotated[int, Field(ge=1, le=57)]
    plaintexts: Annotated[
        tuple[Annotated[int, Field(ge=0, le=3)], ...],
        BeforeValidator(as_tuple),
        Field(max_length=64),
    ]
    decrypt_openings: Annotated[int, Field(ge=0, le=65_536)]


class MeasurementSection(Section):
    """The software that enclaves must run, as the registers of their security module say it.

    `document_seconds` is how old an attestation document may be between peers; `insecure_root`, in
    a sandbox without enclaves, the SHA-256 of the public key of its test root.
    """

    pcr0: Register
    pcr1: Register
    pcr2: Register
    pcr8: Register | None = None
    document_seconds: Annotated[int, Field(ge=10, le=86_400)] | None = None
    insecure_root: Hex32 | None = None

    @property
    def registers(self) -> tuple[tuple[int, bytes], ...]:
        """Index and value of every register that is named."""
        named = ((0, self.pcr0), (1, self.pcr1), (2, self.pcr2), (8, self.pcr8))
        return tuple((index, bytes.fromhex(value)) for index, value in named if value)


class DecisionSection(Section):
    """How many operators have to sign each decision."""

    write_off: Count
    extension: Count
    pause: Count
    abort: Count


class RetentionSection(Section):
    """For how many days each operator keeps what, also after an abort; then it may destroy it."""

    transcript_days: Days
    evidence_days: Days
    vault_days_after_abort: Days
