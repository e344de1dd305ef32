"""Liars that know one another, or another ceremony, and answers that come at the worst time."""

import pytest

from infra.drill.engine import Engine
from infra.drill.schedule import Disturbance, Kind, Schedule
from infra.drill.simulate import check_shares
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.entries import Answer, Decoded, Seal
from mpc_core.protocol.errors import CeremonyError

LIARS = (2, 5)


class Verdicts:
    """Notes every verdict that the coordinator's log had about a round, as long as it was on."""

    def __init__(self, engine):
        self.seen, self.engine, self._round = set(), engine, engine.round
        engine.round = self.round

    def round(self):
        self._round()
        for opening in self.engine.log.state.openings:
            for turn in opening.rounds:
                self.seen.add((opening.rule.key, turn.decoder, turn.verdict))

    def about(self, verdict, *, decoders):
        return {key for key, decoder, seen in self.seen if seen is verdict and decoder in decoders}


def colluding(name, n=7, liars=LIARS, away=(3, 6)):
    """Run a ceremony in which liars are together while some honest operators do not answer."""
    engine = Engine(Schedule(3, n, liars=tuple((each, name) for each in liars)))
    verdicts = Verdicts(engine)
    for operator in engine.operators.values():
        operator.start()
    while not any(isinstance(log.entry, Decoded) for log in engine.board.entries):
        engine.round()
    for each in away:
        engine.accidents.begin(Disturbance(Kind.CUT, each, engine.rounds, rounds=4))
    engine.go_on_to_the_end()
    return engine, verdicts


def check_all_named(engine):
    check_shares(engine)
    assert engine.log.state.members.excluded == {liar for liar, _ in engine.schedule.liars}
    assert not engine.log.state.members.written_off


def test_liars_whose_answers_fit_the_early_ones_exclude_no_honest_decoder():
    engine, verdicts = colluding("answers-on-a-wrong-polynomial")
    check_all_named(engine)
    assert verdicts.about(Verdict.ODD_V, decoders={1, 3, 4, 6, 7})
    assert verdicts.about(Verdict.MISFIT, decoders={1, 3, 4, 6, 7})


def test_a_wrong_v_that_liars_answer_for_is_used_until_the_others_have_answered():
    engine, verdicts = colluding("answers-for-a-wrong-v")
    check_all_named(engine)
    used = verdicts.about(Verdict.PROVISIONAL, decoders=LIARS)
    assert used & verdicts.about(Verdict.MISFIT, decoders=LIARS)


@pytest.mark.long
@pytest.mark.parametrize("name", ["answers-on-a-wrong-polynomial", "answers-for-a-wrong-v"])
def test_four_of_thirteen_may_collude(name):
    engine, _ = colluding(name, 13, (2, 3, 7, 11), away=(1, 5, 8))
    check_all_named(engine)


def test_an_answer_between_the_signatures_and_the_seal_voids_the_seal():
    engine = Engine(Schedule(1, 4, liars=((2, "wrong-answer-at-the-seal"),)))
    engine.run()
    state = engine.log.state
    seals = [log.position for log in state.log if isinstance(log.entry, Seal)]
    assert len(seals) == 2
    between = state.log[seals[0] - 1]
    assert isinstance(between.entry, Answer)
    assert between.author == 2
    assert seals[0] in {void.position for void in state.voids}
    assert state.members.excluded == {2}
    check_shares(engine)


def test_nothing_of_another_ceremony_gets_onto_the_log_as_it_was_signed():
    engine = Engine(Schedule(1, 4, liars=((2, "replay-of-another-ceremony"),)))
    elsewhere = engine.elsewhere()
    assert len(elsewhere.envelopes) > 100
    for envelope in elsewhere.envelopes:
        with pytest.raises(CeremonyError, match="RF-LOG-004"):
            engine.board.submit(envelope)
    engine.run()
    assert not set(engine.board.envelopes) & set(elsewhere.envelopes)
