"""Everything that crosses Temporal: references, orders and small status values; never data.

Bytes travel as hex or base64 text. No value here is secret: whoever reads a history learns what
the public log says anyway (PROTOCOL.md, "Model").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BatchInput",
    "BatchOrder",
    "BatchView",
    "CeremonyInput",
    "CeremonyResult",
    "DecryptionInput",
    "DecryptionResult",
    "Draft",
    "Endorsement",
    "Errand",
    "OperatorQueues",
    "PlanSignature",
    "SealView",
    "SetupView",
    "StageInput",
    "StepOrder",
    "Timeouts",
]


@dataclass(frozen=True, slots=True)
class OperatorQueues:
    """One operator and its two task queues: short control tasks, long compute tasks.

    `namespace` is where these are, if not where the ceremony's workflows are.
    """

    index: int
    name: str
    control: str
    compute: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Waiting times in seconds, from the plan."""

    step: float
    waiting: float


@dataclass(frozen=True, slots=True)
class CeremonyInput:
    """What a ceremony workflow needs: names and queues; the rules are in the signed plan.

    `batches_in_flight` holds for each stage; N runs beside S and M. Nothing begins before each of
    `signers` has handed in its signature under the plan.
    """

    ceremony_id: str
    plan_hash: str
    quorum: int
    operators: list[OperatorQueues]
    coordinator_queue: str
    timeouts: Timeouts
    batches: dict[str, int]
    batches_in_flight: int
    signers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PlanSignature:
    """Whose signature under which plan is handed in.

    The signature itself travels beside it as bytes: in base64 it would be longer than what crosses
    Temporal otherwise.
    """

    name: str
    plan_hash: str


@dataclass(frozen=True, slots=True)
class StageInput:
    """Batches `first` to `last` (exclusive) of one stage.

    A batch costs a stage about ten events, and the server ends a history at 51,200: a run of the
    workflow takes `batches_a_run` of them.
    """

    ceremony: CeremonyInput
    stage: str
    first: int
    last: int
    batches_a_run: int = 1000


@dataclass(frozen=True, slots=True)
class BatchInput:
    """One batch of one stage."""

    ceremony: CeremonyInput
    stage: str
    batch: int


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """A batch that operators are told to work on: the coordinator's signed order, base64.

    `round` is the decoder round to decode or to answer: an operator whose log is behind waits for
    it. The signed order is to work on the batch; it names no round.
    """

    stage: str
    batch: int
    envelope: str
    round: int = 0


@dataclass(frozen=True, slots=True)
class StepOrder:
    """A step outside the batches ("contribute", "acknowledge", ...), signed by the coordinator."""

    step: str
    envelope: str


@dataclass(frozen=True, slots=True)
class BatchView:
    """What the log says of a batch, as far as a workflow needs it.

    Attributes:
        version: changes when what a workflow acts on changes.
        name: the batch and its try: a batch that was killed is redone under another name.
        state: open, provisional, complete, misfit or dead.
        step: what the batch waits for: share, decode, answer, settled or blame.
        round: the current decoder round.
        decoder: index of that round's decoder, 0 when there is none.
        present: operators that orders are sent to (neither absent nor written off).
        missing: operators that the step waits for.
        close: slot whose deadline has passed and which n-t operators should close, else "".
        envelope: in the first view only, the coordinator's signed order to work on the batch.
    """

    version: int
    name: str
    state: str
    step: str
    round: int
    decoder: int
    present: list[int]
    missing: list[int]
    close: str = ""
    envelope: str = ""


@dataclass(frozen=True, slots=True)
class SetupView:
    """What the key setup waits for.

    Attributes:
        phase: kem-keys, contributions, complaints, acknowledgements or sealed.
        slot: what closes the phase: the slot of a close statement, or "".
        silent: operators whose acknowledgement is overdue.
        summoned: those of them whose current summons is on the log.
    """

    version: int
    phase: str
    slot: str
    ready: bool
    silent: list[int]
    summoned: list[int]


@dataclass(frozen=True, slots=True)
class SealView:
    """How far N, S and M are from the seal.

    Attributes:
        ready: every batch is complete.
        sealed: a valid seal entry is under a co-signed checkpoint.
        owing: operators that owe entries and are present.
        silent: operators that owe entries and are absent.
        summoned: silent operators whose current summons is on the log.
        close: slot of answers whose deadline has passed and which makes who owes them absent.
    """

    version: int
    ready: bool
    sealed: bool
    owing: list[int]
    silent: list[int]
    summoned: list[int]
    close: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement to be endorsed: its canonical body and the order for it, base64.

    `state` is "draft", "done" (the log has a valid one already) or "wait" (not due yet).
    """

    kind: str
    subject: str
    state: str
    body: str = ""
    envelope: str = ""
    signers: list[int] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Endorsement:
    """One operator's signature under a draft (base64), or the reason it refused."""

    operator: int
    signature: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """An order for an operator in a namespace of its own.

    Attributes:
        namespace: the operator's.
        queue: the operator's task queue there.
        activity: name of the activity.
        argument: what it is given.
        start_seconds: how long it may wait for the operator.
        run_seconds: how long one attempt may take.
        heartbeat_seconds: how long the operator may be silent meanwhile.
        attempts: how often it is tried; 0 for as often as it takes.
    """

    namespace: str
    queue: str
    activity: str
    argument: Any
    start_seconds: float
    run_seconds: float
    heartbeat_seconds: float
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class CeremonyResult:
    """The announced key set, by its digest."""

    digest: str
    log_size: int


@dataclass(frozen=True, slots=True)
class DecryptionInput:
    """A compact ciphertext list to be decrypted; the file lies in the coordinator's outbox.

    Attributes:
        ciphertext: Merkle root of the file, in hex.
        size: its length in bytes.
        openings: number of its ciphertexts.
    """

    ceremony: CeremonyInput
    ciphertext: str
    size: int
    openings: int


@dataclass(frozen=True, slots=True)
class DecryptionResult:
    """The batch of stage O in which the masked phases were opened."""

    batch: int
