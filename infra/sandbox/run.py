"""`ringforge sandbox` from the options to the result."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.report.disk import PeakDisk
from infra.report.timeline import Timeline
from infra.sandbox.commands import Errand
from infra.sandbox.faults import stopped
from infra.sandbox.options import open_ceremony
from infra.sandbox.stopping import signals_as_interrupt
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.homes import CeremonyFolder
    from infra.network.account import LinkAccount
    from infra.network.emulated import EmulatedNetwork
    from infra.sandbox.display import Display
    from infra.sandbox.options import SandboxOptions
    from mpc_core.protocol.plan import Plan

__all__ = ["SandboxResult", "run_sandbox"]


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """Where the result of a finished ceremony is."""

    folder: CeremonyFolder

    def as_dict(self) -> dict[str, str]:
        """Return the places by name, for `--json`."""
        return {
            "folder": str(self.folder.root),
            "keyset": str(self.folder.keyset),
            "transcript": str(self.folder.transcript),
            "report": str(self.folder.report_json),
        }


def run_sandbox(
    options: SandboxOptions, display: Display, emit: Callable[[dict[str, object]], None]
) -> SandboxResult:
    """Make or resume a ceremony and run it to its key set.

    Args:
        options: what was asked for.
        display: where progress is shown.
        emit: takes every event as a dictionary.

    Raises:
        CeremonyError: RF-RUN-009 if it was stopped by a signal, RF-NET-* if there can be no such
            network, otherwise as `open_ceremony` and `Supervisor.run`.
    """
    folder: CeremonyFolder | None = None
    try:
        with signals_as_interrupt():
            network = _network(options, display)
            folder, plan = open_ceremony(options)
            if options.take_over:
                folder.coordinator.make()
            with folder.locked():
                if not folder.report_json.exists():
                    _run(folder, plan, options, network=network, display=display, emit=emit)
            return SandboxResult(folder)
    except KeyboardInterrupt as interrupt:
        raise stopped(folder) from interrupt
    finally:
        display.close()


def _network(options: SandboxOptions, display: Display) -> EmulatedNetwork | None:
    """Return the network that is asked for, before anything is made or started."""
    if options.network is None:
        return None
    from infra.network.emulated import EmulatedNetwork  # noqa: PLC0415  # few sandboxes need it
    from infra.network.model import load_network  # noqa: PLC0415
    from infra.network.temporal import find_server  # noqa: PLC0415

    network = EmulatedNetwork(load_network(options.network))
    find_server(display.say)
    return network


def _run(
    folder: CeremonyFolder,
    plan: Plan,
    options: SandboxOptions,
    *,
    network: EmulatedNetwork | None,
    display: Display,
    emit: Callable[[dict[str, object]], None],
) -> None:
    from infra.report.build import build_report, write_report  # noqa: PLC0415  # loads the layout
    from infra.sandbox.supervisor import Supervisor  # noqa: PLC0415  # loads the Temporal SDK

    display.say(f"ceremony {folder.root}, plan {plan.hash.hex()}")
    if lookup(plan.parameters).scaled:
        display.say(f"parameter set {plan.parameters} is scaled: insecure, and unknown to tfhe-rs")
    timeline = Timeline(folder.coordinator.work / "timeline.json")
    disk = PeakDisk(folder.root)
    with ExitStack() as stack:
        account = _joined(stack, network, folder, plan) if network else None
        if network:
            display.say(f"lines are emulated by {network.emulator}")

        def note(event: dict[str, object]) -> None:
            timeline.note(event)
            disk.look()
            if account:
                account.note(event)
            emit(event)

        supervisor = Supervisor(
            folder,
            plan,
            display=display,
            emit=note,
            errand=Errand(
                keep_openings=options.keep_openings,
                host=options.host,
                take_over=options.take_over,
            ),
            restart_operators=options.restart_operators,
            places=network,
        )
        try:
            finished = supervisor.run()
        finally:
            timeline.save()
            if account:
                account.save()
        lines = account.report() if account else None
    report = build_report(folder, plan, timeline, finished.digest, lines, peak_disk_bytes=disk.size)
    write_report(folder, report)


def _joined(
    stack: ExitStack, network: EmulatedNetwork, folder: CeremonyFolder, plan: Plan
) -> LinkAccount:
    """Make the lines of a ceremony until the stack is left, and keep their account."""
    from infra.network.account import LinkAccount  # noqa: PLC0415  # few sandboxes need it

    work = folder.coordinator.work
    names = [operator.name for operator in plan.operators]
    stack.enter_context(network.joined(names, work / "relay.log"))
    return LinkAccount(work / "network.json", network)
