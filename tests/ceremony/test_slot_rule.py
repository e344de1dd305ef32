"""Nobody ends a time while something that reached it before is not on the log."""

import pytest

from infra.board import wire
from infra.drill.engine import Engine
from infra.drill.schedule import Schedule
from mpc_core.protocol.entries import Return
from mpc_core.protocol.statements import Due, due_statement


@pytest.mark.parametrize("kind", ["close", "seal"])
def test_what_reached_an_operator_directly_is_put_on_the_log_before_it_signs(kind):
    engine = Engine(Schedule(1, 4))
    for operator in engine.operators.values():
        operator.start()
    subject = "contributions/0" if kind == "close" else ""
    operator, author = engine.operators[3], engine.operators[2]
    while not isinstance(due := due_statement(operator.log.state, kind, subject), Due):
        assert operator.log.state.sealed is None
        engine.round()
    kept = wire.sign_entry(Return(7), engine.plan, *author.log.signer)
    operator.hear(kept)
    left_behind = "1 entries that it ends the time for were not on the log"
    if kind == "close":
        operator.clock.advance(due.seconds(engine.plan.deadlines))
    assert operator.objection(due.entry) == left_behind
    engine.go_on_to_the_end()
    place = engine.board.admission.position_of(kept)
    ends = {type(log.entry): log.position for log in reversed(engine.board.entries)}
    assert place < ends[type(due.entry)]
