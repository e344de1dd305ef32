"""Whom the coordinator asks for opened values."""

from types import SimpleNamespace

from activities.arithmetic import Question
from infra.coordinator.openings import Openings
from mpc_core.protocol.errors import CeremonyError

SIZE = 100


class Log:
    """Opened values that a verdict waits for, each held by the same operators."""

    def __init__(self, wanted):
        self.wanted = wanted

    def read(self, question):
        return [] if "others_sealed" in question.__code__.co_names else self.wanted

    def wake(self):
        """Nobody waits."""


class Peers:
    """Operators of which some are off; it notes who is asked."""

    def __init__(self, blobs, off):
        self.blobs, self.off, self.asked = blobs, off, []

    def fetch(self, operator, root, size, label, *, shared):
        assert shared
        self.asked.append(operator)
        if operator in self.off:
            raise CeremonyError("RF-PEER-007", "it cannot be reached")
        self.blobs.add(root)


def wanted(number):
    return SimpleNamespace(
        question=Question(b"context", 0, b"log root", bytes([number])),
        decoder=4,
        points=(),
        holders=frozenset({1, 2, 3}),
        count=4,
    )


def openings_of(off):
    blobs = set()
    peers = Peers(blobs, off)
    batch = SimpleNamespace(opened_bytes=SIZE)
    log, layout = Log([]), SimpleNamespace(assembly=(), batch=lambda *_: batch, stage=lambda _: ())
    learned = []
    known = SimpleNamespace(learn=lambda question, batch, v: learned.append(question))
    store = SimpleNamespace(has=blobs.__contains__, read=lambda root: root, adopt=lambda *_: False)
    found = Openings(log, known, store, peers, layout)

    def ask(number):
        log.wanted = [wanted(number)]
        found._fetch(("N", number))
        asked, peers.asked = peers.asked, []
        assert [question.v_root for question in learned] == sorted(blobs)
        return asked

    return ask, peers


def test_an_operator_that_did_not_answer_is_asked_last_from_then_on():
    ask, _ = openings_of(off={1})
    assert ask(0) == [1, 2]
    assert [ask(number) for number in range(1, 5)] == [[3], [2], [3], [2]]


def test_an_operator_that_answers_again_is_asked_like_the_others():
    ask, peers = openings_of(off={1})
    ask(0)
    peers.off = {2, 3}
    assert ask(1) == [3, 2, 1]
    peers.off = set()
    assert ask(2) == [1]


def test_each_one_that_fails_is_asked_once_for_a_value():
    ask, peers = openings_of(off={1, 2, 3})
    assert sorted(ask(0)) == [1, 2, 3]
    peers.off = {1, 2}
    assert ask(1)[-1] == 3
