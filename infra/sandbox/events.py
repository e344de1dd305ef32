"""What the processes of a ceremony say on their standard output: one JSON object on each line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = [
    "Event",
    "Failed",
    "Finished",
    "Progressed",
    "Ready",
    "StageChanged",
    "Troubled",
    "parse_event",
]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Ready(_Event):
    """The process works; the coordinator says where its board is, an operator where it is."""

    event: Literal["ready"]
    port: int | None = Field(default=None, ge=1, le=65_535)
    board_port: int | None = Field(default=None, ge=1, le=65_535)


class Troubled(BaseModel):
    """A party whose steps fail again and again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    party: str = Field(max_length=64)
    code: str = Field(max_length=32)
    since: str = ""
    times: int = Field(default=0, ge=0)


class Progressed(_Event):
    """How far a stage is, and how far the whole ceremony."""

    event: Literal["progress"]
    stage: str = Field(max_length=32)
    batches_done: int = Field(default=0, ge=0)
    batches: int = Field(default=0, ge=0)
    bits_done: int = Field(default=0, ge=0)
    waiting_for: tuple[str, ...] = ()
    waiting_since: str = ""
    percent: int | None = Field(default=None, ge=0, le=100)
    seconds_left: float | None = Field(default=None, ge=0)
    note: str = ""
    troubles: tuple[Troubled, ...] = ()


class StageChanged(_Event):
    """A stage began or ended."""

    event: Literal["stage"]
    stage: str = Field(max_length=32)
    state: Literal["started", "done"]


class Failed(_Event):
    """The process stops, for the reason of a `CeremonyError`."""

    event: Literal["error"]
    code: str
    subject: str
    operator: str = ""
    stage: str = ""
    expected: str = ""
    found: str = ""
    effect: str = ""
    next: str = ""
    runbook: str = ""


class Finished(_Event):
    """The work is done: the key set is announced, or the list with this digest is decrypted."""

    event: Literal["finished"]
    digest: str
    keyset: str = ""


Event = Ready | Progressed | StageChanged | Failed | Finished

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str) -> Event | None:
    """Return the event on a line, or nothing if the line says something else."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None
