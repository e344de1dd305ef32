"""What people answer when a plan is drafted: a TOML file, and the cards of the parties.

A card is what a party hands out about itself: its name, its public keys and who it is. An answers
file names cards by their paths, relative to itself, and may say in their place what they would say.
"""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from infra.governance.refusals import governance_error
from infra.plan.document import MOST_BYTES, first_fault
from infra.plan.sections import (
    Count,
    DecisionSection,
    Hex32,
    MeasurementSection,
    MlDsaKey,
    Name,
    Particulars,
    RetentionSection,
    Section,
    Text,
    as_tuple,
)

if TYPE_CHECKING:
    from mpc_core.protocol.errors import CeremonyError

__all__ = [
    "Answers",
    "Card",
    "DeadlineAnswers",
    "RepresentativeCard",
    "read_answers",
    "read_card",
    "render_card",
    "represented",
]

Shape = TypeVar("Shape", bound=Section)


class _Identified(Section):
    name: Name
    identity_key: Hex32
    ml_dsa_key: MlDsaKey | None = None


class Card(Particulars, _Identified):
    """A party as it says of itself."""

    @classmethod
    def of(cls, name: str, ed25519: bytes, ml_dsa: bytes, particulars: dict[str, str]) -> Card:
        """Return the card of a party with these public keys.

        Raises:
            CeremonyError: RF-GOVERN-001 if the name or a particular is none.
        """
        keys = {"identity_key": ed25519.hex(), "ml_dsa_key": base64.b64encode(ml_dsa).decode()}
        try:
            return cls.model_validate({"name": name, **keys, **particulars})
        except ValidationError as error:
            raise _unanswered("the fields of a Card", first_fault(error)) from error


class RepresentativeCard(Card):
    """The card of who speaks for an operator, with whom the plan is to name it for."""

    speaks_for: Name


class _Party(Particulars):
    """A party in an answers file: a card, and what the file says in its place."""

    card: Text | None = None
    name: Name | None = None
    identity_key: Hex32 | None = None
    ml_dsa_key: MlDsaKey | None = None
    speaks_for: Name | None = None


_Parties = Annotated[tuple[_Party, ...], BeforeValidator(as_tuple), Field(max_length=99)]


class DeadlineAnswers(Section):
    """Waiting times that differ from those of the parameter set's size."""

    step_seconds: float | None = None
    waiting_seconds: float | None = None
    extension_seconds: int | None = None
    clock_seconds: int | None = None


class _File(Section):
    parameters: str | None = None
    threshold: Count | None = None
    sandbox: bool = False
    without_enclaves: Literal[True] | None = None
    deadlines: DeadlineAnswers = DeadlineAnswers()
    measurement: MeasurementSection | None = None
    decisions: DecisionSection | None = None
    retention: RetentionSection | None = None
    coordinator: _Party | None = None
    operators: _Parties = ()
    deputies: _Parties = ()
    representatives: _Parties = ()
    auditors: _Parties = ()


class Answers(Section):
    """What a plan is made from; the rest follows from the parameter set."""

    parameters: str
    threshold: Count
    sandbox: bool = False
    without_enclaves: Literal[True] | None = None
    deadlines: DeadlineAnswers = DeadlineAnswers()
    measurement: MeasurementSection | None = None
    decisions: DecisionSection | None = None
    retention: RetentionSection | None = None
    coordinator: Card
    operators: tuple[Card, ...]
    deputies: tuple[Card, ...] = ()
    representatives: tuple[RepresentativeCard, ...] = ()
    auditors: tuple[Card, ...] = ()


def read_card(path: Path) -> Card:
    """Return what a card says.

    Raises:
        CeremonyError: RF-GOVERN-001 if the file is no card.
    """
    return _read(Card, path)


def read_answers(path: Path | None, said: dict[str, object]) -> Answers:
    """Return the answers of a file, with what was said by options in their place.

    Args:
        path: the file; None if options say everything.
        said: fields of `Answers` by name; parties of lists come after those of the file.

    Raises:
        CeremonyError: RF-GOVERN-001 if a file cannot be read, or something is not answered.
    """
    answers: dict[str, object] = {}
    if path is not None:
        file = _read(_File, path)
        answers = {name: getattr(file, name) for name in _File.model_fields}
        if file.coordinator is not None:
            answers["coordinator"] = _card_of(path, file.coordinator)
        for role in ("operators", "deputies", "representatives", "auditors"):
            answers[role] = tuple(_card_of(path, party) for party in getattr(file, role))
    for name, value in said.items():
        before = answers.get(name)
        both = isinstance(value, tuple) and isinstance(before, tuple)
        answers[name] = (*before, *value) if both else value  # type: ignore[misc]
    try:
        return Answers.model_validate({k: v for k, v in answers.items() if v is not None})
    except ValidationError as error:
        raise _unanswered("an answer to every question", first_fault(error)) from error


def represented(said: str) -> RepresentativeCard:
    """Return the card of who speaks for an operator, from OPERATOR=CARD.

    Raises:
        CeremonyError: RF-GOVERN-001 if it is not that, or the file is no card.
    """
    operator, _, path = said.partition("=")
    try:
        card = read_card(Path(path)).model_dump(exclude_none=True)
        return RepresentativeCard.model_validate({**card, "speaks_for": operator})
    except ValidationError as error:
        raise _unanswered("OPERATOR=CARD", repr(said[:80])) from error


def render_card(card: Card) -> str:
    """Return a card as the file that its party hands out."""
    fields = card.model_dump(exclude_none=True)
    return "".join(f'{name} = "{value}"\n' for name, value in fields.items())


def _card_of(answers: Path, party: _Party) -> Card:
    stated = party.model_dump(exclude_none=True, exclude={"card"})
    if party.card is not None:
        card = read_card(answers.parent / party.card)
        stated = card.model_dump(exclude_none=True) | stated
    shape = RepresentativeCard if party.speaks_for is not None else Card
    try:
        return shape.model_validate(stated)
    except ValidationError as error:
        raise _unanswered("a name and keys, or a card", first_fault(error)) from error


def _read(shape: type[Shape], path: Path) -> Shape:
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        raise _unanswered(f"a readable file {path}", error.strerror or str(error)) from error
    if data is None:
        raise _unanswered(f"at most {MOST_BYTES} bytes", f"{path}, which is longer")
    return decode(shape, data, str(path))


def decode(shape: type[Shape], data: bytes, name: str = "the file") -> Shape:
    """Return what the bytes of a card or of an answers file say.

    Raises:
        CeremonyError: RF-GOVERN-001 if they are none.
    """
    try:
        return shape.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise _unanswered(f"the fields of a {shape.__name__}", first_fault(error)) from error
    except (ValueError, RecursionError) as error:
        raise _unanswered("TOML in UTF-8", f"{name}: {str(error)[:200]}") from error


def _unanswered(expected: str, found: str) -> CeremonyError:
    return governance_error(
        "RF-GOVERN-001",
        "the plan cannot be drafted from these answers",
        expected,
        found,
        "correct the answers file or the card, and give the command again",
    )
