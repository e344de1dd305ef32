"""Whenever the power goes during publication, a manifest stands over whole files only."""

import pytest

from infra.publish import Keeps
from infra.publish.manifest import MANIFEST
from infra.verify import Outcome, verify
from tests.support.power import STYLES, Disk, PowerCut
from tests.support.published import undisturbed


def published(disk):
    with disk.watched():
        undisturbed().publish(disk.root, keeps=Keeps.ASSEMBLY)


@pytest.mark.parametrize(
    ("style", "every"),
    [("mixed", 40), *(pytest.param(style, 1, marks=pytest.mark.long) for style in STYLES)],
)
def test_what_is_published_is_whole_or_published_again(tmp_path, monkeypatch, style, every):
    calm = Disk(tmp_path / "calm", monkeypatch)
    published(calm)
    total = calm.operations
    assert total > 50
    for cut in {*range(0, total, every), total - 1}:
        disk = Disk(tmp_path / f"cut-{cut}", monkeypatch, seed=cut)
        disk.cut_at = cut
        with pytest.raises(PowerCut):
            published(disk)
        disk.lose_power(style)
        if (disk.root / MANIFEST).exists():
            assert verify(disk.root).outcome is Outcome.OK
        published(disk)
        assert verify(disk.root).outcome is Outcome.OK
