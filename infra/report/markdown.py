"""report.md: the same figures as report.json, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.report.model import (
        Incident,
        LinkPhase,
        LinkReport,
        NetworkReport,
        PartyReport,
        PhaseReport,
        Report,
    )

__all__ = ["render_markdown"]

BANDWIDTH_NOTE = "Bandwidth is the mean over a phase's wall time; all parties shared one machine."


def render_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    facts, parties = report.ceremony, (*report.operators, report.coordinator)
    lines = [
        f"# Ceremony {facts.ceremony_id}",
        "",
        *_warnings(report),
        f"- plan {facts.plan_hash}",
        f"- key set {facts.keyset_digest}",
        (
            f"- parameter set `{facts.parameters}`: {facts.random_bits:,} random bits,"
            f" {facts.products:,} products, {facts.bodies:,} bodies"
        ),
        f"- {facts.operators} operators, of whom {facts.threshold} may crash or lie",
        f"- {report.machine.cpus} CPUs, {report.machine.system}, Python {report.machine.python}",
        f"- wall time {_seconds(report.wall_seconds)} from start to announcement",
        "",
        "## Phases",
        "",
        *_table(
            ("", "offline phase", "online phase"),
            _phase_rows(report.offline, report.online, report),
        ),
        "",
        "Per party means the operator with the most. " + BANDWIDTH_NOTE,
        "",
        "## Parties",
        "",
        *_table(
            ("party", "starts", "CPU", "peak memory", "sent", "received"),
            (_party_row(party) for party in parties),
        ),
        "",
        *_incidents(report.incidents),
        *_network(report.network),
        "## Stages",
        "",
        *_table(
            ("party", "stage", "time", "CPU", "sent", "received"),
            (row for party in parties for row in _stage_rows(party)),
        ),
        "",
    ]
    return "\n".join(lines)


def _incidents(incidents: tuple[Incident, ...]) -> list[str]:
    """Return the section about what went wrong, if anything did."""
    if not incidents:
        return []
    lost = sum(incident.seconds_lost for incident in incidents)
    return [
        "## What went wrong and what it cost",
        "",
        f"About {_seconds(lost)} in all. What each row means: runbooks/infractions.md; who proves",
        "what: `ringforge evidence list`.",
        "",
        *_table(
            ("who", "what", "batch", "found by", "consequence", "time lost"),
            (
                (
                    each.who,
                    each.what,
                    each.batch or "none",
                    each.detection,
                    each.consequence,
                    _seconds(each.seconds_lost),
                )
                for each in incidents
            ),
        ),
        "",
    ]


def _network(network: NetworkReport | None) -> list[str]:
    """Return the section about emulated lines, if there were any."""
    if network is None:
        return []
    return [
        "## Network",
        "",
        f"Lines emulated by {network.emulator}, MTU {network.mtu}. Delay and loss meet what a",
        "party sends; the coordinator's line carries the Temporal server too. The use of a line is",
        "that of its busier direction, as a share of its rate over the whole phase.",
        "",
        *_table(
            ("line", "rate", "delay", "loss", "congestion control", "use offline", "use online"),
            (_link_row(link) for link in network.links),
        ),
        "",
    ]


def _link_row(link: LinkReport) -> tuple[str, ...]:
    rate = link.rate_bits_per_second
    return (
        link.name,
        _rate(rate) if rate else "unlimited",
        f"{1e3 * link.delay_seconds:,.1f} ms",
        f"{link.loss:.2%}",
        link.congestion_control,
        _link_use(link.offline, rate),
        _link_use(link.online, rate),
    )


def _link_use(phase: LinkPhase, rate: int | None) -> str:
    share = phase.utilisation(rate)
    passed = f"{_bytes(phase.sent_bytes)} out, {_bytes(phase.received_bytes)} in"
    return passed if share is None else f"{share:.1%} ({passed})"


def _warnings(report: Report) -> list[str]:
    facts = report.ceremony
    warnings = []
    if facts.insecure_parameters:
        warnings.append(f"The parameter set `{facts.parameters}` protects nothing.")
    if facts.scaled_parameters:
        warnings.append("It is scaled: all objects, fewer dimensions; tfhe-rs has no such set.")
    if facts.insecure:
        warnings.append(f"Insecure shortcuts: {', '.join(facts.insecure)}.")
    missing = [party.name for party in report.operators if party.incomplete]
    if missing:
        warnings.append(f"No full account of {', '.join(missing)}: sums are too low.")
    return [line for warning in warnings for line in (f"**{warning}**", "")]


def _phase_rows(
    offline: PhaseReport, online: PhaseReport, report: Report
) -> list[tuple[str, str, str]]:
    phases = (offline, online)
    peak = _bytes(max((party.peak_memory_bytes for party in report.operators), default=0))
    total = _bytes(max((party.sent_bytes for party in report.operators), default=0))
    disk = _bytes(report.peak_disk_bytes)

    def row(title: str, values: Iterable[str]) -> tuple[str, str, str]:
        first, second = values
        return title, first, second

    return [
        row("stages", (", ".join(phase.stages) for phase in phases)),
        row("time", (_seconds(phase.wall_seconds) for phase in phases)),
        row("CPU per party", (_seconds(phase.cpu_seconds_per_party) for phase in phases)),
        row("CPU in all", (_seconds(phase.cpu_seconds_in_all) for phase in phases)),
        row("sent per party", (_bytes(phase.sent_bytes_per_party) for phase in phases)),
        row("received per party", (_bytes(phase.received_bytes_per_party) for phase in phases)),
        row("bandwidth", (_rate(phase.bandwidth_bits_per_second) for phase in phases)),
        row("memory per party (both phases)", (peak, peak)),
        row("total sent per party (both phases)", (total, total)),
        row("disk of all parties (both phases)", (disk, disk)),
    ]


def _party_row(party: PartyReport) -> tuple[str, ...]:
    return (
        party.name,
        str(party.starts),
        _seconds(party.cpu_seconds),
        _bytes(party.peak_memory_bytes),
        _bytes(party.sent_bytes),
        _bytes(party.received_bytes),
    )


def _stage_rows(party: PartyReport) -> Iterable[tuple[str, ...]]:
    for name, spent in party.stages.items():
        yield (
            party.name,
            name,
            _seconds(spent.wall_seconds),
            _seconds(spent.cpu_seconds),
            _bytes(spent.sent_bytes),
            _bytes(spent.received_bytes),
        )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    rule = tuple("---" for _ in head)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _seconds(value: float) -> str:
    return f"{value:,.2f} s"


def _bytes(value: int) -> str:
    return f"{value / 1e6:,.2f} MB"


def _rate(bits_per_second: float) -> str:
    return f"{bits_per_second / 1e6:,.2f} Mbit/s"
