"""wan.toml: what the line of every party is like, written by a person.

    emulator = "auto"                # or "netem", "relay"
    seed = 1                         # of the losses

    [link]                           # of every party
    rate = "1Gbps"
    delay = "40ms"
    loss = "1%"
    congestion_control = "bbr"

    [links.op-02]                    # what is different for one
    delay = "120ms"

A link belongs to a party: an operator, or `coordinator`, where log and Temporal server are. Its
rate holds in each direction. Delay and loss meet what the party sends, so that the round trip
between two parties is the sum of their delays, and each of them loses packets of its own.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from infra.network.lines import LinkShape
from infra.plan.keys import COORDINATOR
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Emulator", "NetworkShape", "load_network", "parse_network"]

Emulator = Literal["auto", "netem", "relay"]

MOST_BYTES = 65_536
RATES = {"kbps": 10**3, "Mbps": 10**6, "Gbps": 10**9}
DELAYS = {"ms": 1e-3, "s": 1.0}
SHARES = {"%": 1e-2}


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What wan.toml says.

    Attributes:
        emulator: what emulates the links; "auto" takes netem if the kernel has it.
        seed: of the losses, where the emulator takes one.
        link: every party's line but those in `links`.
        links: lines by the names of their parties.
    """

    emulator: Emulator
    seed: int
    link: LinkShape
    links: Mapping[str, LinkShape]

    def of(self, name: str) -> LinkShape:
        """Return the line of a party."""
        return self.links.get(name, self.link)

    def check_names(self, operators: Iterable[str]) -> None:
        """Check that every line belongs to a party of the ceremony.

        Raises:
            CeremonyError: RF-NET-003.
        """
        parties = (COORDINATOR, *operators)
        strangers = sorted(set(self.links) - set(parties))
        if strangers:
            raise _refused(
                "RF-NET-003",
                "the network file describes the line of somebody who takes no part",
                expected=f"links of {', '.join(parties)}",
                found=f"a link of {strangers[0]}",
            )


def _in_units(units: Mapping[str, float], what: str) -> BeforeValidator:
    """Return the reader of a number with its unit, such as "40ms"."""
    pattern = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(units)})")

    def read(value: object) -> object:
        match = pattern.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{what} is written as a number with its unit, {' or '.join(units)}")
        return float(match[1]) * units[match[2]]

    return BeforeValidator(read)


Rate = Annotated[float, Field(ge=64e3, le=100e9), _in_units(RATES, "a rate")]
Delay = Annotated[float, Field(ge=0, le=10), _in_units(DELAYS, "a delay")]
Loss = Annotated[float, Field(ge=0, le=0.5), _in_units(SHARES, "a loss")]
Algorithm = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,14}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LinkSection(_Section):
    """A line, or what is different about it."""

    rate: Rate | None = None
    delay: Delay | None = None
    loss: Loss | None = None
    congestion_control: Algorithm | None = None

    def over(self, link: LinkShape) -> LinkShape:
        """Return a line with what this section says about it."""
        said: dict[str, Any] = self.model_dump(exclude_none=True)
        if "rate" in said:
            said["rate"] = round(said["rate"])
        return replace(link, **said)


class NetworkDocument(_Section):
    """Everything that wan.toml says."""

    emulator: Emulator = "auto"
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0
    link: LinkSection = LinkSection()
    links: dict[str, LinkSection] = Field(default_factory=dict)

    def to_shape(self) -> NetworkShape:
        """Return the lines, each with all that holds for it."""
        every = self.link.over(LinkShape())
        return NetworkShape(
            self.emulator,
            self.seed,
            every,
            {name: section.over(every) for name, section in self.links.items()},
        )


def load_network(path: Path) -> NetworkShape:
    """Read a network file.

    Raises:
        CeremonyError: RF-NET-001 if there is no such file, RF-NET-002 if it is not one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(
            "RF-NET-001",
            "the network file cannot be read",
            expected=f"a file {path}",
            found=error.strerror or type(error).__name__,
        ) from error
    return parse_network(data)


def parse_network(data: bytes) -> NetworkShape:
    """Return what the bytes of a network file say.

    Raises:
        CeremonyError: RF-NET-002 for anything that is not exactly of this form.
    """
    if len(data) > MOST_BYTES:
        raise _malformed(f"at most {MOST_BYTES} bytes", f"{len(data)} bytes")
    try:
        return NetworkDocument.model_validate(tomllib.loads(data.decode())).to_shape()
    except UnicodeDecodeError as error:
        raise _malformed("UTF-8 text", f"another byte at offset {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise _malformed("TOML", str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _malformed("known fields with values in range", f"{where}: {first['msg']}") from error


def _malformed(expected: str, found: str) -> CeremonyError:
    return _refused(
        "RF-NET-002", "the network file does not describe a network", expected=expected, found=found
    )


def _refused(code: str, subject: str, *, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect="nothing was started",
        next_step="correct the file that --network names; add --resume if the folder is there",
        runbook="network-shaped-runs",
    )
