"""Files that accuse an operator: none that others make convicts who has signed nothing wrong."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from infra.board import notes, strict, wire
from infra.board.equivocation import Equivocation
from infra.evidence.bundle import EQUIVOCATION, VERSION, Bundle, Included, decode_bundle
from infra.evidence.check import check_bundle
from infra.party.rules import batch_rules, layout_of
from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.protocol.entries import Answer, Blame, Decoded, Reveal, Root
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.justice import DECODER, RECOMPUTED, VECTOR
from mpc_core.protocol.merkle import MerkleTree, chunk_root, leaf_hash
from tests.fuzz.registry import target
from tests.fuzz.values import parties

LIAR = 2
"""Who signs whatever it likes; the others sign what they must: heads of the log."""

GROUNDS = (VECTOR, DECODER, RECOMPUTED)
MOST_ENTRIES = 16


@dataclass(frozen=True)
class Claim:
    """What a liar can have written on the log, and a file that somebody makes of it."""

    ground: int
    context: bytes
    round: int
    bodies: tuple[bytes, ...]
    data: tuple[bytes, ...]


def _plan():
    return parties().signed.plan


def _key(index):
    return parties().identities[_plan().name_of(index)]


def _bundle(**parts):
    signed = parties().signed
    empty = Bundle(VERSION, b"", b"", "", "", LIAR, "", b"", 0, (), (), ())
    return replace(empty, plan=signed.toml, signatures=signed.signatures, **parts)


def _heads():
    """Yield a file of two heads over as many entries, and one of heads of different length."""
    for sizes in ((3, 3), (2, 3)):
        logs = [MerkleTree(leaf_hash(b"%d %d" % (log, at)) for at in range(3)) for log in (0, 1)]
        one, other = (
            notes.Head(0, size, log.root(size)) for size, log in zip(sizes, logs, strict=True)
        )
        texts = [
            notes.write_head(_plan(), head, notes.sign_head(_plan(), head, LIAR, _key(LIAR)))
            for head in (one, other)
        ]
        proof = logs[1].consistency(*sizes) if sizes[0] < sizes[1] else ()
        found = Equivocation(_plan().hash, *texts, logs[1].root(sizes[0]), proof)
        yield strict.encode(_bundle(ground=EQUIVOCATION, data=(strict.encode(found),)))


@target(seeds=_heads)
def evidence_file(data):
    """A file as it comes: of its convictions only the liar's is true."""
    bundle = decode_bundle(data)
    assert strict.encode(bundle) == data
    assert check_bundle(bundle).operator == _plan().name_of(LIAR)


def _claims():
    """Yield a claim for each ground, about a batch that the liar decoded alone."""
    rules = batch_rules(layout_of(_plan()))
    key = next(key for key, rule in rules.items() if len(rule.dependencies) > 1)
    made_of = tuple(b"value %d" % number for number in range(len(rules[key].dependencies)))
    roots = tuple(chunk_root(each, _plan().layout.leaf_bytes) for each in made_of)
    name = BatchName(*key)
    context = BatchContext(name, roots).identifier(_plan().hash)
    said = (
        Root(name, context, bytes(32)),
        Decoded(name, context, 0, ((1, bytes(32)), (LIAR, bytes(32))), bytes(32)),
        Answer(name, context, 0, bytes(32), bytes(16)),
        Blame(name, context, 0, (2,)),
        Reveal(name, context, bytes(32)),
    )
    for ground in range(len(GROUNDS)):
        data = made_of if GROUNDS[ground] == RECOMPUTED else (bytes(16),)
        claim = Claim(ground, context, 0, tuple(map(wire.body_of, said)), data)
        yield strict.encode(claim)


def _signed(body):
    """Return the envelope of what the liar says, if it is anything that one operator says."""
    part = wire.endorse(body, _plan().hash, LIAR, _key(LIAR))
    return wire.assemble(body, [part])


@target(seeds=_claims)
def evidence_claim(data):
    """The liar has said anything at all on a log that the others co-sign.

    It answers the challenge of that log, as far as the log has one.
    """
    claim = strict.decode(Claim, data)
    tree, envelopes, challenged = MerkleTree(), [], 0
    for body in claim.bodies[:MOST_ENTRIES]:
        entry = wire.entry_of(body)
        if isinstance(entry, Answer) and challenged:
            entry = replace(entry, log_root=tree.root(challenged))
        envelopes.append(_signed(wire.body_of(entry)))
        tree.append(leaf_hash(envelopes[-1]))
        challenged = challenged or len(tree) * isinstance(entry, Decoded)
    head = notes.Head(0, len(tree), tree.root())
    checkpoint = notes.Checkpoint(
        head,
        tuple(notes.sign_head(_plan(), head, at, _key(at)) for at in (1, 2, 3)),
        tuple(notes.sign_certificate(_plan(), head, at, _key(at)) for at in (1, 2, 3)),
    )
    bundle = _bundle(
        checkpoint=notes.write_checkpoint(_plan(), checkpoint),
        certificate=notes.write_certificate(_plan(), checkpoint),
        ground=GROUNDS[claim.ground % len(GROUNDS)],
        context=claim.context,
        round=claim.round,
        prefix_proof=tree.consistency(challenged, len(tree)) if challenged else (),
        entries=tuple(
            Included(at, envelope, tree.inclusion(at, len(tree)))
            for at, envelope in enumerate(envelopes)
        ),
        data=claim.data,
    )
    with suppress(CeremonyError):
        assert check_bundle(bundle).operator == _plan().name_of(LIAR)
