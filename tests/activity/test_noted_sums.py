"""Shares that follow from noted sums are those that follow from the streams, byte for byte."""

import os
from dataclasses import replace

import numpy as np
import pytest

import infra.sums
from activities.work import preprocessing
from infra.bench.subject import Subject, cut_to, drain, joined
from infra.party.rules import layout_of
from infra.plan.sandbox import sandbox_plan
from infra.sums import FileSums
from mpc_core.preprocessing import bits as bits_module
from mpc_core.preprocessing import noise as noise_module
from mpc_core.preprocessing import tiles
from mpc_core.protocol.context import BatchContext
from mpc_core.sharing import cached
from tests.support.modes import every_mode, use

committees = pytest.mark.parametrize("committee", [(7, 2), (13, 4)])
word_sizes = pytest.mark.parametrize("word_bits", [64, 128])


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch):
    monkeypatch.setattr(cached, "LEAST_STREAMS", 1)


@pytest.fixture
def cache(tmp_path):
    return FileSums(tmp_path / "sums", 2)


def subject_of(n, t):
    plan = sandbox_plan(
        operators=n, threshold=t, parameters="test", waiting_seconds=60.0
    ).signed.plan
    return Subject(plan, layout_of(plan))


def batch_of(subject, stage, word_bits, bits=700):
    batch = next(each for each in subject.layout.stage(stage) if each.word_bits == word_bits)
    return cut_to(batch, bits, subject.parameters)


def opening_of(batch):
    """Some even values that are canonical."""
    width = {weight: -(-(batch.word_bits - weight) // 8) for weight, _ in batch.element_groups}
    parts = []
    for weight, count in batch.element_groups:
        values = np.zeros((count * batch.degree, width[weight]), np.uint8)
        values[:, 0] = np.arange(len(values)) * 2
        parts.append(values.tobytes())
    return memoryview(b"".join(parts))


def fail(*_):
    raise AssertionError("the streams are expanded")


@committees
@word_sizes
@pytest.mark.parametrize("stage", ["N", "S"])
@every_mode
def test_shares_and_vector_are_those_without_notes(  # noqa: PLR0917 - all that can differ
    cache, monkeypatch, committee, word_bits, stage, mode
):
    use(mode, monkeypatch)
    subject = subject_of(*committee)
    batch = batch_of(subject, stage, word_bits)
    opening = opening_of(batch)
    vector = joined(subject.work(batch).share_pieces())
    shares = subject.work(batch).shares(opening)
    monkeypatch.setattr(tiles, "TILE_BLOCKS", 20)  # many parts, which no tile of noise fits
    monkeypatch.setattr(bits_module, "PIECE_BYTES", 7 * 4 * word_bits // 8)
    assert joined(subject.work(batch, cache=cache).share_pieces()) == vector
    monkeypatch.setattr(tiles, "TILE_BLOCKS", 13)
    monkeypatch.setattr(noise_module, "TILE_BODIES", 17)
    monkeypatch.setattr(preprocessing, "prss_sums", fail)
    assert np.array_equal(subject.work(batch, cache=cache).shares(opening), shares)


@word_sizes
def test_a_batch_that_is_drawn_anew_never_meets_the_notes_of_the_one_before(cache, word_bits):
    subject = subject_of(7, 2)
    batch = batch_of(subject, "N", word_bits)
    opening = opening_of(batch)
    drain(subject.work(batch, cache=cache).share_pieces())
    for change in ({"attempt": 1}, {"generation": 1}):
        anew = subject.work(batch, cache=cache)
        anew.context = BatchContext(replace(anew.context.name, **change))
        plain = subject.work(batch)
        plain.context = anew.context
        assert cache.find(anew.context_id) is None
        assert np.array_equal(anew.shares(opening), plain.shares(opening))


def test_a_damaged_part_is_expanded_again(cache):
    subject = subject_of(7, 2)
    batch = batch_of(subject, "N", 128)
    opening = opening_of(batch)
    work = subject.work(batch, cache=cache)
    drain(work.share_pieces())
    os.pwrite(cache._files[work.context_id].descriptor, b"damage", 5000)
    shares = subject.work(batch, cache=cache).shares(opening)
    assert np.array_equal(shares, subject.work(batch).shares(opening))
    assert cache.find(work.context_id) is None


def test_a_vector_that_broke_off_leaves_nothing_to_find(cache, monkeypatch):
    subject = subject_of(7, 2)
    batch = batch_of(subject, "N", 128)
    monkeypatch.setattr(bits_module, "PIECE_BYTES", 4 * 4 * 16)
    work = subject.work(batch, cache=cache)
    pieces = work.share_pieces()
    next(pieces)
    pieces.close()
    assert cache.find(work.context_id) is None


def test_a_full_disk_fails_neither_step(cache, monkeypatch):
    subject = subject_of(7, 2)
    batch = batch_of(subject, "N", 128)
    opening = opening_of(batch)

    def full(*_):
        raise OSError(28, "no space left")

    monkeypatch.setattr(infra.sums, "append", full)
    vector = joined(subject.work(batch, cache=cache).share_pieces())
    assert vector == joined(subject.work(batch).share_pieces())
    shares = subject.work(batch, cache=cache).shares(opening)
    assert np.array_equal(shares, subject.work(batch).shares(opening))


@pytest.mark.parametrize(("n", "t", "noted"), [(4, 1, False), (7, 2, False), (10, 3, True)])
def test_sums_of_few_streams_are_not_noted(cache, monkeypatch, n, t, noted):
    monkeypatch.undo()
    subject = subject_of(n, t)
    work = subject.work(batch_of(subject, "N", 64), cache=cache)
    drain(work.share_pieces())
    assert (cache.find(work.context_id) is not None) == noted
