"""A finished ceremony in memory, and its public result as files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from activities.arithmetic import KnownValues, Question
from activities.evidence import proven_evidence
from infra.board import notes
from infra.board.admission import Admission
from infra.party.rules import layout_of, party_state
from infra.plan import COORDINATOR, SetupSeed
from infra.plan.sandbox import sandbox_plan
from infra.publish import Keeps, Opened, kept_batches, publish, rejected_roots
from mpc_core.protocol.entries import Decoded
from mpc_core.protocol.merkle import leaf_hash, root
from tests.support.ports import MemoryStore
from tests.support.simulation import SEED, Ceremony

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.board.notes import Checkpoint
    from infra.plan.sandbox import SandboxParties

WAITING_SECONDS = 20.0


@dataclass
class Finished:
    """A ceremony that ended: who took part, the log, and every opened value by root."""

    parties: SandboxParties
    envelopes: list[bytes]
    values: dict[bytes, bytes]
    folder: Path | None = None

    @property
    def plan(self):
        return self.parties.signed.plan

    @property
    def layout(self):
        return layout_of(self.plan)

    def root_of(self, batch) -> bytes:
        return self.state().opening(batch).v_root

    def key(self, name: str):
        return self.parties.identities[name]

    def checkpoint(self, envelopes: Sequence[bytes], signers: Sequence[int] = (1, 2, 3)):
        """Sign a log of these entries as the given operators, head and certificate."""
        head = notes.Head(0, len(envelopes), root(map(leaf_hash, envelopes)))
        return self.signed_head(head, signers)

    def signed_head(self, head, signers: Sequence[int] = (1, 2, 3)) -> Checkpoint:
        keys = {index: self.key(self.plan.name_of(index)) for index in signers}
        return notes.Checkpoint(
            head,
            tuple(notes.sign_head(self.plan, head, i, key) for i, key in keys.items()),
            tuple(notes.sign_certificate(self.plan, head, i, key) for i, key in keys.items()),
        )

    def opened(self, digest: bytes) -> Opened:
        """Return an opened value as it is published, with its file if `store` made one."""
        file = None if self.folder is None else self.folder / digest.hex()
        return Opened(digest, self.values[digest], file)

    def store(self, folder: Path) -> None:
        """Let every opened value lie in a file of this folder, as in a coordinator's outbox."""
        self.folder = folder
        for digest, value in self.values.items():
            (folder / digest.hex()).write_bytes(value)

    def publish(self, folder: Path, *, keeps: Keeps = Keeps.ALL, **changes) -> None:
        """Publish below `folder`; `changes` replace what is published."""
        state = self.state()
        kept = kept_batches(self.layout, state, keeps)
        what = {
            "keeps": keeps,
            "envelopes": self.envelopes,
            "checkpoint": self.checkpoint(self.envelopes),
            "batches": kept,
            "opening": lambda key: self.opened(state.opening(key).v_root),
            "rejected": [
                self.opened(digest)
                for _, digest in rejected_roots(state, kept)
                if digest in self.values
            ],
            "evidence": [
                self.opened(shown.entry.root)
                for shown, _ in proven_evidence(state)
                if shown.entry.root in self.values
            ],
        }
        publish(folder, self.parties.signed, self.key(COORDINATOR), **(what | changes))

    def state(self):
        """Fold the log as a party does that gets every opened value as soon as it is named."""
        admission, known = Admission(self.plan), KnownValues(self.plan.hash, MemoryStore())
        state = party_state(self.plan, self.layout, known)
        for data in self.envelopes:
            logged = admission.admit(data, admission.check(data))
            if isinstance(entry := logged.entry, Decoded) and entry.root in self.values:
                question = Question(entry.context, entry.round, logged.prefix_root, entry.root)
                batch = self.layout.batch(entry.batch.stage, entry.batch.batch)
                known.learn(question, batch, self.values[entry.root])
            state.apply(logged)
        return state


def run_ceremony(
    seed: str = SEED, prepare: Callable[[Ceremony], None] = lambda _: None
) -> Finished:
    """Run a ceremony of four in memory; `prepare` may disturb it."""
    parties = sandbox_plan(
        operators=4,
        threshold=1,
        parameters="test",
        waiting_seconds=WAITING_SECONDS,
        seed=SetupSeed.parse(seed),
    )
    ceremony = Ceremony(seed=seed, waiting_seconds=WAITING_SECONDS)
    assert ceremony.plan == parties.signed.plan
    envelopes = _recorded(ceremony)
    prepare(ceremony)
    ceremony.run()
    return Finished(parties, envelopes, dict(ceremony.blobs.kept))


@cache
def undisturbed() -> Finished:
    """Run the ceremony in which nothing goes wrong, once for all tests."""
    return run_ceremony()


def _recorded(ceremony: Ceremony) -> list[bytes]:
    """Return a list that gets the bytes of every entry that the board takes."""
    envelopes: list[bytes] = []
    submit = ceremony.board.submit

    def record(envelope: bytes) -> None:
        known = len(ceremony.board.entries)
        submit(envelope)
        if len(ceremony.board.entries) > known:
            envelopes.append(envelope)

    ceremony.board.submit = record
    return envelopes
