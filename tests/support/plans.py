"""Plans that say everything a plan can say, with the keys that sign them."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from infra.plan import SetupSeed, parse_plan, sign_plan
from infra.plan.hybrid import HybridIdentity
from infra.plan.sandbox import sandbox_plan
from infra.plan.sections import (
    AuditorSection,
    DecisionSection,
    MeasurementSection,
    RepresentativeSection,
    RetentionSection,
    RevisionSection,
)

SEED = SetupSeed(bytes(range(16)))
AUDITOR = "watch"
PARTICULARS = {
    "organisation": "Universität Zürich",
    "site": "Zürich, Gebäude 4",
    "jurisdiction": "CH-ZH",
    "time_zone": "Europe/Zurich",
    "contact": "+41 44 000 00 00",
    "kms_key": "arn:aws:kms:eu-central-2:111122223333:key/00000000-0000-4000-8000-000000000000",
    "storage": "s3://share-store-op",
}


def register(index):
    return hashlib.sha384(b"register %d" % index).hexdigest()


@cache
def hybrid_parties():
    """Return a signed sandbox plan with both keys of every party."""
    return sandbox_plan(
        operators=4,
        threshold=1,
        parameters="test",
        waiting_seconds=60.0,
        seed=SEED,
        hybrid=True,
    )


def identities(parties):
    """Return both keys of every party, by name."""
    return {
        name: HybridIdentity(key, parties.ml_dsa_keys.get(name))
        for name, key in parties.identities.items()
    }


def complete(document):
    """Return a document with every optional part, apart from second keys."""
    return document.model_copy(
        update={
            "sandbox": False,
            "insecure": (),
            "revision": RevisionSection(number=2, previous="ab" * 32),
            "deadlines": document.deadlines.model_copy(
                update={"extension_seconds": 600, "clock_seconds": 30}
            ),
            "measurement": MeasurementSection(
                pcr0=register(0), pcr1=register(1), pcr2=register(2), pcr8=register(8)
            ),
            "decisions": DecisionSection(write_off=3, extension=2, pause=2, abort=4),
            "retention": RetentionSection(
                transcript_days=3653, evidence_days=3653, vault_days_after_abort=30
            ),
            "operators": tuple(each.model_copy(update=PARTICULARS) for each in document.operators),
            "auditors": (AuditorSection(name=AUDITOR, identity_key="cd" * 32),),
        }
    )


def represented(document, speakers):
    """Return a document in which these identities speak for the operators in its order."""
    named = zip(document.operators, speakers.items(), strict=True)
    sections = tuple(
        RepresentativeSection(
            name=name, operator=operator.name, identity_key=speaker.public.ed25519.hex()
        )
        for operator, (name, speaker) in named
    )
    second = {name: each.public.ml_dsa for name, each in speakers.items()}
    keys = {name: base64.b64encode(key).decode() for name, key in second.items() if key}
    return document.model_copy(
        update={
            "representatives": sections,
            "ml_dsa_keys": {**(document.ml_dsa_keys or {}), **keys} or None,
        }
    )


@cache
def speakers():
    """Return identities of four people who speak for operators, by name."""
    people = {name: SEED.party(name) for name in ("anna", "ben", "carla", "dario")}
    return {
        name: HybridIdentity(each.identity(), each.ml_dsa_key()) for name, each in people.items()
    }


@cache
def represented_parties():
    """Return a signed sandbox plan in which people speak for operators, and all identities."""
    document = represented(parse_plan(hybrid_parties().signed.toml), speakers())
    known = identities(hybrid_parties()) | speakers()
    ed25519 = {name: each.ed25519 for name, each in known.items()}
    signed = sign_plan(document, ed25519, {name: each.ml_dsa for name, each in known.items()})
    return signed, known


@cache
def complete_document():
    """Return a document that says everything, of a production plan with hybrid identities."""
    document = parse_plan(hybrid_parties().signed.toml)
    auditor = base64.b64encode(bytes(1952)).decode()
    keys = {**(document.ml_dsa_keys or {}), AUDITOR: auditor}
    return represented(complete(document).model_copy(update={"ml_dsa_keys": keys}), speakers())


@cache
def complete_parties(kms_key=None):
    """Return a signed production plan that asks for enclaves, and all identities."""
    document = complete_document()
    if kms_key is not None:
        sections = (each.model_copy(update={"kms_key": kms_key}) for each in document.operators)
        document = document.model_copy(update={"operators": tuple(sections)})
    known = identities(hybrid_parties()) | speakers()
    ed25519 = {name: each.ed25519 for name, each in known.items()}
    second = {name: each.ml_dsa for name, each in known.items()}
    return sign_plan(document, ed25519, second), known
