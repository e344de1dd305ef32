"""Every input of the corpus is decoded or refused as documented: valid ones, and former crashes."""

import pytest

from tests.fuzz.targets import TARGETS

INPUTS = [
    (name, path)
    for name, each in sorted(TARGETS.items())
    for path in sorted(each.corpus.iterdir() if each.corpus.is_dir() else ())
]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=lambda it: getattr(it, "name", it))
def test_an_input_of_the_corpus_is_decoded_or_refused(name, path):
    TARGETS[name].run(path.read_bytes())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_valid_inputs_are_decoded(name):
    for data in TARGETS[name].seeds():
        TARGETS[name].decode(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_corpus_begins_with_valid_inputs(name):
    assert any(TARGETS[name].corpus.glob("valid-*"))
