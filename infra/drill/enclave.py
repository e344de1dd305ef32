"""`ringforge drill enclave`: how an operator is met whose enclave is not what the plan asks for.

One ceremony of real processes for each way to be wrong. All others must refuse that operator by
name and with the code of the reason, it must learn why, and the ceremony must end without it. Who
plays another operator is refused under that one's name, which takes part as before.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.drill.chaos_site import Site
from infra.drill.enclave_run import (
    CHANGED_PROGRAM,
    TAKEN_BACK,
    EnclaveRun,
    changed_sources,
)
from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.drill.thief import LIES_OF_ENCLAVES, STOLEN_CERTIFICATE, victim_of
from infra.evidence.source import open_source
from infra.sandbox.options import SandboxOptions, open_ceremony
from infra.sandbox.sealed import serving_keys
from infra.sandbox.stopping import signals_as_interrupt
from infra.sandbox.warm import cache_folder, warm_kernels
from infra.verify import Outcome, verify
from mpc_core.protocol.attestations import PLAYED
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.homes import CeremonyFolder, Home
    from mpc_core.protocol.plan import Plan

__all__ = ["KINDS", "EnclaveOptions", "EnclaveResult", "drill_enclave", "enclave_command"]

KINDS = (*LIES_OF_ENCLAVES, TAKEN_BACK, CHANGED_PROGRAM)
"""Every way to be wrong."""

OPERATORS, THRESHOLD = 4, 1
WAITING_SECONDS = 5.0
"""Of the plan, before the silent operator may be written off."""

_TOLD = "RF-PEER-020"
_STORE, _KEY_SERVICE = "RF-STORE-004", "RF-KMS-003"


@dataclass(frozen=True, slots=True)
class EnclaveOptions:
    """What a person asks of a drill.

    Attributes:
        kinds: the ways to be wrong, one ceremony each.
        directory: where the ceremonies are.
        patience_seconds: how long one may take.
    """

    kinds: tuple[str, ...]
    directory: Path
    patience_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class EnclaveResult:
    """What came of one false enclave.

    Attributes:
        kind: what was false.
        liar: whose enclave it was.
        code: by which it was refused.
        refused_by: who said so on the log.
        told_by: who told the liar; nobody can within a handshake.
        victim: whom it played, "" if it was itself.
    """

    kind: str
    liar: str
    code: str
    refused_by: tuple[str, ...]
    told_by: tuple[str, ...]
    victim: str = ""

    def line(self) -> str:
        """Return the result for people."""
        by, told = ", ".join(self.refused_by), ", ".join(self.told_by) or "nobody"
        liar = f"{self.liar}, as {self.victim}," if self.victim else self.liar
        return f"{self.kind}: {liar} refused, {self.code}, by {by}; it was told by {told}"


def enclave_command(options: EnclaveOptions, *, as_json: bool) -> int:
    """Run the drills and show what came of them; return the exit code."""
    with signals_as_interrupt():
        for kind in options.kinds:
            result = drill_enclave(kind, options, lambda text: print(text, file=sys.stderr))  # noqa: T201
            if as_json:
                print_json({"event": "drill", **asdict(result)})
            else:
                sys.stdout.write(result.line() + "\n")
                sys.stdout.flush()
    return 0


def drill_enclave(kind: str, options: EnclaveOptions, say: Callable[[str], None]) -> EnclaveResult:
    """Run one ceremony in which the last operator's enclave is false.

    Raises:
        CeremonyError: RF-DRILL-009 if it does not end, RF-DRILL-010 if somebody did not refuse that
            operator, or the key set is not valid.
    """
    warm_kernels(cache_folder(), say)
    asked = SandboxOptions(
        directory=options.directory,
        identifier=f"enclave-{kind}",
        operators=OPERATORS,
        threshold=THRESHOLD,
        waiting_seconds=WAITING_SECONDS,
        enclave="software",
    )
    folder, plan = open_ceremony(asked)
    liar = plan.operators[-1].name
    say(f"a ceremony in which the enclave of {liar} is false: {kind} ...")
    lies = {liar: kind} if kind in LIES_OF_ENCLAVES else {}
    programs = {}
    if kind == CHANGED_PROGRAM:
        programs[liar] = changed_sources(folder.root / CHANGED_PROGRAM)
    with (
        folder.locked(),
        serving_keys(folder, plan) as keys,
        Site(folder, plan, lies=lies, key_service=keys or "", programs=programs) as site,
    ):
        run = EnclaveRun(site, liar, kind, options.patience_seconds)
        run.run()
    if kind == TAKEN_BACK:
        result = _taken_back(kind, liar, run, plan)
    elif kind == CHANGED_PROGRAM:
        result = _kept_from_its_vault(kind, liar, run)
    elif kind == STOLEN_CERTIFICATE:
        result = _seen_through(kind, liar, folder, plan)
    else:
        result = _refused(kind, liar, folder, plan)
    verdict = verify(folder.root)
    if verdict.outcome is not Outcome.OK:
        found = "; ".join(str(error) for error in verdict.errors)
        raise _unanswered(kind, "a key set that verify finds valid", found, folder)
    shutil.rmtree(folder.root)
    return result


def _refused(kind: str, liar: str, folder: CeremonyFolder, plan: Plan) -> EnclaveResult:
    """Check that all others refused the liar, in their logs, on the log, and to its face."""
    code = FALSE_ENCLAVES[kind].code
    others = tuple(each.name for each in plan.operators if each.name != liar)
    by = _on_the_log(folder, plan, liar, code)
    homes = (*(folder.operator(name) for name in others), folder.coordinator)
    logged = {home.name for home in homes if _logs_refusal(home, liar, code)}
    told = tuple(sorted(_told(folder.operator(liar))))
    wanted = {*others, folder.coordinator.name}
    if set(by) != set(others) or logged != wanted or set(told) != wanted:
        expected = f"{code} by {', '.join(sorted(wanted))}"
        found = f"on the log by {by}, in the logs of {sorted(logged)}, told by {told}"
        raise _unanswered(kind, expected, found, folder)
    if plan.index_of(liar) in open_source(folder.root).state.setup.kem_keys:
        raise _unanswered(kind, f"no KEM key of {liar}", "one that counts", folder)
    return EnclaveResult(kind, liar, code, by, told)


def _seen_through(kind: str, liar: str, folder: CeremonyFolder, plan: Plan) -> EnclaveResult:
    """Check that all who were called saw that the thief is not its victim, and blamed neither."""
    victim = victim_of(plan, liar)
    others = {each.name for each in plan.operators} - {liar, victim}
    by = _on_the_log(folder, plan, victim, PLAYED)
    homes = (*(folder.operator(name) for name in (*others, victim)), folder.coordinator)
    logged = {home.name for home in homes if _logs_refusal(home, victim, PLAYED)}
    state = open_source(folder.root).state
    if set(by) != others or logged != {*others, victim, folder.coordinator.name}:
        found = f"on the log by {by}, in the logs of {sorted(logged)}"
        raise _unanswered(kind, f"{PLAYED} by {', '.join(sorted(others))}", found, folder)
    gone = {plan.name_of(index) for index in state.members.written_off | state.members.excluded}
    if gone != {liar}:
        raise _unanswered(kind, f"an end without {liar} alone", f"one without {gone}", folder)
    return EnclaveResult(kind, liar, PLAYED, by, (), victim)


def _taken_back(kind: str, liar: str, run: EnclaveRun, plan: Plan) -> EnclaveResult:
    """Check that the others knew better, said so on the log, and that the operator stopped."""
    failure = run.failures[liar]
    knew = tuple(name for name in run.site.operators if name in failure.found)
    by = _on_the_log(run.site.folder, plan, liar, _STORE)
    if failure.code != _STORE or set(by) != {*run.site.operators} - {liar} or not knew:
        found = f"{failure.code}, on the log by {by}, told by {knew}"
        raise _unanswered(kind, f"{_STORE} by all others", found, run.site.folder)
    return EnclaveResult(kind, liar, _STORE, by, knew)


def _kept_from_its_vault(kind: str, liar: str, run: EnclaveRun) -> EnclaveResult:
    """Check that the key service did not open the vault to another program."""
    failure = run.failures[liar]
    if failure.code != _KEY_SERVICE:
        raise _unanswered(kind, _KEY_SERVICE, failure.code, run.site.folder)
    return EnclaveResult(kind, liar, _KEY_SERVICE, ("the key service",), ("the key service",))


def _on_the_log(folder: CeremonyFolder, plan: Plan, liar: str, code: str) -> tuple[str, ...]:
    """Return who said on the log that it refuses the liar for this reason."""
    refusals = open_source(folder.root).state.attestations.refusals
    index = plan.index_of(liar)
    said = (each.by for each in refusals if (each.operator, each.code) == (index, code))
    return tuple(sorted(map(plan.name_of, said)))


def _logs_refusal(home: Home, liar: str, code: str) -> bool:
    return any(
        (line.get("event"), line.get("operator"), line.get("code")) == ("peer refused", liar, code)
        for line in _log_lines(home)
    )


def _told(home: Home) -> set[str]:
    """Return who told the operator of a home that it is refused, as its log says."""
    named = set()
    for line in _log_lines(home):
        for text in map(str, line.values()):
            at = text.find(_TOLD)
            words = text[at:].replace(_TOLD, "").split() if at >= 0 else []
            named |= set(words[:1])
        if line.get("code") == _TOLD:
            named.add(str(line.get("operator")))
    return named


def _log_lines(home: Home) -> list[dict[str, object]]:
    """Return the lines of a process's log that are events."""
    text = home.log_file.read_text(errors="replace")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _unanswered(kind: str, expected: str, found: str, folder: CeremonyFolder) -> CeremonyError:
    return CeremonyError(
        "RF-DRILL-010",
        f"a false enclave was not answered as it must be: {kind}",
        expected=expected,
        found=found,
        effect=f"the drill ends; the ceremony's folder is kept: {folder.root}",
        next_step=f"again: ringforge drill enclave --kind {kind}",
        runbook="drills",
    )
