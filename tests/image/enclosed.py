"""An operator on AWS, as far as it can be had here: bucket, key service, starts of its enclave."""

import base64
import tomllib
from dataclasses import dataclass, field
from typing import Any

from infra.enclave.insecure_software import Authority
from infra.files import write_atomic
from infra.governance.answers import Card
from infra.homes import Home
from infra.image.launch import read_launch
from infra.image.start import left, prepared
from infra.objects.s3 import S3Objects
from infra.party.enrolment import enrol
from infra.plan.document import parse_plan, render_plan
from infra.plan.hybrid import HybridIdentity
from infra.plan.keys import write_identity
from infra.plan.sandbox import SandboxParties
from infra.plan.signing import read_signatures, signature_of, write_signatures
from tests.enclave.site import Site
from tests.image.test_start import document
from tests.support.plans import represented

NAME, BUCKET = "op-02", "operator-vault"
STORAGE = f"s3://{BUCKET}/{NAME}"
PARTICULARS = {"organisation": "Example", "storage": STORAGE}


@dataclass
class Operator:
    """An operator on AWS: its bucket, its key, and how often its enclave was started."""

    parties: SandboxParties
    site: Site
    root: Authority
    kms_key: str
    folder: Any
    bucket: S3Objects
    speakers: dict[str, HybridIdentity] = field(default_factory=dict)
    starts: int = 0

    def enrolled(self, kms_key=None):
        keys = self.site.keys()
        card = enrol(STORAGE, keys, kms_key or self.kms_key, NAME, PARTICULARS)
        return Card.model_validate(tomllib.loads(card))

    def plan_with(self, card, **changes):
        """The plan that names this card, unsigned."""
        parsed = parse_plan(self.parties.signed.toml)
        said = {"kms_key": self.kms_key, "storage": STORAGE, **changes}
        said["identity_key"] = card.identity_key
        operators = tuple(
            each.model_copy(update=said) if each.name == NAME else each for each in parsed.operators
        )
        keys = {**parsed.ml_dsa_keys, NAME: card.ml_dsa_key}
        draft = parsed.model_copy(update={"operators": operators, "ml_dsa_keys": keys})
        return represented(draft, self.speakers) if self.speakers else draft

    def signed_by_others(self, draft):
        plan, parties = draft.to_plan(), self.parties
        known = {
            name: HybridIdentity(key, parties.ml_dsa_keys[name])
            for name, key in parties.identities.items()
            if name != NAME
        }
        return {name: signature_of(plan, each) for name, each in (known | self.speakers).items()}

    def start(self, draft, signatures, **more):
        """Start an enclave, which has nothing but what the parent hands it."""
        return prepared(*self.launched(draft, signatures, **more))

    def leave(self, draft, signatures, said):
        """Start it with the instruction to leave for good."""
        launch, home = self.launched(draft, signatures, leave=said)
        return left(launch, launch.leave, home)

    def launched(self, draft, signatures, **more):
        """What the parent hands an enclave, and the memory that it has."""
        self.starts += 1
        home = Home(self.folder / str(self.starts) / NAME, insecure_local_kms=self.site.url)
        self.root.save(home.insecure_enclave)
        lines = write_signatures(draft.to_plan(), signatures)
        encoded = {"plan": base64.b64encode(render_plan(draft)).decode()}
        encoded["signatures"] = base64.b64encode(lines).decode()
        return read_launch(document(**encoded, **more)), home

    def begun(self):
        """Go through all three starts; return the plan, its signatures and the home."""
        draft = self.plan_with(self.enrolled())
        others = self.signed_by_others(draft)
        assert self.start(draft, others) is None
        line = self.bucket.get("enrolment/plan.sig").data
        signatures = {**others, **read_signatures(draft.to_plan(), line)}
        return draft, signatures, self.start(draft, signatures)

    def people(self, draft, signatures):
        """Return its people's folder, outside of the enclave, beside those of all who speak."""
        place = Home(self.folder / "people" / NAME)
        place.make()
        write_atomic(place.path / "plan.toml", render_plan(draft))
        write_atomic(place.path / "plan.sig", write_signatures(draft.to_plan(), signatures))
        for name, identity in self.speakers.items():
            theirs = Home(self.folder / "people" / name)
            theirs.make()
            write_identity(theirs.vault, identity.ed25519, identity.ml_dsa)
        return place.path
