"""`ringforge plan` and `ringforge approve`: what the commands show, and their exit codes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.board.vault import FileVault
from infra.cli.ending import UNVERIFIED, WAITING, print_json
from infra.files import write_atomic
from infra.governance.answers import Card, read_answers, render_card
from infra.governance.changes import changes, succeeds
from infra.governance.drafting import draft
from infra.governance.gathering import check_typed, open_draft, sign
from infra.governance.refusals import governance_error
from infra.governance.table import WITHOUT_ENCLAVES, fingerprint_lines, table_lines
from infra.homes import Home
from infra.plan.document import parse_plan, render_plan
from infra.plan.keys import create_hybrid_identity, write_identity
from infra.plan.signing import read_file, read_signatures
from infra.plan.words import words_of
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.governance.gathering import Draft
    from infra.plan.document import PlanDocument

__all__ = [
    "approve_command",
    "check_command",
    "collect_command",
    "diff_command",
    "identity_command",
    "new_command",
    "show_command",
    "sign_command",
]


def identity_command(home: Path, particulars: dict[str, str]) -> int:
    """Make the home of a party with a fresh identity, and write its card to standard output.

    Raises:
        CeremonyError: RF-GOVERN-004 if there is an identity already, RF-GOVERN-001 if the name of
            the home or a particular is none.
    """
    place = Home(home.resolve())
    identity = create_hybrid_identity()
    public = identity.public
    card = Card.of(place.name, public.ed25519, public.ml_dsa, particulars)
    if place.path.exists() and any(place.path.iterdir()):
        raise _exists(place.path)
    place.make()
    write_identity(place.vault, identity.ed25519, identity.ml_dsa)
    FileVault(place.witness_file).create()
    sys.stdout.write(render_card(card))
    return 0


def new_command(
    answers: Path | None, said: dict[str, object], revises: Path | None, output: Path
) -> int:
    """Draft a plan and write it.

    Raises:
        CeremonyError: RF-GOVERN-001 for what is not answered, RF-GOVERN-004 if the file exists,
            RF-PLAN-* if there can be no such plan.
    """
    previous = None if revises is None else parse_plan(read_file(revises))
    document = draft(read_answers(answers, said), previous)
    if output.exists():
        raise _exists(output)
    write_atomic(output, render_plan(document))
    _say(fingerprint_lines(document))
    return 0


def show_command(path: Path, *, as_json: bool) -> int:
    """Show what a plan says, its hash in hex and words, and who has yet to sign."""
    found = open_draft(path)
    if as_json:
        print_json({**found.document.model_dump(mode="json"), **_state(found)})
    else:
        _say(table_lines(found.document, found.missing))
    return 0


def diff_command(old: Path, new: Path, *, as_json: bool) -> int:
    """Show what changed in meaning between two plans; signatures are not looked at."""
    first, second = (parse_plan(read_file(path)) for path in (old, new))
    found, follows = changes(first, second), succeeds(first, second)
    if as_json:
        print_json({"succeeds": follows, "changes": [asdict(change) for change in found]})
        return 0
    verdict = "is" if follows else "does not say that it is"
    _say(
        [
            *(change.render() for change in found),
            *([] if found else ["the two plans mean the same"]),
            f"version {second.number} {verdict} the next version of the first",
        ]
    )
    return 0


def sign_command(path: Path, home: Path, *, as_json: bool) -> int:
    """Sign a plan with the identity of a home; 3 while somebody has yet to sign."""
    name, signed = sign(open_draft(path), home)
    return _end(signed, f"signed by {name}", as_json=as_json)


def approve_command(
    path: Path, home: Path, words: str | None, ask: Callable[[str], str], *, as_json: bool
) -> int:
    """Show a plan, have its hash typed, and sign it; 3 while somebody has yet to sign.

    Args:
        path: the plan.
        home: whose identity signs.
        words: the hash as somebody typed it already; None to ask.
        ask: shows a question and returns what is typed.
        as_json: one JSON object instead of lines for people.
    """
    found = open_draft(path)
    sys.stderr.write("\n".join(table_lines(found.document, found.missing)) + "\n\n")
    question = "type the words, or the hash in hex, as the other operators read them: "
    check_typed(found.document, ask(question) if words is None else words)
    name, signed = sign(found, home)
    return _end(signed, f"approved and signed by {name}", as_json=as_json)


def collect_command(path: Path, files: Sequence[Path], *, as_json: bool) -> int:
    """Take signatures from other copies of plan.sig; 3 while somebody has yet to sign."""
    found = open_draft(path)
    for file in files:
        found = found.with_signatures(read_signatures(found.plan, read_file(file)))
    return _end(found, f"{len(found.signatures)} signatures are valid", as_json=as_json)


def check_command(path: Path, previous: Path | None, *, as_json: bool) -> int:
    """Check all of a plan: 0 if everybody signed it, 3 if somebody has yet to, 4 if it is none."""
    try:
        found = open_draft(path)
        if previous is not None:
            _check_succession(parse_plan(read_file(previous)), found.document)
    except CeremonyError as error:
        if as_json:
            print_json({"valid": False, "exit": UNVERIFIED, "error": error.as_dict()})
        sys.stderr.write(error.render() + "\n")
        return UNVERIFIED
    document = found.document
    kind = "hybrid signatures" if document.ml_dsa_keys else "Ed25519 signatures alone"
    facts = [
        "ok  canonical: the file is its own rendering",
        f"ok  {found.plan.count} operators, {found.plan.threshold} may crash or lie; {kind}",
        f"ok  version {document.number}",
        f"ok  {len(found.signatures)} signatures are valid",
    ]
    if document.without_enclaves:
        facts.append(f"!!  NO ENCLAVES, as the plan says: {WITHOUT_ENCLAVES}")
    if not as_json:
        _say(facts)
    return _end(found, "", as_json=as_json)


def _check_succession(old: PlanDocument, new: PlanDocument) -> None:
    if not succeeds(old, new):
        raise governance_error(
            "RF-GOVERN-006",
            "this plan is not the next version of the other one",
            f"version {old.number + 1} of ceremony {old.ceremony_id} after {old.hash.hex()}",
            f"version {new.number} of ceremony {new.ceremony_id} after "
            f"{new.revision.previous if new.revision else 'none'}",
            "ringforge plan new --revises the plan that all have signed",
            effect="the plan is refused",
        )


def _end(found: Draft, done: str, *, as_json: bool) -> int:
    code = WAITING if found.missing else 0
    if as_json:
        print_json({"exit": code, **_state(found)})
        return code
    missing = f"not signed yet by {', '.join(found.missing)}" if found.missing else ""
    _say([line for line in (done, missing or "signed by everybody") if line])
    _say(fingerprint_lines(found.document))
    return code


def _state(found: Draft) -> dict[str, object]:
    return {
        "hash": found.plan.hash.hex(),
        "enclaves": found.plan.attestation is not None,
        "words": list(words_of(found.plan.hash)),
        "signed": list(found.signatures),
        "missing": list(found.missing),
    }


def _exists(path: Path) -> CeremonyError:
    return governance_error(
        "RF-GOVERN-004",
        f"{path.name} exists already",
        f"no {path}",
        "something there",
        "choose another place; what others may have signed or rely on is not written over",
    )


def _say(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
