"""Every adversary: what it lies about, at which step and stage, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from mpc_core.adversary import (
    accusations,
    batches,
    collusion,
    contradictions,
    elsewhere,
    enclaves,
    key_setup,
    presence,
    whispers,
)
from mpc_core.protocol.justice import DECODER, RECOMPUTED, VECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.adversary.twin import Twin

__all__ = ["ADVERSARIES", "FALSE_ENCLAVES", "Adversary", "Outcome", "adversary"]


class Outcome(StrEnum):
    """What has to come of a lie."""

    HARMLESS = "harmless"
    """Nothing changes: what was said is void, or is not needed."""
    SURVIVED = "survived"
    """It costs time, an absence or a batch; nobody can tell a lie from a fault."""
    ATTRIBUTED = "attributed"
    """The liar is excluded by evidence that everybody can check."""


@dataclass(frozen=True, slots=True)
class Adversary:
    """One lie.

    Attributes:
        name: in drills and in the assurance case.
        lie: what is done.
        step: the honest step that it is the twin of.
        stage: where: setup, N S M, O, or any.
        outcome: what has to come of it, if the lie hits anybody.
        grounds: of the evidence by which the liar is excluded, any of these.
        twin: how an operator of a drill is made to do it.
    """

    name: str
    lie: str
    step: str
    stage: str
    outcome: Outcome
    twin: type[Twin]
    grounds: tuple[str, ...] = ()


_ANY_GROUND = (VECTOR, RECOMPUTED)
_H, _S, _A = Outcome.HARMLESS, Outcome.SURVIVED, Outcome.ATTRIBUTED


def _row(
    name: str,
    where: tuple[str, str],
    outcome: Outcome,
    twin: type[Twin],
    grounds: tuple[str, ...] = (),
) -> Adversary:
    story = (twin.__doc__ or "").partition("\n")[0]
    return Adversary(name, story, *where, outcome, twin, grounds)


_SETUP = "setup"
_OFFLINE = "N S M"
_ONLINE = "O"
_ALL = "any"

_ROWS = (
    _row("garbage-ciphertext", ("contribute", _SETUP), _S, key_setup.SealsGarbage),
    _row("other-strings", ("contribute", _SETUP), _S, key_setup.SendsOtherStrings),
    _row("strings-of-another", ("contribute", _SETUP), _S, elsewhere.SendsStringsOfAnother),
    _row(
        "strings-of-another-ceremony",
        ("contribute", _SETUP),
        _S,
        elsewhere.SendsStringsOfAnotherCeremony,
    ),
    _row("second-contribution", ("contribute", _SETUP), _H, contradictions.ContributesTwice),
    _row("no-strings", ("contribute", _SETUP), _S, key_setup.KeepsStringsBack),
    _row("false-complaint", ("examine", _SETUP), _S, key_setup.AccusesOne),
    _row("complaints-against-all", ("examine", _SETUP), _H, key_setup.AccusesEverybody),
    _row("new-key-and-complaints", ("examine", _SETUP), _H, key_setup.ChangesItsKey),
    _row("other-references", ("acknowledge", _SETUP), _H, key_setup.NamesOtherReferences),
    _row("no-references", ("acknowledge", _SETUP), _S, key_setup.KeepsReferencesBack),
    _row("wrong-vector", ("share", _OFFLINE), _A, batches.MakesAWrongVector, _ANY_GROUND),
    _row("wrong-noise", ("share", "N"), _A, batches.MakesWrongNoise, _ANY_GROUND),
    _row(
        "vector-of-another-batch",
        ("share", _OFFLINE),
        _A,
        elsewhere.SharesAVectorOfAnotherBatch,
        _ANY_GROUND,
    ),
    _row(
        "vector-of-another-ceremony",
        ("share", _OFFLINE),
        _A,
        elsewhere.SharesAVectorOfAnotherCeremony,
        _ANY_GROUND,
    ),
    _row("no-root", ("share", _OFFLINE), _S, batches.KeepsRootsBack),
    _row("second-root", ("share", _ALL), _H, contradictions.CommitsTwice),
    _row("root-of-another", ("share", _OFFLINE), _S, elsewhere.CommitsToAnothersVector),
    _row("bad-vector-no-answer", ("share", _OFFLINE), _S, batches.KeepsAnswersToABadVector),
    _row("root-of-nothing", ("share", _ALL), _S, batches.CommitsToNothing),
    _row("serves-nobody", ("serve", _ALL), _S, batches.ServesNobody),
    _row("serves-some", ("serve", _ALL), _S, batches.ServesSome),
    _row("serves-late", ("serve", _ALL), _S, batches.ServesLate),
    _row("serves-too-little", ("serve", _ALL), _S, batches.ServesTooLittle),
    _row("serves-too-much", ("serve", _ALL), _S, batches.ServesTooMuch),
    _row("serves-two-vectors", ("serve", _ALL), _S, batches.ServesTwoVectors),
    _row("wrong-answer", ("answer", _OFFLINE), _A, batches.AnswersWrongly, _ANY_GROUND),
    _row(
        "wrong-answer-unserved",
        ("answer", _OFFLINE),
        _A,
        batches.AnswersWronglyUnserved,
        (RECOMPUTED,),
    ),
    _row(
        "wrong-answer-for-bits",
        ("answer", "S"),
        _A,
        batches.AnswersForBitsWronglyUnserved,
        (RECOMPUTED,),
    ),
    _row(
        "wrong-answer-for-products",
        ("answer", "M"),
        _A,
        batches.AnswersForProductsWronglyUnserved,
        (RECOMPUTED,),
    ),
    _row(
        "answers-on-a-wrong-polynomial",
        ("answer", _OFFLINE),
        _A,
        collusion.FitsAWrongPolynomial,
        _ANY_GROUND,
    ),
    _row(
        "answers-for-a-wrong-v",
        ("answer", _OFFLINE),
        _A,
        collusion.FitsAWrongValue,
        (DECODER, *_ANY_GROUND),
    ),
    _row("second-answer", ("answer", _ALL), _H, contradictions.AnswersTwice),
    _row("another-answer-to-one", ("answer", _OFFLINE), _H, whispers.WhispersAnotherAnswer),
    _row(
        "wrong-answer-to-one-only",
        ("answer", _OFFLINE),
        _A,
        whispers.WhispersItsOnlyAnswer,
        _ANY_GROUND,
    ),
    _row("wrong-answer-at-the-seal", ("answer", "M"), _A, whispers.AnswersAtTheSeal, _ANY_GROUND),
    _row("copied-answer", ("answer", _OFFLINE), _A, elsewhere.CopiesAnAnswer, _ANY_GROUND),
    _row("no-answer", ("answer", _ALL), _S, batches.KeepsAnswersBack),
    _row("late-wrong-answer", ("answer", "M"), _S, batches.AnswersLateAndWrongly),
    _row("wrong-v", ("decode", _ALL), _A, batches.DecodesWrongly, (DECODER,)),
    _row("odd-v", ("decode", _ALL), _A, batches.DecodesOddly, (DECODER,)),
    _row("second-v", ("decode", _ALL), _H, contradictions.DecodesTwice),
    _row("silent-decoder", ("decode", _ALL), _S, batches.DecodesSilently),
    _row("v-that-nobody-has", ("decode", _ALL), _S, batches.DecodesNothing),
    _row("blind-vouching", ("vouch", _ALL), _S, batches.VouchesBlindly),
    _row("wrong-opening", ("share", _ONLINE), _S, batches.OpensWrongly),
    _row("wrong-answer-online", ("answer", _ONLINE), _S, batches.AnswersTheAssemblyWrongly),
    _row("false-blame", ("blame", _OFFLINE), _H, accusations.BlamesWithoutCause),
    _row("false-confirmation", ("confirm", _ALL), _H, accusations.ConfirmsWhatIsNot),
    _row("false-evidence", ("accuse", _ALL), _H, accusations.ShowsFalseEvidence),
    _row("other-keys", ("reveal", _OFFLINE), _A, accusations.RevealsOtherKeys, (RECOMPUTED,)),
    _row("no-keys", ("reveal", _OFFLINE), _A, accusations.KeepsKeysBack, (RECOMPUTED,)),
    _row("corrections", ("correct", _OFFLINE), _S, accusations.CorrectsOnPurpose),
    _row("false-unserved", ("fetch", _ALL), _H, accusations.SaysUnserved),
    _row("endless-returns", ("come back", _ALL), _S, presence.ReturnsForEver),
    _row("returns-at-once", ("come back", _ALL), _S, presence.ReturnsAtOnce),
    _row("chatter", ("answer", _ALL), _S, presence.ChattersWithoutAnswers),
    _row("after-exclusion", ("post", _ALL), _A, presence.GoesOnAfterExclusion, _ANY_GROUND),
    _row("replay", ("post", _ALL), _H, presence.RepeatsItself),
    _row("replay-of-another-ceremony", ("post", _ALL), _H, elsewhere.RepeatsAnotherCeremony),
    _row("another-key", ("post", _ALL), _H, presence.SignsWithAnotherKey),
    _row("signs-nothing", ("endorse", _ALL), _H, presence.SignsNothing),
    _row("signs-anything", ("endorse", _ALL), _H, presence.SignsAnything),
)

_CONNECT = ("connect", _ALL)

_FALSE_ENCLAVES = (
    _row("other-software", _CONNECT, _S, enclaves.RunsOtherSoftware),
    _row("debug-mode", _CONNECT, _S, enclaves.RunsInDebugMode),
    _row("old-documents", _CONNECT, _S, enclaves.ShowsOldDocuments),
    _row("documents-of-other-keys", _CONNECT, _S, enclaves.BindsOtherKeys),
    _row("no-document", _CONNECT, _S, enclaves.ShowsNoDocument),
)

ADVERSARIES: Mapping[str, Adversary] = MappingProxyType({row.name: row for row in _ROWS})
"""All of them, by name, that can lie in any ceremony."""

FALSE_ENCLAVES: Mapping[str, Adversary] = MappingProxyType(
    {row.name: row for row in _FALSE_ENCLAVES}
)
"""Those that lie about their enclave, where the plan asks for one."""


def adversary(name: str) -> Adversary:
    """Return an adversary by its name.

    Raises:
        KeyError: if there is none.
    """
    return ADVERSARIES.get(name) or FALSE_ENCLAVES[name]
