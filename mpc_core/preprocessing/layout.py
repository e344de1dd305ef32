"""Which batch position feeds which body: the plan and the parameter set fix it, nothing else does.

A *batch* is what is opened at once. Its positions are given out in order, so every bit, product
and body of a key set has exactly one place:

- N (noise): runs of bodies of one object, all of one ring. Then the flood of the test openings.
- S (key bits): all secret keys that need 128 bits, and all others, in generation order.
- M (products): runs of rows s_i S_r, all of one ring and length.
- O (assembly): the public seed, runs of rows of bodies, one zero audit for each ring, the
  acceptance tests, and one further batch for every later decryption.

Security: the layout decides under which batch key a value is masked. It is a function of signed
    facts, so no operator can make two values share a mask (PROTOCOL.md, "PRSS keys").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.preprocessing.batches import (
    FLOOD,
    BatchLayout,
    Places,
    Segment,
    WeightGroup,
    noise_groups,
    places_of,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.objects import public_objects, secret_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mpc_core.preprocessing.batches import Place
    from mpc_core.protocol.plan import Layout, TestRules
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "FLOOD",
    "BatchLayout",
    "CeremonyLayout",
    "Segment",
    "WeightGroup",
    "build_layout",
]

CHALLENGE_BITS = 128
FLOOD_WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class CeremonyLayout:
    """All batches of a ceremony.

    Attributes:
        degree: d, values opened for the price of one element.
        noise: the batches of stage N.
        secrets: the batches of stage S.
        products: the batches of stage M.
        assembly: the batches of stage O, up to the acceptance tests.
        key_names: names of the secret keys in generation order.
        product_count: products s_i S_j of the key set.
        body_count: bodies of the key set.
    """

    degree: int
    noise: tuple[BatchLayout, ...]
    secrets: tuple[BatchLayout, ...]
    products: tuple[BatchLayout, ...]
    assembly: tuple[BatchLayout, ...]
    key_names: tuple[str, ...]
    product_count: int
    body_count: int
    _noise: dict[int, Places] = field(repr=False, compare=False)
    _secrets: dict[int, Places] = field(repr=False, compare=False)
    _products: dict[int, Places] = field(repr=False, compare=False)

    def stage(self, stage: str) -> tuple[BatchLayout, ...]:
        """Return the batches of a stage, in order of their index."""
        by_name = {"N": self.noise, "S": self.secrets, "M": self.products, "O": self.assembly}
        return by_name[stage]

    def batch(self, stage: str, index: int) -> BatchLayout:
        """Return a batch; those of later decryptions come from `decryption`."""
        return self.stage(stage)[index]

    def decryption(self, serial: int, first_flood: int, openings: int) -> BatchLayout:
        """Return the batch of a later decryption request; serials count from 0."""
        return BatchLayout(
            stage="O",
            index=len(self.assembly) + serial,
            purpose="decryption",
            word_bits=FLOOD_WORD_BITS,
            degree=self.degree,
            opening="single",
            elements=-(-openings // self.degree),
            segments=(Segment(FLOOD, first_flood, openings),),
            dependencies=(("O", self.assembly[-1].index),),
        )

    def noise_of(self, item: int, start: int, count: int) -> tuple[Place, ...]:
        """Return where the noise of a run of bodies is kept; offsets count bodies."""
        return self._noise[item].find(start, count)

    def key_bits(self, name: str, start: int, count: int) -> tuple[Place, ...]:
        """Return where a run of bits of a secret key is kept; offsets count bits."""
        return self._secrets[self.key_names.index(name)].find(start, count)

    def product_rows(self, item: int, start: int, count: int) -> tuple[Place, ...]:
        """Return where product rows of an object are kept; offsets count rows of the batch."""
        return self._products[item].find(start, count)

    @property
    def bits(self) -> int:
        """Random bits of the key set: noise and key bits, without the flood."""
        made = (*self.noise, *self.secrets)
        return sum(batch.bits for batch in made if batch.purpose != "flood")

    @property
    def flood_bits(self) -> int:
        """Random bits of the flood noise."""
        return sum(batch.bits for batch in self.noise if batch.purpose == "flood")

    def opened_bytes(self) -> int:
        """Return the bytes of all share vectors of one operator, later decryptions excepted."""
        every = (*self.noise, *self.secrets, *self.products, *self.assembly)
        return sum(batch.opened_bytes for batch in every)


def _cut(runs: Iterable[Segment], sizes: Iterable[int], limit: int) -> list[tuple[Segment, ...]]:
    """Cut runs into batches of at most `limit`, a position of run r counting sizes[r].

    A position larger than `limit` gets a batch of its own.
    """
    batches: list[tuple[Segment, ...]] = []
    current: list[Segment] = []
    room = limit
    for run, size in zip(runs, sizes, strict=True):
        start, left = run.start, run.count
        while left:
            fits = min(left, max(room // size, 0 if current else 1))
            if not fits:
                batches.append(tuple(current))
                current, room = [], limit
                continue
            current.append(Segment(run.item, start, fits, run.noise_bound_log2))
            start, left, room = start + fits, left - fits, room - fits * size
    if current:
        batches.append(tuple(current))
    return batches


def _rings(items: Sequence[PublicObject]) -> list[tuple[int, tuple[PublicObject, ...]]]:
    by_ring = (
        (bits, tuple(item for item in items if item.word_bits == bits)) for bits in (64, 128)
    )
    return [(bits, chosen) for bits, chosen in by_ring if chosen]


class _Builder:
    """Builds the stages in order, each from the batches before it."""

    def __init__(self, parameters: Parameters, plan: Layout, degree: int) -> None:
        self.plan = plan
        self.degree = degree
        self.keys = secret_keys(parameters)
        self.objects = public_objects(parameters)

    def _packed(self, count: int) -> int:
        return -(-count // self.degree)

    def _bit_batch(
        self, stage: str, index: int, purpose: str, word_bits: int, segments: tuple[Segment, ...]
    ) -> BatchLayout:
        if stage == "N":
            groups = noise_groups(segments)
        else:
            groups = (WeightGroup(0, sum(segment.count for segment in segments)),)
        return BatchLayout(
            stage=stage,
            index=index,
            purpose=purpose,
            word_bits=word_bits,
            degree=self.degree,
            opening="double",
            elements=sum(self._packed(group.bits) for group in groups),
            segments=segments,
            groups=groups,
        )

    def noise(self, flood_bound_log2: int, flood: int) -> tuple[BatchLayout, ...]:
        runs = [
            (
                "noise",
                bits,
                [Segment(item.number, 0, item.bodies, item.noise_bound_log2) for item in items],
            )
            for bits, items in _rings(self.objects)
        ]
        if flood:
            reserved = Segment(FLOOD, 0, flood, flood_bound_log2)
            runs.append(("flood", FLOOD_WORD_BITS, [reserved]))
        cut = [
            (purpose, bits, segments)
            for purpose, bits, whole in runs
            for segments in _cut(
                whole, [run.noise_bound_log2 + 2 for run in whole], self.plan.bits_per_batch
            )
        ]
        return tuple(
            self._bit_batch("N", index, purpose, bits, segments)
            for index, (purpose, bits, segments) in enumerate(cut)
        )

    def secrets(self) -> tuple[BatchLayout, ...]:
        cut = []
        for bits in (64, 128):
            whole = [
                Segment(place, 0, key.bits)
                for place, key in enumerate(self.keys)
                if key.word_bits == bits
            ]
            pieces = _cut(whole, [1] * len(whole), self.plan.bits_per_batch)
            cut += [(bits, segments) for segments in pieces]
        return tuple(
            self._bit_batch("S", index, "bits", bits, segments)
            for index, (bits, segments) in enumerate(cut)
        )

    def products(self, secrets: dict[int, Places]) -> tuple[BatchLayout, ...]:
        shapes: dict[tuple[int, int], list[Segment]] = {}
        for item in self.objects:
            if spec := item.product:
                run = Segment(item.number, 0, spec.rows)
                shapes.setdefault((spec.word_bits, spec.row_length), []).append(run)
        cut = [
            (bits, segments)
            for (bits, length), whole in sorted(shapes.items())
            for segments in _cut(whole, [length] * len(whole), self.plan.products_per_batch)
        ]
        return tuple(
            self._product_batch(index, bits, segments, secrets)
            for index, (bits, segments) in enumerate(cut)
        )

    def _product_batch(
        self, index: int, bits: int, segments: tuple[Segment, ...], secrets: dict[int, Places]
    ) -> BatchLayout:
        names = {key.name: place for place, key in enumerate(self.keys)}
        specs = {item.number: item.product for item in self.objects if item.product}
        elements = 0
        used: set[int] = set()
        for segment in segments:
            spec = specs[segment.item]
            elements += segment.count * self._packed(spec.row_length)
            source, target = names[spec.input_key], names[spec.target_key]
            polynomials = self.keys[target].bits // spec.row_length
            first = segment.start // polynomials
            last = (segment.start + segment.count - 1) // polynomials
            consumed = (
                *secrets[source].find(first, last - first + 1),
                *secrets[target].find(0, self.keys[target].bits),
            )
            used.update(place.batch for place in consumed)
        return BatchLayout(
            stage="M",
            index=index,
            purpose="products",
            word_bits=bits,
            degree=self.degree,
            opening="double",
            elements=elements,
            segments=segments,
            dependencies=tuple(("S", batch) for batch in sorted(used)),
        )

    def assembly(self, tests: int) -> tuple[BatchLayout, ...]:
        items = {item.number: item for item in self.objects}
        rings = _rings(self.objects)
        batches = [self._opening(0, "seed", 128, 1)]
        for bits, chosen in rings:
            whole = [Segment(item.number, 0, item.rows) for item in chosen]
            sizes = [item.row_bodies for item in chosen]
            for segments in _cut(whole, sizes, self.plan.bodies_per_batch):
                elements = sum(
                    items[run.item].packed_elements(run.count, self.degree) for run in segments
                )
                batches.append(
                    self._opening(
                        len(batches),
                        "bodies",
                        bits,
                        elements,
                        segments=segments,
                        dependencies=(("O", 0),),
                    )
                )
        bodies = tuple(("O", index) for index in range(1, len(batches)))
        for bits, chosen in rings:
            audited = tuple(Segment(item.number, 0, item.rows) for item in chosen)
            rounds = self._packed(CHALLENGE_BITS)
            batches.append(
                self._opening(
                    len(batches), "audit", bits, rounds, segments=audited, dependencies=bodies
                )
            )
        if tests:
            audits = tuple(("O", index) for index in range(len(bodies) + 1, len(batches)))
            segments = (Segment(FLOOD, 0, tests),)
            elements = self._packed(tests)
            batches.append(
                self._opening(
                    len(batches),
                    "tests",
                    FLOOD_WORD_BITS,
                    elements,
                    segments=segments,
                    dependencies=audits,
                )
            )
        return tuple(batches)

    def _opening(
        self,
        index: int,
        purpose: str,
        bits: int,
        elements: int,
        *,
        segments: tuple[Segment, ...] = (),
        dependencies: tuple[tuple[str, int], ...] = (),
    ) -> BatchLayout:
        return BatchLayout(
            stage="O",
            index=index,
            purpose=purpose,
            word_bits=bits,
            degree=self.degree,
            opening="single",
            elements=elements,
            segments=segments,
            dependencies=dependencies,
        )


def build_layout(
    parameters: Parameters, plan: Layout, degree: int, tests: TestRules
) -> CeremonyLayout:
    """Lay out a ceremony.

    Args:
        parameters: the parameter set.
        plan: batch sizes of the signed plan.
        degree: d of GR(2^K, d); 3 for at most seven operators, else 4.
        tests: the flood noise to reserve, one value for each test opening.

    Raises:
        CeremonyError: RF-PLAN-020 if a batch size is not positive.
    """
    if min(plan.bits_per_batch, plan.products_per_batch, plan.bodies_per_batch) < 1:
        raise CeremonyError(
            "RF-PLAN-020",
            "the plan has a batch size that is not positive",
            expected="bits, products and bodies per batch of at least 1",
            effect="nothing was started",
            next_step="correct [layout] in plan.toml",
            runbook="start",
        )
    builder = _Builder(parameters, plan, degree)
    acceptance = len(tests.plaintexts)
    noise = builder.noise(tests.flood_bound_log2, acceptance + tests.decrypt_openings)
    secrets = builder.secrets()
    places = places_of(secrets)
    products = builder.products(places)
    return CeremonyLayout(
        degree=degree,
        noise=noise,
        secrets=secrets,
        products=products,
        assembly=builder.assembly(acceptance),
        key_names=tuple(key.name for key in builder.keys),
        product_count=sum(
            item.product.rows * item.product.row_length for item in builder.objects if item.product
        ),
        body_count=sum(item.bodies for item in builder.objects),
        _noise=places_of(noise),
        _secrets=places,
        _products=places_of(products),
    )
