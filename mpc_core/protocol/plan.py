"""What every operator signed before anything ran: the facts of a plan that the protocol uses.

The plan's file format lives in infra; these values are what the rules read. `Plan.hash` is the
SHA-256 of the plan's bytes and enters every derivation (PROTOCOL.md, "Model").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "COORDINATOR",
    "AttestationRules",
    "Deadlines",
    "DecisionRules",
    "DeputyIdentity",
    "Layout",
    "Limits",
    "OperatorIdentity",
    "Plan",
    "RepresentativeIdentity",
    "TestRules",
]

COORDINATOR = "coordinator"
"""The name under which the coordinator's key of the plan speaks."""

DESIGN_RANGE = 13
"""Most operators this protocol is meant for: the number of key sets grows as C(n, t)."""


@dataclass(frozen=True, slots=True)
class OperatorIdentity:
    """One operator: its evaluation point is `index` (1..n).

    Entries and heads are signed by Ed25519 alone, plan and decisions by the ML-DSA-65 key too, if
    the plan names one.
    """

    index: int
    name: str
    identity_key: bytes
    ml_dsa_key: bytes = b""


@dataclass(frozen=True, slots=True)
class DeputyIdentity:
    """A party that may take the board over from the coordinator."""

    name: str
    identity_key: bytes
    ml_dsa_key: bytes = b""


@dataclass(frozen=True, slots=True)
class RepresentativeIdentity:
    """Who speaks for an operator whose identity never leaves its enclave.

    Its keys sign the plan and, in the place of the operator's own, that operator's decisions.
    """

    name: str
    operator: int
    identity_key: bytes
    ml_dsa_key: bytes = b""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Waiting times in seconds, on each operator's own clock.

    `extension_seconds` is the most that decisions may add to the waiting time, all together;
    `clock_seconds` how far the clocks of two parties may differ before people are told.
    """

    step_seconds: float
    waiting_seconds: float
    extension_seconds: int = 0
    clock_seconds: int = 60


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """How many operators have to sign a decision: t+1 or more, a write-off n-t or more."""

    write_off: int
    extension: int
    pause: int
    abort: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How the ceremony is cut into batches; another cut under the same keys is a two-time pad."""

    version: int
    bits_per_batch: int
    products_per_batch: int
    bodies_per_batch: int
    leaf_bytes: int
    batches_in_flight: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may put on the log."""

    entry_bytes: int
    entries_per_operator: int
    corrections_per_operator: int


@dataclass(frozen=True, slots=True)
class TestRules:
    """Test openings: the TUniform bound of the floods, and the plaintexts of the acceptance."""

    __test__: ClassVar[bool] = False  # no test case, whatever its name says to a collector

    flood_bound_log2: int
    plaintexts: tuple[int, ...]
    decrypt_openings: int


@dataclass(frozen=True, slots=True)
class AttestationRules:
    """What the enclave of every operator must prove.

    Attributes:
        registers: index and value of the registers that the approved software has, ascending.
        document_seconds: age up to which a document counts between peers.
        insecure_root: SHA-256 of the test root's public key in a sandbox; empty where the root is
            that of the real enclaves.
    """

    registers: tuple[tuple[int, bytes], ...]
    document_seconds: int
    insecure_root: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """A signed plan.

    Attributes:
        hash: SHA-256 of the plan's canonical bytes.
        ceremony_id: tag written into the key files, lower-case hex of 16 bytes.
        parameters: name of the parameter set.
        insecure: insecure shortcuts that all signed ("setup-seed"), none outside a sandbox.
        sandbox: whether this plan was made by `ringforge sandbox`.
        threshold: t, the number of operators that may crash or lie.
        operators: in order of their index, 1..n.
        coordinator_key: Ed25519 key whose signed orders are followed.
        deputies: who else may host the board and give orders, once operators moved it there.
        coordinator_ml_dsa_key: its second key, with which it signs the plan.
        decisions: who decides what during the ceremony; None where n-t operators decide all.
        attestation: what enclaves must prove; None where no enclave is asked for.
        representatives: who speaks for which operator; for all others their identity does.
    """

    hash: bytes
    ceremony_id: str
    parameters: str
    sandbox: bool
    insecure: tuple[str, ...]
    threshold: int
    operators: tuple[OperatorIdentity, ...]
    coordinator_key: bytes
    deadlines: Deadlines
    layout: Layout
    limits: Limits
    tests: TestRules
    deputies: tuple[DeputyIdentity, ...] = ()
    coordinator_ml_dsa_key: bytes = b""
    decisions: DecisionRules | None = None
    attestation: AttestationRules | None = None
    representatives: tuple[RepresentativeIdentity, ...] = ()

    @property
    def hosts(self) -> dict[str, bytes]:
        """Names and keys of the parties that may host the board, the coordinator first."""
        deputies = {deputy.name: deputy.identity_key for deputy in self.deputies}
        return {COORDINATOR: self.coordinator_key, **deputies}

    @property
    def count(self) -> int:
        """Number of operators, n."""
        return len(self.operators)

    @property
    def quorum(self) -> int:
        """Signatures that a statement of all operators needs: n-t."""
        return self.count - self.threshold

    @property
    def decision_rules(self) -> DecisionRules:
        """How many operators have to sign each decision."""
        return self.decisions or DecisionRules(*(4 * (self.quorum,)))

    def name_of(self, index: int) -> str:
        """Return the name of the operator with this index."""
        return self.operators[index - 1].name

    def representative_of(self, index: int) -> RepresentativeIdentity | None:
        """Return who speaks for the operator with this index; None if its own identity does."""
        return next((each for each in self.representatives if each.operator == index), None)

    def index_of(self, name: str) -> int:
        """Return the index of the operator with this name; 0 if there is none."""
        return next((each.index for each in self.operators if each.name == name), 0)
