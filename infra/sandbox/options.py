"""What a person asks of a sandbox, and the ceremony that this means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from infra.board.vault import FileVault
from infra.homes import CeremonyFolder
from infra.plan.keys import SetupSeed, write_identity, write_setup_seed
from infra.plan.sandbox import sandbox_plan
from infra.plan.signing import load_signed_plan, write_signed_plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import COORDINATOR
from mpc_core.tfhe.parameters import scaled_name

if TYPE_CHECKING:
    from pathlib import Path

    from infra.enclave.insecure_software import Authority
    from infra.homes import Home
    from infra.plan.sandbox import SandboxParties
    from mpc_core.protocol.plan import Plan

__all__ = ["SandboxOptions", "open_ceremony"]

Value = TypeVar("Value")

DEFAULT_OPERATORS, DEFAULT_THRESHOLD = 4, 1
DEFAULT_PARAMETERS = "test"
DEFAULT_WAITING_SECONDS = 60.0

ROOT_AGE = timedelta(days=2)
"""How old a new test root is, so that a drill's document of yesterday is wrong in its age alone."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of `ringforge sandbox`; what is None was not given.

    Attributes:
        directory: folder of all ceremonies.
        identifier: name of the ceremony's folder; by default a new one, or the last unfinished.
        operators: n.
        threshold: t.
        parameters: name of the parameter set.
        scale: what the dimensions of that set are divided by.
        waiting_seconds: the plan's waiting time before an operator may be written off.
        setup_seed: hex digits that replace all randomness.
        resume: whether to continue a ceremony instead of making one.
        restart_operators: whether to start a dead operator again.
        network: file that describes lines between the parties.
        keep_openings: whether the transcript keeps every opened value.
        deputies: how many parties besides the coordinator may host the log.
        take_over: whether the log is moved to the host first, because the old one is lost.
        host: the party that hosts the log: the coordinator or a deputy.
        enclave: "software", which stands in for the enclaves of operators; "" for none.
    """

    directory: Path
    identifier: str | None = None
    operators: int | None = None
    threshold: int | None = None
    parameters: str | None = None
    scale: int | None = None
    waiting_seconds: float | None = None
    setup_seed: str | None = None
    resume: bool = False
    restart_operators: bool = False
    network: Path | None = None
    keep_openings: bool = False
    deputies: int | None = None
    take_over: bool = False
    host: str = COORDINATOR
    enclave: str = ""

    @property
    def parameter_set(self) -> str | None:
        """Name of the set that the ceremony is to have, scaled if that is asked for."""
        if self.scale is None:
            return self.parameters
        return scaled_name(_given(self.parameters, DEFAULT_PARAMETERS), self.scale)


def open_ceremony(options: SandboxOptions) -> tuple[CeremonyFolder, Plan]:
    """Make the ceremony that is asked for, or find the one to resume.

    Raises:
        CeremonyError: RF-PLAN-* if there can be no such plan, RF-RUN-015 or RF-RUN-016 if memory
            or disk do not suffice for it, RF-RUN-001 if the id is taken,
            RF-RUN-020 if there is nothing to resume, RF-RUN-005 if it is another ceremony,
            RF-DISK-* if the disk refuses.
    """
    return _resumed(options) if options.resume else _made(options)


def _made(options: SandboxOptions) -> tuple[CeremonyFolder, Plan]:
    if options.take_over or options.host != COORDINATOR:
        raise _another("--take-over and --host together with --resume", "neither there nor lost")
    identifier = options.identifier or f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = CeremonyFolder.named(options.directory, identifier)
    seed = SetupSeed.parse(options.setup_seed) if options.setup_seed is not None else None
    root = _test_root(seed) if options.enclave else None
    parties = sandbox_plan(
        operators=_given(options.operators, DEFAULT_OPERATORS),
        threshold=_given(options.threshold, DEFAULT_THRESHOLD),
        parameters=_given(options.parameter_set, DEFAULT_PARAMETERS),
        waiting_seconds=_given(options.waiting_seconds, DEFAULT_WAITING_SECONDS),
        seed=seed,
        deputies=_given(options.deputies, 0),
        hybrid=True,
        enclave=root,
    )
    plan = parties.signed.plan
    _check_room(plan, options.directory)
    names = [operator.name for operator in plan.operators]
    hosts = tuple(plan.hosts)
    with folder.being_made(names, hosts) as making:
        hosting = [making.host(name) for name in hosts]
        operating = [making.operator(name) for name in names]
        for home in (*hosting, *operating):
            write_signed_plan(home.path, parties.signed)
        for home in hosting if root is not None else (*hosting, *operating):
            _write_secrets(home, parties)
        if root is not None:
            _seal(making, operating, root, parties)
        else:
            for home in operating:
                FileVault(home.witness_file).create()
        write_signed_plan(making.root, parties.signed)
    return folder, plan


def _write_secrets(home: Home, parties: SandboxParties) -> None:
    write_identity(home.vault, parties.identities[home.name], parties.ml_dsa_keys[home.name])
    if home.name in parties.seeds:
        write_setup_seed(home.vault, parties.seeds[home.name])


def _test_root(seed: SetupSeed | None) -> Authority:
    """Return a test root under which software stands in for enclaves, older than the ceremony."""
    from infra.enclave import insecure_software  # noqa: PLC0415 - few sandboxes need it

    scalar = None if seed is None else insecure_software.scalar_of(seed.derive("test-root"))
    return insecure_software.Authority.create(datetime.now(UTC) - ROOT_AGE, scalar)


def _seal(
    making: CeremonyFolder, operating: list[Home], root: Authority, parties: SandboxParties
) -> None:
    from infra.sandbox.sealed import seal_homes  # noqa: PLC0415 - loads the SDK of AWS

    for home in operating:
        root.save(home.insecure_enclave)
    seal_homes(making, parties)


def _check_room(plan: Plan, directory: Path) -> None:
    from infra.estimate.preflight import check_sandbox, room_at  # noqa: PLC0415  # loads the layout
    from infra.party.rules import layout_of  # noqa: PLC0415

    check_sandbox(plan, layout_of(plan), directory, room_at(directory))


def _resumed(options: SandboxOptions) -> tuple[CeremonyFolder, Plan]:
    if options.identifier is None:
        folder = _last_unfinished(options.directory)
    else:
        folder = CeremonyFolder.named(options.directory, options.identifier)
    folder.check()
    plan = load_signed_plan(folder.root).plan
    if not plan.sandbox:
        raise _another("the plan of a sandbox", "a plan that is not one")
    if options.host not in plan.hosts:
        raise _another("--host " + " or ".join(plan.hosts), f"--host {options.host}")
    seed = SetupSeed.parse(options.setup_seed) if options.setup_seed is not None else None
    facts = {
        "--operators": (options.operators, plan.count),
        "--threshold": (options.threshold, plan.threshold),
        "--deputies": (options.deputies, len(plan.deputies)),
        "--parameters": (options.parameter_set, plan.parameters),
        "--waiting-time": (options.waiting_seconds, plan.deadlines.waiting_seconds),
        "--enclave": (options.enclave or None, "software" if plan.attestation else "none"),
        "the ceremony id of the seed": (seed and seed.ceremony_id(), plan.ceremony_id),
    }
    for name, (asked, planned) in facts.items():
        if asked is not None and asked != planned:
            raise _another(f"{name} {planned}, as in the plan", f"{name} {asked}")
    return folder, plan


def _last_unfinished(directory: Path) -> CeremonyFolder:
    plans = sorted(directory.glob("[!.]*/plan.toml"), key=lambda path: path.stat().st_mtime)
    folders = [CeremonyFolder(path.parent) for path in reversed(plans)]
    return next(
        (folder for folder in folders if not folder.report_json.exists()),
        folders[0] if folders else CeremonyFolder(directory),
    )


def _given(value: Value | None, otherwise: Value) -> Value:
    return otherwise if value is None else value


def _another(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-RUN-005",
        "this is not the ceremony that was asked for",
        expected=expected,
        found=found,
        effect="nothing was started and nothing was changed",
        next_step="leave that option out to resume, or leave out --resume to start a new ceremony",
        runbook="resume",
    )
