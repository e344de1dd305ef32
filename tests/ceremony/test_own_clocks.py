"""Every operator measures deadlines with its own clock, and signs their end no earlier."""

from infra.drill.engine import Engine
from infra.drill.schedule import Disturbance, Kind, Schedule
from mpc_core.protocol.statements import Due, due_statement

SILENT = 4


def started(*disturbances):
    engine = Engine(Schedule(1, 4, disturbances=disturbances))
    for operator in engine.operators.values():
        operator.start()
    return engine


def until_due(engine, operator, kind, subject):
    """Run until the statement is due for an operator's copy of the log; return it."""
    while not isinstance(due := due_statement(operator.log.state, kind, subject), Due):
        engine.round()
    return due


def test_a_deadline_is_over_when_it_has_run_out_on_the_signers_clock_whatever_others_say():
    engine = started()
    operator, other = engine.operators[3], engine.operators[2]
    due = until_due(engine, operator, "close", "contributions/0")
    allowed = due.seconds(engine.plan.deadlines)
    assert allowed > 1
    other.clock.advance(2 * allowed)
    assert operator.objection(due.entry) == f"the deadline runs for another {allowed:.1f} s"
    operator.clock.advance(allowed - 0.5)
    assert operator.objection(due.entry) == "the deadline runs for another 0.5 s"
    operator.clock.advance(0.5)
    assert operator.objection(due.entry) == ""
    engine.go_on_to_the_end()


def test_nobody_is_written_off_before_its_time_is_used_up_by_the_signers_clock():
    engine = started(Disturbance(Kind.GONE, SILENT, at=0))
    operator = engine.operators[3]
    due = until_due(engine, operator, "write-off", str(SILENT))
    waiting = engine.plan.deadlines.waiting_seconds
    left = waiting - operator.log.seconds_since_covered(due.since)
    assert left > 1
    for part in (0, left - 0.5):
        operator.clock.advance(part)
        assert operator.objection(due.entry).startswith(f"the waiting time of {waiting:.0f} s")
    operator.clock.advance(0.5)
    assert operator.objection(due.entry) == ""
    engine.go_on_to_the_end()
    assert engine.log.state.members.written_off == {SILENT}


def test_who_speaks_but_does_not_deliver_is_given_three_waiting_times_and_no_more():
    engine = started(Disturbance(Kind.GONE, SILENT, at=0))
    operator = engine.operators[3]
    due = until_due(engine, operator, "write-off", str(SILENT))
    waiting = engine.plan.deadlines.waiting_seconds
    left = 3 * waiting - operator.log.seconds_since_covered(due.since)
    operator.clock.advance(left - 0.5)
    operator.log._heard_at[SILENT] = operator.clock.now
    assert operator.objection(due.entry).startswith(f"the waiting time of {waiting:.0f} s")
    operator.clock.advance(0.5)
    assert operator.objection(due.entry) == ""
