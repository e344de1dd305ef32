"""The PGP word list is the published one, and bytes come back from their words."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plan.words import EVEN, ODD, bytes_of, words_of

PUBLISHED = "e9b7b0052233a74aa56724ed3f79c272036aed68d8f4c0856e833c8043b9ac62"
"""SHA-256 of both lists, a word a line, as several independent copies of the list have it."""


def test_the_list_is_the_published_one():
    assert hashlib.sha256("\n".join((*EVEN, *ODD)).encode()).hexdigest() == PUBLISHED
    assert len(EVEN) == len(ODD) == 256
    assert len({word.lower() for word in (*EVEN, *ODD)}) == 512


PUBLISHED_WORDS = {
    "E58294F2E9A227486E8B061B31CC528FD7FA3F19": """
        topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa afflict
        bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless""",
    "D1D464C004F00FB5C9A4C8D8E433E7FB7FF56256": """
        stairway souvenir flytrap recipe adrift upcoming artist positive spearhead Pandora spaniel
        stupendous tonic concurrent transit Wichita lockup visitor flagpole escapade""",
}


@pytest.mark.parametrize(("data", "words"), PUBLISHED_WORDS.items(), ids=lambda text: text[:6])
def test_published_fingerprints_have_their_published_words(data, words):
    assert list(words_of(bytes.fromhex(data))) == words.split()
    assert bytes_of(words.upper()) == bytes.fromhex(data)


@given(st.binary(min_size=1, max_size=40))
def test_bytes_come_back_from_their_words(data):
    assert bytes_of("  ".join(words_of(data))) == data


@given(st.binary(min_size=2, max_size=32), st.data())
def test_a_word_that_is_left_out_doubled_or_exchanged_is_noticed(data, draw):
    words = list(words_of(data))
    at = draw.draw(st.integers(0, len(words) - 2))
    missing = words[:at] + words[at + 1 :]
    doubled = words[: at + 1] + words[at:]
    exchanged = [*words[:at], words[at + 1], words[at], *words[at + 2 :]]
    assert bytes_of(" ".join(missing)) is None
    assert bytes_of(" ".join(doubled)) is None
    assert bytes_of(" ".join(exchanged)) is None


@pytest.mark.parametrize("text", ["zulu zulu", "nonsense", "00 11", "aardvark-adroitness"])
def test_what_is_no_word_is_no_byte(text):
    assert bytes_of(text) is None
