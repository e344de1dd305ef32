"""Every position of a key set has one place, and the totals are the documented ones."""

from __future__ import annotations

import pytest

from mpc_core.preprocessing.batches import FLOOD
from mpc_core.preprocessing.layout import CeremonyLayout, build_layout
from mpc_core.protocol import plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.objects import public_objects, secret_keys
from mpc_core.tfhe.parameters import PARAMETER_SETS, lookup

SMALL = plan.Layout(1, 65_536, 16_384, 65_536, 65_536, 4)
LARGE = plan.Layout(1, 1 << 23, 1 << 21, 1 << 20, 65_536, 8)
TESTS = plan.TestRules(flood_bound_log2=57, plaintexts=(0, 1, 2, 3), decrypt_openings=64)


def layout_of(name: str, degree: int = 3) -> CeremonyLayout:
    return build_layout(lookup(name), SMALL if name == "test" else LARGE, degree, TESTS)


@pytest.mark.parametrize(
    ("name", "bits", "products", "bodies"),
    [
        ("test", 729_638, 66_304, 265_746),
        ("mainnet", 877_622_060, 9_617_408, 38_617_088),
        ("mainnet-2025", 785_207_190, 7_737_344, None),
    ],
)
def test_the_totals_are_the_documented_ones(
    name: str, bits: int, products: int, bodies: int | None
) -> None:
    layout = layout_of(name)

    assert layout.bits == bits
    assert layout.product_count == products
    assert bodies is None or layout.body_count == bodies
    assert layout.flood_bits == 68 * 59


@pytest.mark.parametrize("name", sorted(PARAMETER_SETS))
def test_every_position_of_the_key_set_is_laid_out_exactly_once(name: str) -> None:
    parameters = lookup(name)
    layout = layout_of(name)
    runs: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for stage in "NSMO":
        for batch in layout.stage(stage):
            if batch.purpose not in {"tests", "audit"}:
                for segment in batch.segments:
                    runs.setdefault((stage, segment.item), []).append(
                        (segment.start, segment.count)
                    )
    covered = {}
    for where, pieces in runs.items():
        end = 0
        for start, count in pieces:
            assert start == end
            end += count
        covered[where] = end

    expected = {("N", FLOOD): 68}
    for place, key in enumerate(secret_keys(parameters)):
        expected["S", place] = key.bits
    for item in public_objects(parameters):
        expected["N", item.number] = item.bodies
        expected["O", item.number] = item.rows
        if item.product:
            expected["M", item.number] = item.product.rows
    assert covered == expected


@pytest.mark.parametrize("name", sorted(PARAMETER_SETS))
def test_no_batch_mixes_rings_or_exceeds_its_size(name: str) -> None:
    parameters = lookup(name)
    layout = layout_of(name)
    sizes = SMALL if name == "test" else LARGE
    objects = {item.number: item for item in public_objects(parameters)}
    keys = secret_keys(parameters)

    for index, batch in enumerate(layout.noise):
        assert batch.index == index
        assert batch.bits <= sizes.bits_per_batch
        for segment in batch.segments:
            if segment.item != FLOOD:
                assert objects[segment.item].word_bits == batch.word_bits
                assert batch.purpose == "noise"
    for batch in layout.secrets:
        assert batch.bits <= sizes.bits_per_batch
        assert {keys[run.item].word_bits for run in batch.segments} == {batch.word_bits}
    for batch in layout.products:
        specs = [objects[run.item].product for run in batch.segments]
        rows = [run.count for run in batch.segments]
        products = sum(
            count * spec.row_length for count, spec in zip(rows, specs, strict=True) if spec
        )
        assert products <= sizes.products_per_batch
        assert {spec.word_bits for spec in specs if spec} == {batch.word_bits}
    for batch in layout.assembly:
        if batch.purpose == "bodies":
            bodies = sum(run.count * objects[run.item].row_bodies for run in batch.segments)
            assert bodies <= sizes.bodies_per_batch
            assert {objects[run.item].word_bits for run in batch.segments} == {batch.word_bits}


def test_a_row_larger_than_a_batch_gets_a_batch_of_its_own() -> None:
    tiny = plan.Layout(1, 65_536, 100, 100, 65_536, 4)
    layout = build_layout(lookup("test"), tiny, 3, TESTS)

    assert all(sum(run.count for run in batch.segments) == 1 for batch in layout.products)
    whole_keys = [batch for batch in layout.assembly if batch.purpose == "bodies"]
    assert max(batch.elements for batch in whole_keys) == 171  # 512 bodies of the compact key


def test_assembly_is_seed_then_bodies_then_one_audit_for_each_ring_then_tests() -> None:
    layout = layout_of("test")
    purposes = [batch.purpose for batch in layout.assembly]
    bodies = purposes.count("bodies")

    assert purposes == ["seed", *["bodies"] * bodies, "audit", "audit", "tests"]
    assert {batch.opening for batch in layout.assembly} == {"single"}
    assert layout.batch("O", 0).word_bits == 128
    assert layout.batch("O", 1).dependencies == (("O", 0),)
    assert [item.word_bits for item in layout.assembly if item.purpose == "audit"] == [64, 128]
    assert [item.elements for item in layout.assembly if item.purpose == "audit"] == [43, 43]
    later = layout.decryption(2, 12, 5)
    assert (later.index, later.elements) == (len(layout.assembly) + 2, 2)
    assert later.segments[0].start == 12


def test_products_depend_on_the_batches_of_the_key_bits_they_consume() -> None:
    halves = plan.Layout(1, 400, 16_384, 65_536, 65_536, 4)
    layout = build_layout(lookup("test"), halves, 3, TESTS)
    first = layout.products[0]  # object 3: compression key times glwe key, both of 64 bits

    consumed = {place.batch for place in layout.key_bits("glwe", 0, 256)}
    consumed |= {place.batch for place in layout.key_bits("compression-glwe", 0, 64)}
    assert first.segments[0].item == 3
    assert set(first.dependencies) == {("S", batch) for batch in consumed}
    assert all(batch.opening == "double" for batch in (*layout.products, *layout.secrets))


def test_a_run_is_found_where_its_batches_keep_it() -> None:
    layout = layout_of("test")
    item = 2
    whole = layout.noise_of(item, 0, 65_536)
    part = layout.noise_of(item, 40_000, 20_000)

    assert sum(place.count for place in whole) == 65_536
    assert sum(place.count for place in part) == 20_000
    seen = 0
    for place in whole:
        kept = 0
        for segment in layout.noise[place.batch].segments:
            if segment.item == item:
                assert (segment.start, kept, segment.count) == (seen, place.offset, place.count)
            kept += segment.count
        seen += place.count
    assert part[0].batch == next(
        batch.index
        for batch in layout.noise
        for run in batch.segments
        if run.item == item and run.start <= 40_000 < run.start + run.count
    )


def test_positions_outside_the_key_set_are_refused() -> None:
    layout = layout_of("test")

    with pytest.raises(IndexError):
        layout.product_rows(5, 1, 1)


def test_opened_bytes_count_each_weight_group_at_its_own_width() -> None:
    layout = layout_of("test")
    flood = layout.noise[-1]

    expected = 0
    for group in flood.groups:
        expected += -(-group.bits // 3) * 3 * -(-(64 - group.weight) // 8)
    assert flood.purpose == "flood"
    assert flood.opened_bytes == expected
    assert flood.opened_bytes < flood.elements * 3 * 8


def test_a_batch_of_no_size_is_refused() -> None:
    with pytest.raises(CeremonyError, match="RF-PLAN-020"):
        build_layout(lookup("test"), plan.Layout(1, 0, 1, 1, 1, 1), 3, TESTS)
