"""What passed the lines of a sandbox, for the report: bytes and seconds of each phase.

Counters belong to devices, which live as long as one start of the sandbox; the sums over all starts
are kept in a file, as the timeline of the stages is.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.files import write_atomic
from infra.network.emulated import MTU, Traffic
from infra.report.model import LinkPhase, LinkReport, NetworkReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.network.emulated import EmulatedNetwork

__all__ = ["LinkAccount"]

OFFLINE, ONLINE = "offline", "online"
FIRST_ONLINE_STAGE = "O"


class LinkAccount:
    """Adds up what passes each line, from the first stage on.

    The offline phase ends where the assembly begins.
    """

    def __init__(
        self, path: Path, network: EmulatedNetwork, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Continue the account in `path`; a damaged one starts anew."""
        self._path = path
        self._network = network
        self._clock = clock
        self._phase = ""
        self._sums = _read(path)
        self._since, self._before = clock(), network.traffic()

    def note(self, event: Mapping[str, object]) -> None:
        """Take note of an event of the sandbox, if a phase begins with it."""
        if event["event"] != "stage":
            return
        phase = ONLINE if event["stage"] == FIRST_ONLINE_STAGE else self._phase or OFFLINE
        if phase != self._phase:
            self._charge()
            self._phase = phase

    def save(self) -> None:
        """Keep the sums for the next start.

        Raises:
            CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
        """
        self._charge()
        sums = {
            name: {phase: asdict(spent) for phase, spent in phases.items()}
            for name, phases in self._sums.items()
        }
        write_atomic(self._path, json.dumps(sums).encode(), durable=False)

    def report(self) -> NetworkReport:
        """Return lines and sums as the report shows them."""
        links = []
        for name in self._network.parties:
            shape = self._network.shape_of(name)
            phases = self._sums.get(name, {})
            links.append(
                LinkReport(
                    name=name,
                    rate_bits_per_second=shape.rate,
                    delay_seconds=shape.delay,
                    loss=shape.loss,
                    congestion_control=self._network.algorithm(name),
                    offline=phases.get(OFFLINE, LinkPhase()),
                    online=phases.get(ONLINE, LinkPhase()),
                )
            )
        return NetworkReport(self._network.emulator, MTU, tuple(links))

    def _charge(self) -> None:
        """Add what happened since the last time to the phase that runs."""
        now, counters = self._clock(), self._network.traffic()
        seconds, self._since = now - self._since, now
        before, self._before = self._before, counters
        if not self._phase:
            return
        for name, traffic in counters.items():
            phases = self._sums.setdefault(name, {})
            spent = _between(before.get(name, Traffic(0, 0)), traffic, seconds)
            phases[self._phase] = phases.get(self._phase, LinkPhase()) + spent


def _between(before: Traffic, after: Traffic, seconds: float) -> LinkPhase:
    return LinkPhase(
        seconds,
        after.sent_bytes - before.sent_bytes,
        after.received_bytes - before.received_bytes,
    )


def _read(path: Path) -> dict[str, dict[str, LinkPhase]]:
    try:
        return {
            str(name): {str(phase): LinkPhase(**spent) for phase, spent in phases.items()}
            for name, phases in json.loads(path.read_bytes()).items()
        }
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}
