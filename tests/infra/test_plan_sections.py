"""What a plan can say beyond the least: it has one rendering, and senseless plans are refused."""

import base64
import hashlib
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.enclave.measurement import read_measurement
from infra.plan import parse_plan, render_plan, sign_plan
from infra.plan.hybrid import HybridIdentity
from infra.plan.sandbox import sandbox_plan
from infra.plan.sections import (
    DecisionSection,
    MeasurementSection,
    RetentionSection,
    RevisionSection,
)
from infra.plan.signing import verify_signed_plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import DecisionRules
from tests.support.plans import (
    AUDITOR,
    SEED,
    complete,
    complete_document,
    register,
    represented,
    represented_parties,
)

COMPLETE = complete_document()
TOML = render_plan(COMPLETE)
LEAST = sandbox_plan(
    operators=4, threshold=1, parameters="test", waiting_seconds=60.0, seed=SEED
).signed.toml

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
REGISTERS = st.binary(min_size=48, max_size=48).filter(any).map(bytes.hex)
TEXTS = (
    st.text(
        st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters='"\\'),
        min_size=1,
        max_size=40,
    )
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text.isprintable() and not set(text) & set('"\\'))
)
DAYS = st.integers(0, 36_525)


def optional(strategy):
    return st.none() | strategy


def sections():
    """Return strategies for what is optional; what they give is allowed for n = 4, t = 1."""
    return st.fixed_dictionaries(
        {
            "revision": optional(
                st.builds(RevisionSection, number=st.integers(2, 9999), previous=HEX)
            ),
            "measurement": optional(
                st.builds(
                    MeasurementSection,
                    **{f"pcr{index}": REGISTERS for index in (0, 1, 2)},
                    pcr8=optional(REGISTERS),
                )
            ),
            "decisions": optional(
                st.builds(
                    DecisionSection,
                    write_off=st.just(3),
                    **{name: st.integers(2, 4) for name in ("extension", "pause", "abort")},
                )
            ),
            "retention": optional(
                st.builds(
                    RetentionSection,
                    transcript_days=DAYS,
                    evidence_days=DAYS,
                    vault_days_after_abort=DAYS,
                )
            ),
        }
    )


def refusal(document, code):
    with pytest.raises(CeremonyError) as caught:
        parse_plan(render_plan(document))
    assert caught.value.code == code
    return caught.value


def changed(**update):
    return COMPLETE.model_copy(update=update)


def test_a_plan_that_says_everything_is_its_own_rendering():
    assert parse_plan(TOML) == COMPLETE
    assert render_plan(parse_plan(TOML)) == TOML


def test_a_plan_of_before_is_a_plan_still():
    """The bytes of a plan that names nothing new are those of the first release of the format."""
    assert hashlib.sha256(LEAST).hexdigest() == (
        "56422fd8aa57d892763498b720cf3d939daa9c3f70666c3b01af0956736f3081"
    )


@given(sections(), st.lists(optional(TEXTS), min_size=7, max_size=7), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_a_plan_says_is_read_as_it_was_written(optional_sections, texts, second_keys):
    names = ("organisation", "site", "contact", "kms_key", "storage")
    first, *others = parse_plan(LEAST).operators
    operators = (first.model_copy(update=dict(zip(names, texts, strict=False))), *others)
    document = parse_plan(LEAST).model_copy(update={**optional_sections, "operators": operators})
    if second_keys:
        document = document.model_copy(
            update={
                "ml_dsa_keys": {name: COMPLETE.ml_dsa_keys[name] for name in document.party_names}
            }
        )
    assert parse_plan(render_plan(document)) == document


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_an_altered_byte_is_another_plan_or_none(data):
    at = data.draw(st.integers(0, len(TOML) - 1))
    altered = bytearray(TOML)
    altered[at] ^= data.draw(st.integers(1, 255))
    with suppress(CeremonyError):
        document = parse_plan(bytes(altered))
        assert document != COMPLETE
        assert document.hash != COMPLETE.hash
        assert render_plan(document) == altered


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n[measurement]", "\n\n[measurement]"),
        ("number = 2", "number = 02"),
        ("extension_seconds = 600", "extension_seconds = 600.0"),
        ("Zürich, Gebäude 4", "Zu\u0308rich, Gebäude 4"),
        ("Zürich, Gebäude 4", "Z\\u00fcrich, Gebäude 4"),
        ("Zürich, Gebäude 4", "Zürich, Gebäude\u202e4"),
        ("Zürich, Gebäude 4", " Zürich, Gebäude 4"),
        ("Zürich, Gebäude 4", ""),
        ("CH-ZH", "ch"),
        ("Europe/Zurich", "Europe Zurich"),
        ("transcript_days", "transcript_month"),
        (register(0), "0" * 96),
        (register(1), register(1)[:-2]),
        (register(2), register(2).upper()),
        ("previous = ", "previous_hash = "),
        ("[ml_dsa_keys]\nop-01", '[ml_dsa_keys]\n"op-01"'),
    ],
)
def test_another_notation_or_a_senseless_value_is_refused(old, new):
    text = TOML.decode()
    assert old in text
    with pytest.raises(CeremonyError) as caught:
        parse_plan(text.replace(old, new, 1).encode())
    assert caught.value.code in ("RF-PLAN-006", "RF-PLAN-007")


def test_the_measurement_is_the_one_that_enclaves_are_compared_with():
    found = read_measurement(TOML).pcrs
    assert {index: value.hex() for index, value in found.items()} == {
        index: register(index) for index in (0, 1, 2, 8)
    }


def test_the_plan_tells_the_protocol_who_decides_and_how_long_may_be_waited():
    plan = COMPLETE.to_plan()
    assert plan.decision_rules == DecisionRules(write_off=3, extension=2, pause=2, abort=4)
    assert (plan.deadlines.extension_seconds, plan.deadlines.clock_seconds) == (600, 30)
    least = parse_plan(LEAST).to_plan()
    assert least.decision_rules == DecisionRules(3, 3, 3, 3)
    assert (least.deadlines.extension_seconds, least.deadlines.clock_seconds) == (0, 60)


@pytest.mark.parametrize(
    "rule", [{"write_off": 2}, {"write_off": 4}, {"pause": 1}, {"abort": 5}, {"extension": 1}]
)
def test_a_decision_that_liars_could_take_or_nobody_is_refused(rule):
    rules = {"write_off": 3, "extension": 3, "pause": 3, "abort": 3} | rule
    refusal(changed(decisions=DecisionSection(**rules)), "RF-PLAN-017")


@pytest.mark.parametrize("name", ["op-01", "coordinator", "anna", AUDITOR])
def test_outside_a_sandbox_every_party_has_both_keys(name):
    keys = {each: key for each, key in COMPLETE.ml_dsa_keys.items() if each != name}
    said = {"ml_dsa_keys": None, "representatives": COMPLETE.representatives}
    document = complete(parse_plan(LEAST)).model_copy(update=said)
    assert refusal(document, "RF-PLAN-015").found
    short = render_plan(COMPLETE).decode().replace(f'{name} = "{COMPLETE.ml_dsa_keys[name]}"\n', "")
    with pytest.raises(CeremonyError, match="RF-PLAN-015"):
        parse_plan(short.encode())
    assert name not in keys


def test_two_parties_with_one_second_key_are_refused():
    keys = {**COMPLETE.ml_dsa_keys, "op-01": COMPLETE.ml_dsa_keys["op-02"]}
    refusal(changed(ml_dsa_keys=keys), "RF-PLAN-015")


@pytest.mark.parametrize("key", ["", "AAAA", "-" * 2604, base64.b64encode(bytes(1951)).decode()])
def test_what_is_no_second_key_is_refused(key):
    keys = {**COMPLETE.ml_dsa_keys, "op-01": key}
    refusal(changed(ml_dsa_keys=keys), "RF-PLAN-006")


def test_a_second_key_has_one_notation():
    """The last character of the base64 holds two bits that no byte needs."""
    key = COMPLETE.ml_dsa_keys["op-01"]
    assert key[-2:] in (
        "A=",
        "E=",
        "I=",
        "M=",
        "Q=",
        "U=",
        "Y=",
        "c=",
        *(f"{c}=" for c in "gkosw048"),
    )
    other = f"{key[:-2]}{chr(ord(key[-2]) + 1)}="
    assert base64.b64decode(other) == base64.b64decode(key)
    refusal(changed(ml_dsa_keys={**COMPLETE.ml_dsa_keys, "op-01": other}), "RF-PLAN-006")


@pytest.mark.parametrize("field", ["organisation", "site", "jurisdiction", "time_zone", "contact"])
def test_outside_a_sandbox_the_plan_says_who_every_operator_is(field):
    first, *others = COMPLETE.operators
    document = changed(operators=(first.model_copy(update={field: None}), *others))
    error = refusal(document, "RF-PLAN-016")
    assert error.operator == first.name
    assert field in error.found


@pytest.mark.parametrize("section", ["measurement", "decisions", "retention"])
def test_outside_a_sandbox_no_section_that_protects_is_left_out(section):
    assert refusal(changed(**{section: None}), "RF-PLAN-022").found == f"no [{section}]"


@pytest.mark.parametrize("field", ["kms_key", "storage"])
def test_outside_a_sandbox_every_operator_has_a_sealed_vault(field):
    first, *others = COMPLETE.operators
    document = changed(operators=(first.model_copy(update={field: None}), *others))
    assert refusal(document, "RF-PLAN-022").found == f"no {field} of op-01"


def test_whoever_wants_no_enclaves_says_so_in_a_line_that_is_signed():
    bare = tuple(
        each.model_copy(update={"kms_key": None, "storage": None}) for each in COMPLETE.operators
    )
    document = changed(measurement=None, operators=bare, without_enclaves=True)
    assert b"\nwithout_enclaves = true\n" in render_plan(document)
    assert parse_plan(render_plan(document)) == document
    assert document.hash != changed(measurement=None, operators=bare).hash
    for section in ("decisions", "retention"):
        refusal(document.model_copy(update={section: None}), "RF-PLAN-022")
    refusal(changed(without_enclaves=True), "RF-PLAN-022")
    said = render_plan(document).replace(b"without_enclaves = true", b"without_enclaves = false")
    with pytest.raises(CeremonyError, match="RF-PLAN-006"):
        parse_plan(said)


def test_in_an_enclave_every_operator_has_somebody_who_speaks_for_it():
    first, *others = COMPLETE.representatives
    assert "nobody for op-01" in refusal(changed(representatives=others), "RF-PLAN-021").found
    without = {"representatives": others, "measurement": None, "without_enclaves": True}
    keys = {name: key for name, key in COMPLETE.ml_dsa_keys.items() if name != first.name}
    document = changed(**without, ml_dsa_keys=keys)
    assert parse_plan(render_plan(document)).representatives == tuple(others)


@pytest.mark.parametrize("operator", ["op-02", "coordinator", "somebody"])
def test_nobody_speaks_for_two_or_for_who_is_no_operator(operator):
    first, *others = COMPLETE.representatives
    speaking = (first.model_copy(update={"operator": operator}), *others)
    refusal(changed(representatives=speaking), "RF-PLAN-021")


def test_who_speaks_for_an_operator_is_nobody_else():
    first, *others = COMPLETE.representatives
    for update in ({"name": "op-01"}, {"identity_key": COMPLETE.operators[0].identity_key}):
        speaking = (first.model_copy(update=update), *others)
        refusal(changed(representatives=speaking), "RF-PLAN-004")


def test_who_speaks_for_operators_signs_the_plan():
    signed, _ = represented_parties()
    lines = signed.signatures.splitlines(keepends=True)
    assert [line.split()[0] for line in lines[-4:]] == [b"anna", b"ben", b"carla", b"dario"]
    with pytest.raises(CeremonyError, match="RF-PLAN-009"):
        verify_signed_plan(signed.toml, b"".join(lines[:-1]))


def test_an_auditor_is_nobody_else():
    (auditor,) = COMPLETE.auditors
    for update in ({"name": "op-01"}, {"identity_key": COMPLETE.operators[0].identity_key}):
        refusal(changed(auditors=(auditor.model_copy(update=update),)), "RF-PLAN-004")


def test_a_plan_of_the_largest_committee_with_both_keys_fits():
    parties = sandbox_plan(
        operators=13,
        threshold=4,
        parameters="test",
        waiting_seconds=60.0,
        seed=SEED,
        deputies=8,
        hybrid=True,
    )
    assert parties.signed.plan.count == 13
    people = {f"person-{at:02}": SEED.party(f"person-{at:02}") for at in range(13)}
    identities = {
        name: HybridIdentity(each.identity(), each.ml_dsa_key()) for name, each in people.items()
    }
    document = represented(parse_plan(parties.signed.toml), identities)
    known = {name: each.ed25519 for name, each in identities.items()} | parties.identities
    second = {name: each.ml_dsa for name, each in identities.items()} | parties.ml_dsa_keys
    assert sign_plan(document, known, second).plan.representatives[12].operator == 13
