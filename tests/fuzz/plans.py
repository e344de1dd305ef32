"""What people hand around: plans, signatures, manifests."""

from __future__ import annotations

from infra.governance.answers import Card, decode, render_card
from infra.plan.document import parse_plan, render_plan
from infra.plan.signing import verify_signed_plan
from infra.plan.words import bytes_of, words_of
from infra.publish import Keeps
from infra.publish.manifest import FileRecord, is_cut_short, parse_manifest, sign_manifest
from tests.fuzz.registry import chosen, one_of, target
from tests.fuzz.values import PLAN, signed_plan
from tests.support.board import key_of
from tests.support.plans import complete_document


def _plans():
    yield signed_plan().toml
    complete = complete_document()
    least = {"sandbox": True, "ml_dsa_keys": None}
    yield render_plan(complete.model_copy(update=least))
    without = {"measurement": None, "without_enclaves": True}
    yield render_plan(complete.model_copy(update=least | without))


@target(seeds=_plans)
def plan(data):
    assert render_plan(parse_plan(data)) == data


def _cards():
    operator, key = complete_document().operators[0], complete_document().ml_dsa_keys["op-01"]
    yield render_card(Card(ml_dsa_key=key, **operator.model_dump(exclude={"index"}))).encode()


def _words():
    yield " ".join(words_of(bytes(range(32)))).encode()


def _card(data):
    found = decode(Card, data)
    assert decode(Card, render_card(found).encode()) == found


def _spoken(data):
    found = bytes_of(data.decode(errors="replace"))
    assert found is None or bytes_of(" ".join(words_of(found))) == found


@target(seeds=chosen(_cards, _words))
def cards_and_words(data):
    one_of(data, _card, _spoken)


@target(seeds=lambda: [signed_plan().signatures])
def plan_signatures(data):
    verify_signed_plan(signed_plan().toml, data)
    assert data == signed_plan().signatures  # Ed25519 has one signature per key and message


def _manifests():
    files = [FileRecord(f"keyset/{name}", 5, bytes(32)) for name in ("a", "b")]
    yield sign_manifest(PLAN, Keeps.ALL, files, key_of(0))
    yield sign_manifest(PLAN, Keeps.ASSEMBLY, [], key_of(0))


@target(seeds=_manifests)
def manifest(data):
    is_cut_short(data)
    found = parse_manifest(data)
    paths = [record.path for record in found.files]
    assert paths == sorted(set(paths))
    assert not any(".." in path.split("/") or path.startswith("/") for path in paths)
