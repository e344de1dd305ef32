"""The commands of `ringforge` and their options; what they do is imported when they run."""

# ruff: noqa: PLC0415

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.enclave import attestation, operator_leave, operator_policy, operator_seal
from infra.cli.ending import ending, print_json, stop_like_ctrl_c
from infra.cli.evidence import evidence
from infra.cli.governance import (
    Representative,
    approve,
    decide,
    decisions,
    operator_sweep,
    plan,
)
from infra.cli.image import operator_measure, release
from infra.network.places import LOOPBACK, Reach
from infra.secrecy import forbid_core_dumps

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

app = typer.Typer(
    name="ringforge",
    help="Create the keys of fully homomorphic encryption among operators who share no secret.",
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 waiting (resume), 4 verification failed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
coordinator = typer.Typer(help="The process that hosts the log and gives the orders.")
operator = typer.Typer(help="The process of one operator.")
drill = typer.Typer(help="Ceremonies that go wrong on purpose.")
app.add_typer(drill, name="drill", no_args_is_help=True)
app.add_typer(evidence, name="evidence", no_args_is_help=True)
app.add_typer(coordinator, name="coordinator", no_args_is_help=True)
app.add_typer(operator, name="operator", no_args_is_help=True)
app.add_typer(attestation, name="attestation", no_args_is_help=True)
app.add_typer(plan, name="plan", no_args_is_help=True)
app.add_typer(release, name="release", no_args_is_help=True)
app.command("approve")(approve)
app.command("decide")(decide)
app.command("decisions")(decisions)
operator.command("policy")(operator_policy)
operator.command("seal")(operator_seal)
operator.command("leave")(operator_leave)
operator.command("sweep")(operator_sweep)
operator.command("measure")(operator_measure)

Home = Annotated[
    Path, typer.Option("--home", help="Folder with vault/, work/ and the signed plan.")
]
Temporal = Annotated[str, typer.Option("--temporal", help="Address of the Temporal server.")]
Listen = Annotated[
    str, typer.Option("--listen", help="This machine's address, at which the others reach it.")
]
Ranges = Annotated[
    int,
    typer.Option(
        "--ranges", min=1, max=64, help="Parts of a file to fetch at once over long lossy lines."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="The port to serve; 0 for any free one.")
]
KeepOpenings = Annotated[
    bool,
    typer.Option(
        "--keep-openings", help="Keep every opened value in the transcript, not only the last."
    ),
]
SharedOpenings = Annotated[
    Path | None,
    typer.Option(help="Folder in which this machine's parties keep opened values once."),
]
InsecureClockOffset = Annotated[
    Path | None,
    typer.Option(hidden=True, help="INSECURE: file with the seconds by which a drill moves time."),
]


class Enclaves(Enum):
    """What stands in for the enclaves of a sandbox."""

    SOFTWARE = "software"


Ceremony = Annotated[Path, typer.Argument(help="Folder of the ceremony.")]


@app.command()
def sandbox(
    *,
    operators: Annotated[
        int | None, typer.Option(help="Number of operators, at least 3t+1. [default: 4]")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(help="How many may crash or lie. [default: 1]")
    ] = None,
    parameters: Annotated[str | None, typer.Option(help="Parameter set. [default: test]")] = None,
    scale: Annotated[
        int | None,
        typer.Option(help="INSECURE: divide the set's dimensions by this power of two."),
    ] = None,
    identifier: Annotated[
        str | None, typer.Option("--id", help="Name of the ceremony's folder. [default: the time]")
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(help="TOML file of emulated lines between the parties; takes root on Linux."),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Folder of all ceremonies.")] = Path(
        "ceremonies"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a ceremony; without --id the last one.")
    ] = False,
    waiting_time: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=2_592_000,
            help="Seconds before a silent operator may be written off. [default: 60]",
        ),
    ] = None,
    restart_operators: Annotated[
        bool, typer.Option("--restart-operators", help="Start operators again when they die.")
    ] = False,
    keep_openings: KeepOpenings = False,
    deputies: Annotated[
        int | None,
        typer.Option(max=8, help="Parties that may host the log in the coordinator's place."),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="With --resume: the log's host is lost; move it.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --resume: who hosts the log, as deputy-1.")
    ] = "coordinator",
    enclave: Annotated[
        Enclaves | None,
        typer.Option(help="What operators run in; INSECURE: software stands in for enclaves."),
    ] = None,
    insecure_setup_seed: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="INSECURE: derive every secret from this seed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole ceremony on this machine, every party in a process of its own."""
    from infra.sandbox.display import choose_display
    from infra.sandbox.options import SandboxOptions
    from infra.sandbox.run import run_sandbox

    options = SandboxOptions(
        directory=directory,
        identifier=identifier,
        operators=operators,
        threshold=threshold,
        parameters=parameters,
        scale=scale,
        waiting_seconds=waiting_time,
        setup_seed=insecure_setup_seed,
        resume=resume,
        restart_operators=restart_operators,
        network=network,
        keep_openings=keep_openings,
        deputies=deputies,
        take_over=take_over,
        host=host,
        enclave=enclave.value if enclave else "",
    )
    with ending(as_json=as_json):
        emit = print_json if as_json else _say_nothing
        result = run_sandbox(options, choose_display(), emit)
        if as_json:
            print_json({"event": "result", **result.as_dict()})
        else:
            typer.echo("\n".join(f"{name:<11}{place}" for name, place in result.as_dict().items()))


@coordinator.command("run")
def coordinator_run(
    home: Home,
    temporal: Temporal,
    *,
    listen: Listen = LOOPBACK,
    ranges: Ranges = 1,
    port: Port = 0,
    keep_openings: KeepOpenings = False,
    shared_openings: SharedOpenings = None,
    insecure_clock_offset: InsecureClockOffset = None,
    database: Annotated[
        str | None,
        typer.Option(help="URL of the log's database. [default: a SQLite file in the home]"),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Have the operators move the log to this home.")
    ] = False,
    operators: Annotated[
        list[str] | None,
        typer.Option("--operator", metavar="NAME=HOST:PORT", help="Where an operator is."),
    ] = None,
    ciphertext: Annotated[
        bytes | None,
        typer.Option(
            "--decrypt",
            parser=bytes.fromhex,
            hidden=True,
            help="Merkle root of a ciphertext list in the outbox, to have that decrypted.",
        ),
    ] = None,
    operator_namespaces: Annotated[
        list[str] | None,
        typer.Option(
            "--operator-namespace",
            metavar="NAME=NAMESPACE",
            help="An operator with a namespace of Temporal of its own.",
        ),
    ] = None,
) -> None:
    """Host the log, give the orders, and write what happens as JSON lines."""
    with ending(as_json=True):
        from infra.coordinator import run_coordinator

        stop_like_ctrl_c()
        raise typer.Exit(
            run_coordinator(
                home,
                temporal,
                Reach(listen, ranges, port),
                ciphertext or b"",
                keep_openings=keep_openings,
                shared_openings=shared_openings,
                insecure_clock_offset=insecure_clock_offset,
                take_over=_addresses(operators or []) if take_over else None,
                database=database,
                namespaces=_named(operator_namespaces or []),
            )
        )


@operator.command("run")
def operator_run(
    home: Home,
    temporal: Temporal,
    *,
    board: Annotated[
        str | None, typer.Option("--board", help="Address of the log; else wait to be told.")
    ] = None,
    listen: Listen = LOOPBACK,
    ranges: Ranges = 1,
    shared_openings: SharedOpenings = None,
    insecure_clock_offset: InsecureClockOffset = None,
    insecure_lie: Annotated[
        str,
        typer.Option(hidden=True, help="INSECURE: the lie that this operator of a drill tells."),
    ] = "",
    insecure_local_kms: Annotated[
        str | None, typer.Option(hidden=True, help="INSECURE: URL of a sandbox's key service.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of Temporal in which its task queues are.")
    ] = None,
    rejoin: Annotated[
        bool, typer.Option("--rejoin", help="The vault is lost, but for the identity key.")
    ] = False,
) -> None:
    """Take part in the ceremony of this home; a second start goes on where the first ended."""
    with ending(as_json=True):
        from infra.operator import run_operator

        stop_like_ctrl_c()
        raise typer.Exit(
            run_operator(
                home,
                temporal,
                board,
                Reach(listen, ranges),
                shared_openings=shared_openings,
                insecure_clock_offset=insecure_clock_offset,
                insecure_lie=insecure_lie,
                insecure_local_kms=insecure_local_kms,
                namespace=namespace,
                rejoin=rejoin,
            )
        )


@operator.command("admit")
def operator_admit(
    home: Home,
    *,
    name: Annotated[str, typer.Option("--operator", help="Who lost its vault.")],
    key: Annotated[
        str, typer.Option("--key", help="The key that its people read to you, in hex.")
    ] = "",
    representative: Representative = None,
    as_json: AsJson = False,
) -> None:
    """Approve that an operator that lost its vault gets its seat back, with all its keys."""
    with ending(as_json=as_json):
        from infra.party.admit import admit

        approval = admit(home, name, key, representative)
        if as_json:
            print_json(approval.as_dict())
        else:
            typer.echo(approval.text)
        raise typer.Exit(0 if approval.given else 3)


@app.command()
def verify(
    folder: Ceremony,
    *,
    plan_hash: Annotated[
        str | None, typer.Option("--plan-hash", help="The plan that it must be, in hex.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a finished ceremony again, offline and without secrets: 0, 3 incomplete, 4 invalid."""
    with ending(as_json=as_json):
        from infra.verify import verify_command

        raise typer.Exit(verify_command(folder, plan_hash=plan_hash, as_json=as_json))


@app.command()
def decrypt(
    folder: Ceremony,
    file: Annotated[Path, typer.Argument(help="A compact ciphertext list.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Let the operators of an insecure sandbox ceremony decrypt a ciphertext list together."""
    with ending(as_json=as_json):
        from infra.decrypt import decrypt_command

        raise typer.Exit(decrypt_command(folder, file, as_json=as_json))


@app.command()
def bench(*, as_json: AsJson = False) -> None:
    """Measure the steps of the protocol on this machine."""
    with ending(as_json=as_json):
        from infra.bench.command import bench_command

        raise typer.Exit(bench_command(as_json=as_json))


@app.command()
def estimate(
    *,
    plan: Annotated[Path | None, typer.Option(help="A plan.toml; else a set and a size.")] = None,
    parameters: Annotated[str, typer.Option(help="Parameter set.")] = "mainnet",
    operators: Annotated[int, typer.Option(help="Number of operators.")] = 4,
    threshold: Annotated[
        int | None, typer.Option(help="How many may crash or lie. [default: (n-1)/3]")
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Of a machine's link, as 500Mbps. [default: 1Gbps]")
    ] = None,
    rtt: Annotated[
        str | None, typer.Option(help="Round trip between operators. [default: 80ms]")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of a machine. [default: those of this one]")
    ] = None,
    operators_per_machine: Annotated[
        int | None, typer.Option(min=1, help="How many share a machine. [default: 1]")
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Everything on this machine, no network.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure overheads by two small ceremonies first.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="Folder of a finished ceremony: its figures beside these.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict time, bytes, memory and disk of a ceremony from measurements on this machine."""
    with ending(as_json=as_json):
        from infra.estimate.command import (
            EstimateOptions,
            estimate_command,
            parse_bandwidth,
            parse_seconds,
        )

        options = EstimateOptions(
            plan=plan,
            parameters=parameters,
            operators=operators,
            threshold=threshold,
            bandwidth=_parsed(bandwidth, parse_bandwidth, "--bandwidth"),
            rtt=_parsed(rtt, parse_seconds, "--rtt"),
            cores=cores,
            operators_per_machine=operators_per_machine,
            sandbox=sandbox,
            calibrate=calibrate,
            compare=compare,
        )
        raise typer.Exit(estimate_command(options, as_json=as_json))


@drill.command("chaos")
def drill_chaos(
    *,
    kills: Annotated[int, typer.Option(min=1, help="Disturbances, over as many ceremonies.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the first ceremony; each next has the next.")] = 1,
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of the ceremonies; one that fails is kept.")
    ] = Path("drills"),
    patience: Annotated[
        float, typer.Option(min=30, help="Seconds without a step after which one has failed.")
    ] = 600,
    per_ceremony: Annotated[
        int | None, typer.Option(min=1, help="Disturbances of a ceremony. [default: 6 to 14]")
    ] = None,
    postgresql: Annotated[
        Path | None,
        typer.Option(help="Folder of initdb and postgres: keep the log there, and kill it too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Kill, stop, damage and fill up the processes of ceremonies at random moments."""
    from infra.drill.chaos import ChaosOptions, chaos_command

    with ending(as_json=as_json):
        options = ChaosOptions(
            kills,
            seed,
            directory,
            patience_seconds=patience,
            per_ceremony=per_ceremony,
            postgresql=postgresql,
        )
        raise typer.Exit(chaos_command(options, as_json=as_json))


@drill.command("liar")
def drill_liar(
    *,
    lie: Annotated[str, typer.Option(help="As the assurance case names it.")] = "wrong-answer",
    operators: Annotated[int, typer.Option(min=4, max=13, help="One of them lies.")] = 4,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Small keys, no processes; any lie.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of the ceremonies and of the evidence.")
    ] = Path("drills"),
    as_json: AsJson = False,
) -> None:
    """Have one operator lie: who is named, on what evidence, and what the ceremony takes longer."""
    from infra.drill.liar import LiarOptions, liar_command

    with ending(as_json=as_json):
        options = LiarOptions(lie, operators, directory, in_memory)
        raise typer.Exit(liar_command(options, as_json=as_json))


@drill.command("enclave")
def drill_enclave(
    *,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="What is false, as `changed-code`; may be repeated. [all]"),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Folder of the ceremonies.")] = Path(
        "drills"
    ),
    as_json: AsJson = False,
) -> None:
    """Have one operator's enclave be false: all others must refuse it by name, and go on."""
    from infra.drill.enclave import KINDS, EnclaveOptions, enclave_command

    if unknown := set(kinds or ()) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(KINDS)}")
    with ending(as_json=as_json):
        options = EnclaveOptions(tuple(kinds or KINDS), directory)
        raise typer.Exit(enclave_command(options, as_json=as_json))


@drill.command("simulate")
def drill_simulate(
    *,
    schedules: Annotated[int, typer.Option(min=1, help="Ceremonies, one after another.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the first schedule; each next has the next.")] = 1,
    operators: Annotated[
        int | None, typer.Option(min=4, max=13, help="Of every ceremony. [default: as drawn]")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Show and run the schedule of this seed alone.")
    ] = False,
) -> None:
    """Run ceremonies in memory under random schedules of crashes, losses, delays and lies."""
    from infra.drill.simulate import SimulateOptions, simulate_command

    with ending(as_json=False):
        options = SimulateOptions(schedules, seed, operators, replay)
        simulate_command(options, lambda line: typer.echo(line, err=True))


def main() -> None:
    """Run the command line of this process."""
    forbid_core_dumps()
    app(prog_name="ringforge")


def _parsed(text: str | None, parse: Callable[[str], float], option: str) -> float | None:
    """Return what an option says; a text that says nothing is wrong usage."""
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from error


def _addresses(texts: list[str]) -> dict[str, tuple[str, int]]:
    """Return addresses by name, from NAME=HOST:PORT."""
    found = {}
    for text in texts:
        name, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        if not name or not host or not port.isdecimal():
            raise typer.BadParameter(f"{text!r} is not NAME=HOST:PORT", param_hint="--operator")
        found[name] = (host, int(port))
    return found


def _named(texts: list[str]) -> dict[str, str]:
    """Return namespaces by operator, from NAME=NAMESPACE."""
    found = {}
    for text in texts:
        name, _, namespace = text.partition("=")
        if not name or not namespace:
            raise typer.BadParameter(
                f"{text!r} is not NAME=NAMESPACE", param_hint="--operator-namespace"
            )
        found[name] = namespace
    return found


def _say_nothing(_: object) -> None:
    """Take an event that nobody asked for."""
