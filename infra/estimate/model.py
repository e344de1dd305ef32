"""What a ceremony will take: a pure function of layout, plan, costs and machines.

A ceremony is a sequence of phases. In each, batches are in flight side by side, so it takes as long
as the scarcest of five things: the cores, the one interpreter of each process (entries and orders
are handled in Python, one at a time), the links, the disk where bytes have to reach it, or the
round trips of the log divided by the batches in flight. On top comes the way of one batch alone,
which nothing hides.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.estimate.log import COORDINATOR
from infra.estimate.storage import storage_of
from infra.estimate.traffic import Traffic, ceremony_traffic
from infra.estimate.work import CeremonyWork, key_set_bytes
from mpc_core.protocol.context import STAGES
from mpc_core.protocol.quorum import Quorum
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from infra.estimate.costs import Costs, Machine, Overheads
    from infra.estimate.storage import Storage
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan

__all__ = [
    "ACCEPTANCE",
    "ASSEMBLY",
    "PREPROCESSING",
    "PUBLICATION",
    "SEAL",
    "WAITING",
    "Estimate",
    "Phase",
    "Spent",
    "estimate",
]

PREPROCESSING, SEAL, ASSEMBLY = "N, S, M", "seal", "O"
ACCEPTANCE, PUBLICATION = "acceptance", "publish"
"""Names of phases."""

WAITING = "waiting"
"""Name of the stage of polls and heartbeats, which lasts as long as the ceremony."""

COVER_TRIPS = 3
"""Round trips until an entry is covered: it is posted, its head signed and certified, and told."""
BATCH_TRIPS = 4 * 1 + 3 * COVER_TRIPS + 2 * 1 + 3
"""Of one batch: four orders (share, decode, answer, the look that ends it); root, decoder's entry
and answer covered; vectors and v fetched; for half of each checkpoint on its way meanwhile."""
STATEMENT_TRIPS = 2 + COVER_TRIPS
"""Of a statement: drafted and endorsed, posted and covered."""
STEP_TRIPS = 1 + COVER_TRIPS
"""Of an order that posts one entry."""
GATHER_SECONDS = 0.05
"""How long the host waits for entries that come together, and a look for something new."""
NO_TRAFFIC = Traffic()


@dataclass(frozen=True, slots=True)
class Spent:
    """What one party spends on a stage: CPU seconds and bytes."""

    cpu_seconds: float = 0.0
    traffic: Traffic = NO_TRAFFIC

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.cpu_seconds + other.cpu_seconds, self.traffic + other.traffic)


@dataclass(slots=True)
class _Load:
    """What a phase asks of everybody.

    Attributes:
        work: CPU seconds by party.
        handling: of them those in the interpreter: entries, orders, files.
        traffic: by party.
        server: CPU seconds of the Temporal server.
        alone: seconds of the longest way of a batch on one core.
        synced: bytes that have to reach the disk of one machine.
    """

    work: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    handling: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    traffic: dict[int, Traffic] = field(default_factory=dict)
    server: float = 0.0
    alone: float = 0.0
    synced: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """Stages that run side by side.

    Attributes:
        name: which.
        seconds: wall time.
        bounds: the seconds that "cores", "interpreter", "link", "disk" and "log" would take alone.
    """

    name: str
    seconds: float
    bounds: Mapping[str, float]

    @property
    def bound(self) -> str:
        """What is scarcest."""
        return max(self.bounds, key=lambda name: self.bounds[name])


@dataclass(frozen=True, slots=True)
class Estimate:
    """The prediction.

    Attributes:
        phases: in order.
        parties: by party (the coordinator is 0) and stage.
        server_cpu_seconds: of the Temporal server.
        storage: memory and disk.
        batches: batches by stage.
        idle_seconds: in which nothing computes.
    """

    phases: tuple[Phase, ...]
    parties: Mapping[tuple[int, str], Spent]
    server_cpu_seconds: float
    storage: Storage
    batches: Mapping[str, int]
    idle_seconds: float

    @property
    def wall_seconds(self) -> float:
        """From the start to the announced key set."""
        return self.idle_seconds + sum(phase.seconds for phase in self.phases)

    @property
    def cpu_seconds(self) -> float:
        """Of all processes together."""
        return self.server_cpu_seconds + sum(each.cpu_seconds for each in self.parties.values())

    def spent(self, party: int, stages: Iterable[str] | None = None) -> Spent:
        """Return what a party spends on some stages, by default on all."""
        wanted = None if stages is None else set(stages)
        return sum(
            (
                each
                for (index, stage), each in self.parties.items()
                if index == party and (wanted is None or stage in wanted)
            ),
            Spent(),
        )


def estimate(
    plan: Plan, layout: CeremonyLayout, costs: Costs, overheads: Overheads, machine: Machine
) -> Estimate:
    """Predict an undisturbed ceremony.

    Args:
        plan: who takes part, and how many batches are in flight.
        layout: the batches of the plan.
        costs: measured on a core like those of the machines.
        overheads: measured by whole ceremonies.
        machine: where operators run.
    """
    return _Model(plan, layout, costs, overheads, machine).estimate()


class _Model:
    """Charges work to parties and stages, phase by phase."""

    def __init__(
        self,
        plan: Plan,
        layout: CeremonyLayout,
        costs: Costs,
        overheads: Overheads,
        machine: Machine,
    ) -> None:
        self.layout, self.costs = layout, costs
        self.overheads, self.machine = overheads, machine
        self.quorum = Quorum.of(plan)
        self.in_flight = plan.layout.batches_in_flight
        self.parameters = lookup(plan.parameters)
        self.work = CeremonyWork(self.parameters, layout, self.quorum, costs)
        self.traffic = ceremony_traffic(layout, self.quorum, one_machine=machine.sandbox)
        self.parties: dict[tuple[int, str], Spent] = {}
        self.server_seconds = 0.0

    def estimate(self) -> Estimate:
        """Return the prediction."""
        phases = (
            self._start(),
            self._keys(),
            self._preprocessing(),
            self._seal(),
            self._bodies(),
            self._acceptance(),
            self._publish(),
        )
        self._wait(self.overheads.idle_seconds + sum(phase.seconds for phase in phases))
        return Estimate(
            phases=phases,
            parties=self.parties,
            server_cpu_seconds=self.server_seconds,
            storage=storage_of(self.parameters, self.layout, self.quorum, self.in_flight),
            batches={stage: len(self.layout.stage(stage)) for stage in STAGES},
            idle_seconds=self.overheads.idle_seconds,
        )

    # -- phases -----------------------------------------------------------------------------------

    def _start(self) -> Phase:
        load = _Load()
        for index in self.quorum.everyone:
            self._charge(load, index, "start", work=self.overheads.start_operator)
        self._charge(load, COORDINATOR, "start", work=self.overheads.start_coordinator)
        return self._phase("start", load, trips=0)

    def _keys(self) -> Phase:
        load = _Load()
        for index in self.quorum.everyone:
            self._charge(load, index, "keys", work=self.costs.setup)
        self._handle(load, "keys", entries=5 * self.quorum.count + 3, orders=4 + 3)
        self._carry(load, "keys")
        return self._phase("keys", load, trips=4 * STEP_TRIPS + 3 * STATEMENT_TRIPS)

    def _preprocessing(self) -> Phase:
        load, layout = _Load(), self.layout
        for stage in ("N", "S", "M"):
            self._open(load, stage, layout.stage(stage))
            self._carry(load, stage)
        waves = max(
            self._waves(layout.noise), self._waves(layout.secrets) + self._waves(layout.products)
        )
        return self._phase(PREPROCESSING, load, trips=waves * BATCH_TRIPS, waves=waves)

    def _seal(self) -> Phase:
        load = _Load()
        for index in self.quorum.everyone:
            self._charge(load, index, "seal", work=self.work.secure())
        load.synced = self.work.secured_bytes() * self.machine.operators
        self._handle(load, "seal", entries=1, orders=2)
        self._carry(load, "seal")
        return self._phase(SEAL, load, trips=STATEMENT_TRIPS + 1)

    def _bodies(self) -> Phase:
        """Open the seed, then the bodies."""
        load = _Load()
        made = [batch for batch in self.layout.assembly if batch.purpose in {"seed", "bodies"}]
        self._open(load, "O", made)
        self._carry(load, "O")
        waves = 1 + self._waves(made[1:])
        return self._phase(ASSEMBLY, load, trips=waves * BATCH_TRIPS, waves=waves)

    def _acceptance(self) -> Phase:
        """Rebuild the key set, open audit and tests, announce."""
        load = _Load()
        checks = [batch for batch in self.layout.assembly if batch.purpose in {"audit", "tests"}]
        self._open(load, "O", checks)
        for index in (COORDINATOR, *self.quorum.everyone):
            self._charge(load, index, "O", work=self.work.rebuild())
        self._handle(load, "O", entries=2, orders=4)
        trips = 2 * STATEMENT_TRIPS + 2 + BATCH_TRIPS
        return self._phase(ACCEPTANCE, load, trips=trips, waves=1)

    def _publish(self) -> Phase:
        load = _Load()
        self._charge(load, COORDINATOR, "O", handling=self.work.publish())
        load.synced = key_set_bytes(self.parameters)
        return self._phase(PUBLICATION, load, trips=0)

    def _wait(self, seconds: float) -> None:
        """Charge what everybody does all the time."""
        costs = self.overheads
        for index in self.quorum.everyone:
            self.parties[index, WAITING] = Spent(seconds * costs.second_operator)
        self.parties[COORDINATOR, WAITING] = Spent(seconds * costs.second_coordinator)
        self.server_seconds += seconds * costs.second_server

    # -- what they consist of ---------------------------------------------------------------------

    def _open(self, load: _Load, stage: str, batches: Sequence[BatchLayout]) -> None:
        """Charge batches: their arithmetic, their entries and their orders."""
        for batch in batches:
            for index in self.quorum.everyone:
                self._charge(load, index, stage, work=self.work.operator(batch, index))
            self._charge(load, COORDINATOR, stage, work=self._of_coordinator(batch))
            alone = self.work.share(batch) + self.work.decode(batch) + self.work.answer(batch)
            load.alone = max(load.alone, alone + self.work.take(batch))
        count = self.quorum.count
        entries, orders = (3 * count + 1) * len(batches), (2 + 1 / count) * len(batches)
        self._handle(load, stage, entries=entries, orders=orders)

    def _of_coordinator(self, batch: BatchLayout) -> float:
        """Return what a batch costs the coordinator, which has copies of its own machine's."""
        if self.machine.sandbox:
            return self.work.verdict(batch) + batch.opened_bytes * self.costs.hash_byte
        return self.work.verdict(batch) + batch.opened_bytes * self.costs.receive_byte

    def _handle(self, load: _Load, stage: str, *, entries: float, orders: float) -> None:
        """Charge entries and orders for each operator to everybody who handles them."""
        costs = self.overheads
        for index in self.quorum.everyone:
            self._charge(load, index, stage, handling=entries * costs.entry_operator)
        self._charge(load, COORDINATOR, stage, handling=entries * costs.entry_coordinator)
        load.server += orders * self.quorum.count * costs.order_server

    def _carry(self, load: _Load, stage: str) -> None:
        """Charge the bytes of a stage; what is received was charged with the batches."""
        for index in (COORDINATOR, *self.quorum.everyone):
            traffic = self.traffic.get((index, stage), NO_TRAFFIC)
            sending = traffic.sent * self.costs.send_byte
            self._charge(load, index, stage, work=sending, traffic=traffic)

    def _charge(
        self,
        load: _Load,
        party: int,
        stage: str,
        *,
        work: float = 0.0,
        handling: float = 0.0,
        traffic: Traffic = NO_TRAFFIC,
    ) -> None:
        load.work[party] += work + handling
        load.handling[party] += handling
        load.traffic[party] = load.traffic.get(party, NO_TRAFFIC) + traffic
        before = self.parties.get((party, stage), Spent())
        self.parties[party, stage] = before + Spent(work + handling, traffic)

    # -- how long that takes ----------------------------------------------------------------------

    def _waves(self, batches: Sequence[BatchLayout]) -> int:
        return -(-len(batches) // self.in_flight)

    def _phase(self, name: str, load: _Load, *, trips: float, waves: int = 0) -> Phase:
        """Return a phase that takes as long as the scarcest of what it needs."""
        self.server_seconds += load.server
        log = trips * self.machine.rtt + waves * (3 * GATHER_SECONDS + load.alone)
        bounds = {
            "cores": self._core_seconds(load),
            "interpreter": max(load.handling.values(), default=0.0),
            "link": self._link_seconds(load),
            "disk": load.synced * self.costs.sync_byte,
            "log": log,
        }
        return Phase(name, max(bounds.values()), bounds)

    def _core_seconds(self, load: _Load) -> float:
        machine = self.machine
        operators = sorted((load.work[index] for index in self.quorum.everyone), reverse=True)
        together = sum(operators[: machine.operators])
        if machine.sandbox:
            together += load.work[COORDINATOR] + load.server
        alone = max(load.work.values()) / min(machine.cores, self.in_flight)
        return max(together / (machine.cores - self._always_taken()), alone)

    def _always_taken(self) -> float:
        """Return how many cores of a machine polls and heartbeats take all the time."""
        costs, machine = self.overheads, self.machine
        taken = machine.operators * costs.second_operator
        if machine.sandbox:
            taken += costs.second_coordinator + costs.second_server
        return min(taken, machine.cores / 2)

    def _link_seconds(self, load: _Load) -> float:
        """Return what the busiest link takes; one thread serves it, another one fetches."""
        seconds = 0.0
        for party, traffic in load.traffic.items():
            sharing = self.machine.operators if party != COORDINATOR else 1
            most = max(traffic.out, traffic.into)
            if self.machine.bandwidth:
                seconds = max(seconds, 8 * most * sharing / self.machine.bandwidth)
            serving = traffic.sent * self.costs.send_byte
            seconds = max(seconds, serving, traffic.received * self.costs.receive_byte)
        return seconds
