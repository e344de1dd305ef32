"""The report says what went wrong, and nothing where nothing did."""

from __future__ import annotations

from infra.publish import Keeps
from infra.report.incidents import incidents_of
from tests.infra.test_verify_blame import burnt
from tests.support.published import undisturbed

SECONDS = {"N": 14.0, "S": 4.0, "M": 8.0}


def test_a_burnt_batch_costs_what_was_drawn_anew_with_it(tmp_path):
    finished = burnt(("M", 1))
    finished.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    (incident,) = incidents_of(tmp_path, finished.plan, SECONDS)
    assert (incident.who, incident.batch) == ("op-02", "M-0001")
    assert incident.what == "its answer is not that of the posted batch keys"
    assert incident.consequence.endswith("; the batch was burnt and drawn anew")
    products = len(finished.layout.products)
    redone = SECONDS["S"] / 2 + 2 * SECONDS["M"] / (products + 2)
    assert abs(incident.seconds_lost - redone) < 1e-9


def test_an_undisturbed_ceremony_has_nothing_to_tell(tmp_path):
    undisturbed().publish(tmp_path)
    assert incidents_of(tmp_path, undisturbed().plan, SECONDS) == ()
    assert incidents_of(tmp_path / "elsewhere", undisturbed().plan, SECONDS) == ()
