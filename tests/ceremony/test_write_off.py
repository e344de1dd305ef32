"""Before an operator is written off it is called directly: what counts as an answer to that."""

import pytest

from infra.board import wire
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Address, Answer, Return
from mpc_core.protocol.errors import CeremonyError
from tests.infra.test_party_peers import book, silent_machine
from tests.support.simulation import Ceremony
from tests.support.transport import World

SILENT = 4


def signed(ceremony, entry, author=SILENT):
    name = ceremony.plan.name_of(author)
    return wire.sign_entry(entry, ceremony.plan, author, ceremony.identities[name])


def replying(ceremony, reply):
    """Let direct calls of the others bring what `reply` returns for the missing slots."""
    for index in (1, 2, 3):
        ceremony.party(index).steps.operator.peers.owed_entries = lambda _, slots: reply(slots)


def answer_to(slot, *, batch=("N", 3), log_root=bytes(32)):
    _, context, number = slot.split("/")
    return Answer(BatchName(*batch), bytes.fromhex(context), int(number), log_root, bytes(24))


REPLIES = {
    "bytes that are no entry": lambda ceremony, slots: (b"junk", b""),
    "an entry nobody asked for": lambda ceremony, slots: (
        signed(ceremony, Address(7, "127.0.0.1", 9)),
    ),
    "an entry of somebody else": lambda ceremony, slots: (
        signed(ceremony, answer_to(slots[0]), author=1),
    ),
    "an answer to no challenge": lambda ceremony, slots: (signed(ceremony, answer_to(slots[0])),),
    "a signature that is not valid": lambda ceremony, slots: (
        signed(ceremony, answer_to(slots[0]))[:-1] + b"\0",
    ),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_nobody_puts_off_its_write_off_with_what_the_summons_does_not_ask_for(reply):
    ceremony, asked = Ceremony(), []

    def answer(slots):
        asked.append(slots)
        return reply(ceremony, slots)

    def gone():
        ceremony.stop(SILENT)
        replying(ceremony, answer)

    ceremony.at["N-3"] = gone
    ceremony.run()
    assert asked
    assert ceremony.log.state.members.written_off == {SILENT}


def dropping(party, drops):
    """Let the host lose what an operator posts; it has signed it, and knows of no loss."""

    def post(entry):
        if not isinstance(entry, (Answer, Return)):
            type(party.log).post(party.log, entry)
        elif isinstance(entry, Answer):
            party.log.posted[entry] = signed(party.site, entry, party.index)
            drops.append(entry)

    party.log.post = post


def test_who_can_be_reached_is_not_written_off_although_its_answers_never_arrived(undisturbed):
    ceremony, drops = Ceremony(), []
    ceremony.at["M-0"] = lambda: dropping(ceremony.party(SILENT), drops)
    ceremony.at["write-off"] = lambda: drops.append("write-off")
    ceremony.at["secure"] = lambda: delattr(ceremony.party(SILENT).log, "post")
    assert ceremony.run() == undisturbed.digest()
    assert "write-off" in drops
    assert not ceremony.log.state.members.written_off
    assert len(drops) > 1


def test_a_host_that_refuses_what_an_operator_answered_gets_no_write_off():
    ceremony, drops = Ceremony(), []
    ceremony.at["M-0"] = lambda: dropping(ceremony.party(SILENT), drops)

    def refuse():
        for index in (1, 2, 3):

            def post_signed(envelope):
                raise CeremonyError("RF-LOG-006", "the host takes no more")

            ceremony.party(index).log.post_signed = post_signed

    ceremony.at["write-off"] = refuse
    with pytest.raises(AssertionError, match="the operator answered a direct call"):
        ceremony.run()
    assert not ceremony.log.state.members.written_off


def test_a_machine_that_accepts_connections_and_stays_silent_is_written_off():
    ceremony = Ceremony()
    with silent_machine() as (port, callers), book(World(), port, seconds=0.3) as peers:

        def gone():
            ceremony.stop(SILENT)
            for index in (1, 2, 3):
                operator = ceremony.party(index).steps.operator
                operator.peers.owed_entries = peers.owed_entries

        ceremony.at["N-3"] = gone
        ceremony.run()
        assert callers
    assert ceremony.log.state.members.written_off == {SILENT}
