"""The report's values; report.json is exactly this, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.report.metrics import StageMetrics

__all__ = [
    "CeremonyFacts",
    "Incident",
    "LinkPhase",
    "LinkReport",
    "Machine",
    "NetworkReport",
    "PartyReport",
    "PhaseReport",
    "Report",
]


@dataclass(frozen=True, slots=True)
class CeremonyFacts:
    """Which ceremony it was; the counts are those of the key set, without reserved floods."""

    ceremony_id: str
    plan_hash: str
    keyset_digest: str
    parameters: str
    insecure_parameters: bool
    scaled_parameters: bool
    insecure: tuple[str, ...]
    operators: int
    threshold: int
    random_bits: int
    products: int
    bodies: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the sandbox ran, all parties side by side."""

    system: str
    python: str
    cpus: int


@dataclass(frozen=True, slots=True)
class PartyReport:
    """What one party spent; `incomplete` if its account is missing or was damaged."""

    name: str
    starts: int
    incomplete: bool
    peak_memory_bytes: int
    cpu_seconds: float
    sent_bytes: int
    received_bytes: int
    stages: dict[str, StageMetrics]


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """A phase in the terms of the published ceremony; "per party" is the operator with the most.

    Attributes:
        stages: the stages that the phase consists of.
        wall_seconds: from the start to the end of each stage, added up.
        cpu_seconds_per_party: CPU time of steps of these stages.
        cpu_seconds_in_all: the same over all operators.
        sent_bytes_per_party: bytes sent.
        received_bytes_per_party: bytes received.
        bandwidth_bits_per_second: mean rate of sending, over the wall time of the phase.
    """

    stages: tuple[str, ...]
    wall_seconds: float
    cpu_seconds_per_party: float
    cpu_seconds_in_all: float
    sent_bytes_per_party: int
    received_bytes_per_party: int
    bandwidth_bits_per_second: float


@dataclass(frozen=True, slots=True)
class LinkPhase:
    """What passed a party's line in a phase, lost and repeated packets included."""

    seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0

    def __add__(self, other: LinkPhase) -> LinkPhase:
        return LinkPhase(
            self.seconds + other.seconds,
            self.sent_bytes + other.sent_bytes,
            self.received_bytes + other.received_bytes,
        )

    def utilisation(self, rate: int | None) -> float | None:
        """Return the busier direction's bits as a share of what the line could have carried."""
        if not rate or not self.seconds:
            return None
        return 8 * max(self.sent_bytes, self.received_bytes) / (rate * self.seconds)


@dataclass(frozen=True, slots=True)
class LinkReport:
    """A party's line; delay and loss are those of what the party sends."""

    name: str
    rate_bits_per_second: int | None
    delay_seconds: float
    loss: float
    congestion_control: str
    offline: LinkPhase
    online: LinkPhase


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """The emulated network of a sandbox; `emulator` is "netem" or "relay"."""

    emulator: str
    mtu: int
    links: tuple[LinkReport, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong.

    Attributes:
        what: the infraction or fault.
        who: name of the operator.
        batch: the batch it happened in, "" where it is about none.
        consequence: what the ceremony did about it.
        detection: how it was found out.
        seconds_lost: about how long everybody worked for nothing, or waited.
    """

    what: str
    who: str
    batch: str
    consequence: str
    detection: str
    seconds_lost: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a ceremony cost.

    Attributes:
        peak_disk_bytes: most that its folder was seen to take since its last start.
    """

    version: int
    ceremony: CeremonyFacts
    machine: Machine
    wall_seconds: float
    stage_seconds: dict[str, float]
    offline: PhaseReport
    online: PhaseReport
    operators: tuple[PartyReport, ...]
    coordinator: PartyReport
    network: NetworkReport | None
    peak_disk_bytes: int = 0
    incidents: tuple[Incident, ...] = ()
