"""Evidence against one operator that everybody can check (PROTOCOL.md, "Opening a batch", step 5).

Ground (i), "vector": a share vector under the accused's own root that its own answer does not
follow from. The evidence is the vector itself.

Ground (ii), "decoder": one element of every vector that the decoder listed, and of its v, which do
not interpolate. The evidence is a file of Merkle leaves:

    "ringforge/evidence/decoder/v1" || 00 || number of the element (8 bytes, big-endian)
    then for each listed operator, ascending, and last for v:
        for each leaf with bytes of the element, in order: the leaf || its inclusion proof

Plan and decoder's entry fix the length of every leaf and proof, so a file has one size for each
element, and nothing in it has a second spelling. Leaves of another length are no evidence: nobody
can fetch a vector that holds one, so its operator does not serve.

At degree t (the assembly) the listed vectors are n-t, and all of them and v must lie on one
polynomial: an honest decoder leaves out what does not.

Security: an honest operator's answer follows from the one vector under its root, and an honest
    decoder checked every byte against the roots that it lists. Roots bind one leaf at each place,
    so no evidence against either of them exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import MerkleTree, chunk_root, leaf_hash, verify_inclusion
from mpc_core.ring.exact import ExactRing
from mpc_core.sharing.challenge import answer_for
from mpc_core.sharing.interpolation import interpolate
from mpc_core.sharing.spans import element_bytes, encoded_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mpc_core.ring.galois import Ring
    from mpc_core.sharing.challenge import Challenge
    from mpc_core.sharing.opening import Buffer, ElementGroups

__all__ = [
    "DecoderClaim",
    "Encoding",
    "contradicts_answer",
    "decoder_evidence",
    "first_misfit",
    "largest_decoder_evidence",
    "parse_decoder_evidence",
    "refutes_decoder",
]

MAGIC = b"ringforge/evidence/decoder/v1\0"
NUMBER_BYTES = 8
HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the plan has the vectors of a batch encoded and cut into leaves."""

    groups: ElementGroups
    ring: Ring
    leaf_bytes: int

    @property
    def size(self) -> int:
        """Bytes of a vector."""
        return encoded_size(self.groups, self.ring)

    @property
    def leaves(self) -> int:
        """Leaves of a vector."""
        return -(-self.size // self.leaf_bytes)

    def place(self, element: int) -> tuple[int, int, int]:
        """Return the weight of an element, and where its bytes begin and end.

        Raises:
            IndexError: if there is no such element.
        """
        start, left = 0, element
        for weight, count in self.groups:
            width = element_bytes(weight, self.ring)
            if left < count:
                first = start + left * width
                return weight, first, first + width
            start, left = start + count * width, left - count
        raise IndexError(element)

    def cover(self, element: int) -> range:
        """Return the leaves with bytes of an element; it may straddle two, or more small ones."""
        _, start, stop = self.place(element)
        return range(start // self.leaf_bytes, -(-stop // self.leaf_bytes))

    def leaf(self, index: int) -> slice:
        """Return the bytes of a leaf; the last one may be shorter."""
        start = index * self.leaf_bytes
        return slice(start, min(start + self.leaf_bytes, self.size))


@dataclass(frozen=True, slots=True)
class DecoderClaim:
    """What a decoder's entry says.

    Attributes:
        points: the listed (operator, root) pairs, ascending.
        root: Merkle root of v.
        degree: 2t; t in the assembly.
    """

    points: tuple[tuple[int, bytes], ...]
    root: bytes
    degree: int

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The roots in the order of the evidence: vectors, then v."""
        return (*(root for _, root in self.points), self.root)

    @property
    def operators(self) -> tuple[int, ...]:
        """Whose vectors these are, in the same order; 0 stands for v, the value at 0."""
        return (*(operator for operator, _ in self.points), 0)


@dataclass(frozen=True, slots=True)
class ElementOpenings:
    """A parsed file of ground (ii): leaves with proofs, in the order of the roots."""

    element: int
    leaves: tuple[tuple[bytes, ...], ...]
    proofs: tuple[tuple[tuple[bytes, ...], ...], ...]


# -- ground (i) -----------------------------------------------------------------------------------


def contradicts_answer(
    vector: Buffer, root: bytes, answer: bytes, drawn: Challenge, encoding: Encoding
) -> bool:
    """Tell whether these are the bytes under a root and the answer does not follow from them.

    A vector that is not canonical has no answer: whoever posted its root lied too.

    Args:
        vector: the evidence.
        root: the accused's.
        answer: its Y of the round.
        drawn: the challenge of the round.
        encoding: of the batch.
    """
    if chunk_root(vector, encoding.leaf_bytes) != root:
        return False
    try:
        return answer_for(drawn, vector, encoding.groups, encoding.ring) != answer
    except CeremonyError:
        return True


# -- ground (ii) ----------------------------------------------------------------------------------


def first_misfit(
    claim: DecoderClaim, vectors: Mapping[int, Buffer], v: Buffer, encoding: Encoding
) -> int | None:
    """Return the first element at which vectors and v do not interpolate, None if they do.

    Args:
        claim: what the decoder's entry says.
        vectors: the bytes under every listed root, by operator.
        v: the bytes under the root of v.
        encoding: of the batch.
    """
    listed = {operator: vectors[operator] for operator, _ in claim.points}
    first, whole = 0, memoryview(v).cast("B")
    for span in interpolate(listed, claim.degree, encoding.groups, encoding.ring):
        at = span.span
        if not (span.canonical and span.fits and span.value == whole[at.start : at.stop]):
            return next(
                element
                for element in range(first, first + at.elements)
                if not _interpolates(
                    element, claim, _sliced(element, claim, listed, v, encoding), encoding
                )
            )
        first += at.elements
    return None


def decoder_evidence(
    element: int,
    claim: DecoderClaim,
    vectors: Mapping[int, Buffer],
    v: Buffer,
    encoding: Encoding,
) -> bytes:
    """Return the evidence that an element of vectors and v does not interpolate."""
    parts = [MAGIC, element.to_bytes(NUMBER_BYTES, "big")]
    for operator in claim.operators:
        data = memoryview(vectors[operator] if operator else v).cast("B")
        leaves = (data[encoding.leaf(index)] for index in range(encoding.leaves))
        tree = MerkleTree(leaf_hash(leaf) for leaf in leaves)
        for index in encoding.cover(element):
            parts += [bytes(data[encoding.leaf(index)]), *tree.inclusion(index)]
    return b"".join(parts)


def largest_decoder_evidence(claim: DecoderClaim, encoding: Encoding) -> int:
    """Return a size that no evidence against this decoder exceeds: what may be fetched at all."""
    widest = max(element_bytes(weight, encoding.ring) for weight, _ in encoding.groups)
    covered = min(encoding.leaves, (widest - 2) // encoding.leaf_bytes + 2)
    proof = HASH_BYTES * (encoding.leaves - 1).bit_length()
    leaf = min(encoding.leaf_bytes, encoding.size)
    return len(MAGIC) + NUMBER_BYTES + len(claim.roots) * covered * (leaf + proof)


def parse_decoder_evidence(
    data: Buffer, claim: DecoderClaim, encoding: Encoding
) -> ElementOpenings:
    """Read a file of ground (ii).

    Raises:
        CeremonyError: RF-EVIDENCE-001 unless it has exactly the form and size that the plan and
            the decoder's entry demand.
    """
    view = memoryview(data).cast("B")
    head = len(MAGIC) + NUMBER_BYTES
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) < head:
        raise _unreadable(MAGIC[:-1].decode(), "another beginning")
    element = int.from_bytes(view[len(MAGIC) : head], "big")
    try:
        covered = encoding.cover(element)
    except IndexError as error:
        raise _unreadable("an element of the batch", f"element {element}") from error
    sizes = [
        (stop - start, _proof_length(index, encoding.leaves))
        for index in covered
        for start, stop in [(encoding.leaf(index).start, encoding.leaf(index).stop)]
    ]
    expected = head + len(claim.roots) * sum(leaf + HASH_BYTES * proof for leaf, proof in sizes)
    if len(view) != expected:
        raise _unreadable(f"{expected} bytes", f"{len(view)} bytes")
    reader = _Reader(view, head)
    leaves, proofs = [], []
    for _ in claim.roots:
        parts = [(reader.take(leaf), reader.hashes(proof)) for leaf, proof in sizes]
        leaves.append(tuple(leaf for leaf, _ in parts))
        proofs.append(tuple(proof for _, proof in parts))
    return ElementOpenings(element, tuple(leaves), tuple(proofs))


def refutes_decoder(data: Buffer, claim: DecoderClaim, encoding: Encoding) -> bool:
    """Tell whether a file of ground (ii) proves that a decoder's v is not what its list gives.

    Security: every leaf is checked against the root that the log names. One of an honest decoder's
        list is what it fetched, checked and interpolated.
    """
    try:
        opened = parse_decoder_evidence(data, claim, encoding)
    except CeremonyError:
        return False
    covered = encoding.cover(opened.element)
    for root, leaves, proofs in zip(claim.roots, opened.leaves, opened.proofs, strict=True):
        for index, leaf, proof in zip(covered, leaves, proofs, strict=True):
            if not verify_inclusion(leaf_hash(leaf), index, encoding.leaves, proof, root):
                return False
    _, start, stop = encoding.place(opened.element)
    base = covered.start * encoding.leaf_bytes
    parts = {
        operator: b"".join(leaves)[start - base : stop - base]
        for operator, leaves in zip(claim.operators, opened.leaves, strict=True)
    }
    return not _interpolates(opened.element, claim, parts, encoding)


class _Reader:
    """Takes bytes off a file whose length was checked."""

    def __init__(self, view: memoryview, place: int) -> None:
        self._view, self._place = view, place

    def take(self, count: int) -> bytes:
        self._place += count
        return bytes(self._view[self._place - count : self._place])

    def hashes(self, count: int) -> tuple[bytes, ...]:
        return tuple(self.take(HASH_BYTES) for _ in range(count))


def _sliced(
    element: int,
    claim: DecoderClaim,
    vectors: Mapping[int, Buffer],
    v: Buffer,
    encoding: Encoding,
) -> dict[int, bytes]:
    _, start, stop = encoding.place(element)
    return {
        operator: bytes(memoryview(vectors[operator] if operator else v)[start:stop])
        for operator in claim.operators
    }


def _interpolates(
    element: int, claim: DecoderClaim, parts: Mapping[int, bytes], encoding: Encoding
) -> bool:
    """Tell whether an element of vectors and v, by operator, lies on one polynomial."""
    weight, _, _ = encoding.place(element)
    exact = ExactRing(encoding.ring.bits - weight, encoding.ring.degree)
    elements = {operator: tuple(_coefficients(part, exact)) for operator, part in parts.items()}
    if any(word >> exact.bits for element in elements.values() for word in element):
        return False
    v = elements.pop(0)
    points = tuple(sorted(elements))[: claim.degree + 1]
    chosen = [elements[operator] for operator in points]
    return all(
        exact.combine(exact.lagrange(points, at), chosen) == value
        for at, value in ((0, v), *elements.items())
    )


def _coefficients(data: bytes, exact: ExactRing) -> Iterator[int]:
    width = len(data) // exact.degree
    for start in range(0, len(data), width):
        yield int.from_bytes(data[start : start + width], "little")


def _proof_length(index: int, size: int) -> int:
    """Return the hashes in an inclusion proof: one for each level at which a sibling exists."""
    length, last = 0, size - 1
    while last:
        length += bool(index & 1) or index < last
        index, last = index >> 1, last >> 1
    return length


def _unreadable(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-EVIDENCE-001",
        "a file of evidence against a decoder cannot be read",
        expected=expected,
        found=found,
        effect="it proves nothing; nobody confirms it",
        runbook="infractions",
    )
