"""Joins the accounts of all parties to one report, in the terms of the published ceremony.

The *offline phase* is everything that does not depend on the public seed: key setup, noise, key
bits, products and their seal. The *online phase* is the assembly. What belongs to neither, such as
the log itself, is shown on its own. Every figure is measured by the process it is about.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.files import write_atomic
from infra.plan.keys import COORDINATOR
from infra.report.incidents import incidents_of
from infra.report.markdown import render_markdown
from infra.report.metrics import PartyMetrics, StageMetrics, read_metrics
from infra.report.model import CeremonyFacts, Machine, PartyReport, PhaseReport, Report
from mpc_core.preprocessing.layout import build_layout
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from infra.homes import CeremonyFolder
    from infra.report.model import NetworkReport
    from infra.report.timeline import Timeline
    from mpc_core.protocol.plan import Plan

__all__ = ["build_report", "write_report"]

OFFLINE = ("keys", "N", "S", "M", "seal")
ONLINE = ("O",)


def build_report(
    folder: CeremonyFolder,
    plan: Plan,
    timeline: Timeline,
    digest: str,
    network: NetworkReport | None = None,
    *,
    peak_disk_bytes: int = 0,
) -> Report:
    """Join what all parties of a ceremony accounted for.

    Args:
        folder: the ceremony's folder.
        plan: its plan.
        timeline: seconds that each stage took, seen by the sandbox.
        digest: digest of the announced key set, in hex.
        network: the emulated lines, if there were any.
        peak_disk_bytes: most that the folder was seen to take.
    """
    homes = [folder.operator(operator.name) for operator in plan.operators]
    operators = tuple(_party(read_metrics(home.metrics_file, home.name)) for home in homes)
    coordinator = _party(read_metrics(folder.coordinator.metrics_file, COORDINATOR))
    return Report(
        version=1,
        ceremony=_facts(plan, digest),
        machine=_machine(),
        wall_seconds=timeline.total,
        stage_seconds=dict(timeline.seconds),
        offline=_phase(OFFLINE, operators, timeline),
        online=_phase(ONLINE, operators, timeline),
        operators=operators,
        coordinator=coordinator,
        network=network,
        peak_disk_bytes=peak_disk_bytes,
        incidents=incidents_of(folder.root, plan, timeline.seconds),
    )


def write_report(folder: CeremonyFolder, report: Report) -> None:
    """Write report.json and report.md.

    Raises:
        CeremonyError: RF-DISK-001 or RF-DISK-002 if the disk refuses.
    """
    write_atomic(folder.report_json, (json.dumps(asdict(report), indent=2) + "\n").encode())
    write_atomic(folder.report_markdown, render_markdown(report).encode())


def _facts(plan: Plan, digest: str) -> CeremonyFacts:
    parameters = lookup(plan.parameters)
    layout = build_layout(parameters, plan.layout, degree_for(plan.count), plan.tests)
    return CeremonyFacts(
        ceremony_id=plan.ceremony_id,
        plan_hash=plan.hash.hex(),
        keyset_digest=digest,
        parameters=plan.parameters,
        insecure_parameters=parameters.insecure,
        scaled_parameters=parameters.scaled,
        insecure=plan.insecure,
        operators=plan.count,
        threshold=plan.threshold,
        random_bits=layout.bits,
        products=layout.product_count,
        bodies=layout.body_count,
    )


def _machine() -> Machine:
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpus=os.cpu_count() or 1,
    )


def _party(metrics: PartyMetrics) -> PartyReport:
    return PartyReport(
        name=metrics.name,
        starts=metrics.starts,
        incomplete=metrics.lost or not metrics.starts,
        peak_memory_bytes=metrics.peak_memory_bytes,
        cpu_seconds=metrics.process_cpu_seconds,
        sent_bytes=metrics.sent_bytes,
        received_bytes=metrics.received_bytes,
        stages=dict(metrics.stages),
    )


def _phase(
    names: tuple[str, ...], operators: tuple[PartyReport, ...], timeline: Timeline
) -> PhaseReport:
    spent = [
        sum((party.stages.get(name, StageMetrics()) for name in names), StageMetrics())
        for party in operators
    ]
    wall = sum(timeline.seconds.get(name, 0.0) for name in names)
    sent = max((each.sent_bytes for each in spent), default=0)
    return PhaseReport(
        stages=names,
        wall_seconds=wall,
        cpu_seconds_per_party=max((each.cpu_seconds for each in spent), default=0.0),
        cpu_seconds_in_all=sum(each.cpu_seconds for each in spent),
        sent_bytes_per_party=sent,
        received_bytes_per_party=max((each.received_bytes for each in spent), default=0),
        bandwidth_bits_per_second=8 * sent / wall if wall else 0.0,
    )
