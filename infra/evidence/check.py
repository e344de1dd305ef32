"""A file of evidence, checked offline: signatures, places in the log, and the mathematics.

What has to be believed is the plan, whose hash pins the operators' keys; the rest follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.evidence import evidence_holds, has_evidence_size
from infra.board import notes, wire
from infra.board.equivocation import check_equivocation, read_equivocation
from infra.evidence.bundle import EQUIVOCATION
from infra.party.rules import batch_rules, layout_of
from infra.plan.signing import verify_signed_plan
from infra.verify.blame import NO_PORT, lies_in
from infra.verify.evidence import Rules
from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.protocol.entries import Answer, Blame, Decoded, Evidence, LogEntry, Reveal, Root
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.justice import DECODER, RECOMPUTED, VECTOR, Burn, Revealed
from mpc_core.protocol.merkle import chunk_root, leaf_hash, verify_consistency, verify_inclusion
from mpc_core.protocol.opening import Opening, Round
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.rules import VoidEntryError
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from typing import Any

    from infra.board.notes import Head
    from infra.evidence.bundle import Bundle
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.plan import Plan

__all__ = ["Proven", "check_bundle", "unproven"]

MOST_ROUNDS = 1000
"""Rounds of a batch that a file can be about."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What a file of evidence proves."""

    operator: str
    ground: str
    batch: str
    plan_hash: str
    checks: tuple[str, ...]


_SAID = {
    VECTOR: "the share vector under its root does not give the answer that it signed",
    DECODER: "the leaves under the roots that it listed do not interpolate to its value",
    RECOMPUTED: "the posted batch keys give another answer than the one that it signed",
    EQUIVOCATION: "it signed two heads of one epoch of which neither extends the other",
}


def check_bundle(bundle: Bundle, plan_hash: str | None = None) -> Proven:
    """Check a file of evidence.

    Args:
        bundle: what it says.
        plan_hash: the hash, in hex, that the plan must have; any by default.

    Returns:
        Who is convicted of what.

    Raises:
        CeremonyError: RF-VERIFY-060 if it does not prove what it says, or what is wrong with the
            plan (RF-PLAN-*), the checkpoint or an entry (RF-LOG-*).
    """
    plan = verify_signed_plan(bundle.plan, bundle.signatures, plan_hash).plan
    if not 1 <= bundle.accused <= plan.count or bundle.ground not in _SAID:
        raise unproven("an operator of the plan and a ground", f"ground {bundle.ground[:40]!r}")
    checks = [f"plan {plan.hash.hex()}, signed by {plan.count} operators and the coordinator"]
    batch = ""
    if bundle.ground == EQUIVOCATION:
        _check_heads(bundle, plan)
    else:
        file = _File.of(bundle, plan)
        checks.append(f"{len(file.entries)} signed entries of the log, below a co-signed head")
        batch = str(file.check_burn() if bundle.ground == RECOMPUTED else file.check_shown())
    checks.append(_SAID[bundle.ground])
    name = plan.name_of(bundle.accused)
    return Proven(name, bundle.ground, batch, plan.hash.hex(), tuple(checks))


def _check_heads(bundle: Bundle, plan: Plan) -> None:
    data = bundle.data[0] if len(bundle.data) == 1 else b""
    if check_equivocation(plan, read_equivocation(data)) != bundle.accused:
        raise unproven("two heads signed by the accused", "signatures of somebody else")


@dataclass(frozen=True, slots=True)
class _File:
    """A file of evidence about a batch, its entries verified."""

    bundle: Bundle
    rules: Rules
    head: Head
    entries: tuple[LogEntry, ...]

    @classmethod
    def of(cls, bundle: Bundle, plan: Plan) -> _File:
        """Check every entry: its signatures, and that it stands in the log that n-t signed."""
        certified = notes.read_checkpoint(plan, bundle.checkpoint)
        head = notes.read_certificate(plan, certified, bundle.certificate).head
        entries = []
        for part in bundle.entries:
            leaf = leaf_hash(part.envelope)
            if not verify_inclusion(leaf, part.position, head.size, part.proof, head.root):
                raise unproven("entries of the signed log", f"another entry {part.position}")
            signed = wire.decode(part.envelope, plan)
            entries.append(LogEntry(part.position, signed.signers, signed.entry, leaf, b""))
        rules = Rules(plan, layout_of(plan), lookup(plan.parameters))
        return cls(bundle, rules, head, tuple(entries))

    def check_shown(self) -> BatchName:
        """Check ground "vector" or "decoder" as every operator did."""
        opening, plan = self._opening(), self.rules.plan
        (data,) = self.bundle.data if len(self.bundle.data) == 1 else (b"",)
        root = chunk_root(data, plan.layout.leaf_bytes)
        accused, ground = self.bundle.accused, self.bundle.ground
        entry = Evidence(
            accused, ground, opening.name, opening.context, self.bundle.round, root, len(data)
        )
        batch = self.rules.layout.batch(*opening.rule.key)
        if not has_evidence_size(entry, opening, batch, plan) or not evidence_holds(
            entry, data, opening, batch, plan
        ):
            raise unproven("data that proves the accusation", "data that does not")
        return opening.name

    def check_burn(self) -> BatchName:
        """Check ground "recomputed": with the posted keys and what the batch was made of."""
        opening, bundle = self._opening(), self.bundle
        blames = self._entries(Blame)
        if not blames:
            raise _lacking("a blame of the batch")
        roots = tuple(chunk_root(v, self.rules.plan.layout.leaf_bytes) for v in bundle.data)
        if len(roots) != len(opening.rule.dependencies):
            raise unproven("every opened value that such a batch is made of", f"{len(roots)}")
        if BatchContext(opening.name, roots).identifier(self.rules.plan.hash) != opening.context:
            raise unproven("the opened values that the batch was made of", "others")
        values = dict(zip(opening.rule.dependencies, bundle.data, strict=True))
        consumed = [self._consumed(key, opening.name.generation) for key in values]
        revealed = tuple(Revealed(each, opening.quorum) for each in (opening, *consumed))
        for each in revealed:
            for log in self.entries:
                if isinstance(log.entry, Reveal) and log.entry.context == each.opening.context:
                    self._post(each, log.author, log.entry.keys)
        suspects = frozenset({bundle.accused})
        burn = Burn(blames[0].position, opening, bundle.round, suspects, revealed)
        found = lies_in(
            self.rules, burn, bundle.accused, lambda each: memoryview(values[each.rule.key])
        )
        if bundle.round not in found:
            raise unproven("another answer than the keys give", "the right one")
        return opening.name

    def _opening(self) -> Opening:
        """Return the opening as far as the file shows it: one round, the accused's part in it."""
        bundle = self.bundle
        decoded = [log for log in self._entries(Decoded) if log.entry.round == bundle.round]
        if not decoded or bundle.round >= MOST_ROUNDS:
            raise _lacking("the decoder's entry of the round")
        log, entry = decoded[0], decoded[0].entry
        opening = self._bare((entry.batch.stage, entry.batch.batch), entry.batch, bundle.context)
        turn = Round(bundle.round, log.author, entry, log.position)
        opening.rounds = [*(Round(number, 0) for number in range(bundle.round)), turn]
        if bundle.ground != DECODER:
            self._add_accused(opening, turn)
        elif log.author != bundle.accused:
            raise unproven("a decoder's entry of the accused", "somebody else's")
        return opening

    def _add_accused(self, opening: Opening, turn: Round) -> None:
        """Add what the accused posted: its answer to the challenge of this log, and its root."""
        bundle = self.bundle
        answers = [
            log
            for log in self._entries(Answer)
            if log.author == bundle.accused and log.entry.round == bundle.round
        ]
        roots = [log for log in self._entries(Root) if log.author == bundle.accused]
        if not answers or not roots:
            raise _lacking("root and answer of the accused")
        answer, head, size = answers[0].entry, self.head, turn.position + 1
        if not verify_consistency(size, head.size, answer.log_root, head.root, bundle.prefix_proof):
            raise unproven("an answer to the challenge of this log", "one to another challenge")
        turn.log_root, turn.answers[bundle.accused] = answer.log_root, answer.values
        opening.roots[bundle.accused] = roots[0].entry.root

    def _post(self, revealed: Revealed, author: int, keys: bytes) -> None:
        try:
            revealed.post(author, keys)
        except VoidEntryError:
            return  # void on the log, too

    def _consumed(self, key: BatchKey, generation: int) -> Opening:
        name = BatchName(*key, generation)
        return self._bare(key, name, BatchContext(name).identifier(self.rules.plan.hash))

    def _bare(self, key: BatchKey, name: BatchName, context: bytes) -> Opening:
        known = batch_rules(self.rules.layout)
        if key not in known:
            raise unproven("a batch of the layout", str(name))
        return Opening(known[key], name, context, Quorum.of(self.rules.plan), NO_PORT)

    def _entries(self, kind: type) -> list[Any]:
        """Return the entries of a kind about the batch."""
        return [
            log
            for log in self.entries
            if isinstance(log.entry, kind)
            and getattr(log.entry, "context", b"") == self.bundle.context
        ]


def _lacking(what: str) -> CeremonyError:
    return unproven(what, "none in the file")


def unproven(expected: str, found: str) -> CeremonyError:
    """Return the finding that a file of evidence does not prove what it says."""
    return CeremonyError(
        "RF-VERIFY-060",
        "the file does not prove that the operator broke a rule",
        expected=expected,
        found=found,
        effect="it accuses nobody",
        next_step="ask whoever sent it; compare the plan hash with your own",
        runbook="infractions",
    )
