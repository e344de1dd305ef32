import re
import stat
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.plan import (
    COORDINATOR,
    SetupSeed,
    create_identity,
    load_identity,
    load_setup_seed,
    load_signed_plan,
    parse_plan,
    public_key_of,
    render_plan,
    sign_plan,
    write_identity,
    write_signed_plan,
)
from infra.plan.keys import SETUP_SEED, write_setup_seed
from infra.plan.sandbox import TESTS, sandbox_plan
from infra.plan.sections import DeputySection
from infra.plan.signing import verify_signed_plan
from mpc_core.protocol.errors import CeremonyError

SEED = SetupSeed(bytes(range(16)))


def _parties(seed=SEED, **changes):
    arguments = {"operators": 4, "threshold": 1, "parameters": "test", "waiting_seconds": 60.0}
    return sandbox_plan(**(arguments | changes), seed=seed)


PARTIES = _parties()
TOML = PARTIES.signed.toml.decode()


def _refusal(text, code):
    with pytest.raises(CeremonyError) as caught:
        parse_plan(text if isinstance(text, bytes) else text.encode())
    assert caught.value.code == code
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.next_step
    return caught.value


def _edited(old, new):
    assert old in TOML
    return TOML.replace(old, new)


def test_a_plan_is_exactly_its_own_rendering():
    assert render_plan(parse_plan(PARTIES.signed.toml)) == PARTIES.signed.toml


def test_the_plan_says_what_the_protocol_reads():
    plan = PARTIES.signed.plan
    assert (plan.count, plan.threshold, plan.quorum) == (4, 1, 3)
    assert [operator.name for operator in plan.operators] == ["op-01", "op-02", "op-03", "op-04"]
    assert [operator.index for operator in plan.operators] == [1, 2, 3, 4]
    assert plan.layout.bits_per_batch == 65_536
    assert plan.tests.plaintexts == TESTS.plaintexts
    assert plan.deadlines.waiting_seconds == 60.0


def test_a_plan_names_no_address_port_time_or_certificate():
    fields = set(re.findall(r"^(\w+) =", TOML, re.MULTILINE))
    assert fields.isdisjoint({"host", "address", "port", "created", "not_after", "certificate"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1\n", "version = 1 \n"),
        ("version = 1\n", "version=1\n"),
        ("version = 1\n", "version = 0x1\n"),
        ("step_seconds = 5.0", "step_seconds = 5"),
        ("step_seconds = 5.0", "step_seconds = 5.00"),
        ("\n\n", "\n"),
        ("\n", "\r\n"),
        ("# Waiting times", "# waiting times"),
        ("bits_per_batch = 65536", "bits_per_batch = 65_536"),
        ('"test"', "'test'"),
    ],
)
def test_another_notation_of_the_same_plan_is_refused(old, new):
    _refusal(_edited(old, new), "RF-PLAN-007")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1\n", "version = 2\n"),
        ("version = 1\n", ""),
        ("version = 1\n", 'version = 1\nhost = "here"\n'),
        ("sandbox = true", 'sandbox = "true"'),
        ("threshold = 1", "threshold = 1.0"),
        ("threshold = 1", "threshold ="),
        ("step_seconds = 5.0", "step_seconds = nan"),
        ("waiting_seconds = 60.0", "waiting_seconds = inf"),
        ("bits_per_batch = 65536", "bits_per_batch = 0"),
        ("leaf_bytes = 16384", "leaf_bytes = 1"),
        ("batches_in_flight = 6", "batches_in_flight = 0"),
        ("entry_bytes = 262144", "entry_bytes = 99999999"),
        ("plaintexts = [0, 1,", "plaintexts = [4, 1,"),
        ('insecure = ["setup-seed"]', 'insecure = ["no-encryption"]'),
        ('insecure = ["setup-seed"]', 'insecure = ["setup-seed", "setup-seed"]'),
        ('"op-01"', '"../op-01"'),
        ('"op-01"', '"op\\n01"'),
        (SEED.ceremony_id(), SEED.ceremony_id()[:-1]),
        (SEED.ceremony_id(), SEED.ceremony_id()[:-1] + "G"),
    ],
)
def test_what_is_no_plan_is_refused(old, new):
    _refusal(_edited(old, new), "RF-PLAN-006")


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[" * 70_000, b"version = 1\n" * 9000])
def test_bytes_that_are_no_plan_are_refused_without_a_traceback(data):
    _refusal(data, "RF-PLAN-006")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_is_another_plan_or_none(data):
    at = data.draw(st.integers(0, len(TOML) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(PARTIES.signed.toml)
    changed[at] ^= flip
    with pytest.raises(CeremonyError) as caught:
        verify_signed_plan(bytes(changed), PARTIES.signed.signatures)
    assert caught.value.code.startswith("RF-PLAN-")


def test_an_unknown_parameter_set_is_refused():
    _refusal(_edited('"test"', '"toast"'), "RF-PLAN-001")
    with pytest.raises(CeremonyError, match="RF-PLAN-001"):
        _parties(parameters="toast")


def test_test_openings_of_a_secure_set_are_refused():
    _refusal(_edited('"test"', '"mainnet"'), "RF-PLAN-013")


def test_a_sandbox_of_a_secure_set_reserves_no_test_openings():
    tests = _parties(parameters="mainnet").signed.plan.tests
    assert (tests.plaintexts, tests.decrypt_openings) == ((), 0)


@pytest.mark.parametrize(("operators", "threshold"), [(3, 1), (4, 2), (6, 2), (4, 0), (12, 4)])
def test_too_few_operators_for_the_threshold_are_refused(operators, threshold):
    with pytest.raises(CeremonyError, match="RF-PLAN-002"):
        _parties(operators=operators, threshold=threshold)


def test_a_plan_file_with_too_few_operators_is_refused():
    _refusal(_edited("threshold = 1", "threshold = 2"), "RF-PLAN-002")


def test_more_operators_than_the_design_range_are_refused():
    with pytest.raises(CeremonyError, match="RF-PLAN-003"):
        _parties(operators=14, threshold=4)


@pytest.mark.parametrize(("operators", "threshold"), [(4, 1), (7, 2), (10, 3), (13, 4)])
def test_every_size_of_the_design_range_has_a_plan(operators, threshold):
    plan = _parties(operators=operators, threshold=threshold).signed.plan
    assert (plan.count, plan.threshold) == (operators, threshold)


def test_two_operators_under_one_name_are_refused():
    _refusal(_edited('"op-02"', '"op-01"'), "RF-PLAN-004")


def test_an_operator_that_is_called_coordinator_is_refused():
    _refusal(_edited('"op-02"', '"coordinator"'), "RF-PLAN-004")


def test_two_parties_with_one_key_are_refused():
    first, second = (public_key_of(PARTIES.identities[name]).hex() for name in ("op-01", "op-02"))
    _refusal(_edited(second, first), "RF-PLAN-004")
    coordinator = public_key_of(PARTIES.identities[COORDINATOR]).hex()
    _refusal(_edited(coordinator, first), "RF-PLAN-004")


def test_operators_out_of_order_are_refused():
    _refusal(_edited("index = 2", "index = 3"), "RF-PLAN-004")


def test_an_insecure_shortcut_outside_a_sandbox_is_refused():
    _refusal(_edited("sandbox = true", "sandbox = false"), "RF-PLAN-005")


def test_a_signed_plan_survives_the_disk(tmp_path):
    write_signed_plan(tmp_path, PARTIES.signed)
    assert load_signed_plan(tmp_path) == PARTIES.signed
    assert load_signed_plan(tmp_path, PARTIES.signed.plan.hash.hex()) == PARTIES.signed


def test_a_plan_with_another_hash_than_the_pinned_one_is_refused(tmp_path):
    write_signed_plan(tmp_path, PARTIES.signed)
    with pytest.raises(CeremonyError, match="RF-PLAN-008"):
        load_signed_plan(tmp_path, "00" * 32)


def test_a_missing_plan_is_said_to_be_missing(tmp_path):
    with pytest.raises(CeremonyError, match="RF-PLAN-012"):
        load_signed_plan(tmp_path)


def _broken_signatures():
    lines = PARTIES.signed.signatures.splitlines(keepends=True)
    other = _parties(waiting_seconds=61.0).signed.signatures.splitlines(keepends=True)
    yield b""
    yield lines[0]
    yield b"".join(lines[:-1])
    yield b"".join(lines)[:-1]
    yield b"".join(lines) + b"\n"
    yield b"".join(lines) + lines[0]
    yield b"".join([lines[1], lines[0], *lines[2:]])
    yield b"".join([lines[0].replace(b"op-01", b"op-02"), *lines[1:]])
    yield b"".join([lines[0].replace(b"ed25519", b"ed448"), *lines[1:]])
    yield b"".join([lines[0].replace(b" ", b"  "), *lines[1:]])
    yield b"".join([lines[0].replace(b"=\n", b"\n"), *lines[1:]])
    yield b"".join([*lines[:-1], other[-1]])
    yield b"".join([other[0], *lines[1:]])


@pytest.mark.parametrize("signatures", list(_broken_signatures()))
def test_a_plan_that_not_everybody_signed_is_refused(signatures):
    with pytest.raises(CeremonyError) as caught:
        verify_signed_plan(PARTIES.signed.toml, signatures)
    assert caught.value.code == "RF-PLAN-009"


def test_the_error_names_whose_signature_is_wrong():
    document = parse_plan(PARTIES.signed.toml)
    with pytest.raises(CeremonyError) as caught:
        sign_plan(document, PARTIES.identities | {"op-03": create_identity()})
    assert (caught.value.code, caught.value.operator) == ("RF-PLAN-009", "op-03")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_changed_byte_of_the_signatures_is_refused(data):
    changed = bytearray(PARTIES.signed.signatures)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CeremonyError, match="RF-PLAN-009"):
        verify_signed_plan(PARTIES.signed.toml, bytes(changed))


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    assert _parties().signed == PARTIES.signed
    other = _parties(seed=SetupSeed(b"another seed"))
    assert other.signed.plan.hash != PARTIES.signed.plan.hash
    assert other.signed.plan.ceremony_id != PARTIES.signed.plan.ceremony_id


def test_without_a_seed_no_two_plans_are_alike_and_none_says_insecure():
    one, two = _parties(seed=None), _parties(seed=None)
    assert one.signed.plan.hash != two.signed.plan.hash
    assert one.signed.plan.insecure == ()
    assert one.seeds == {}


def test_parties_learn_only_their_own_part_of_the_seed():
    parts = [part.value for part in PARTIES.seeds.values()]
    assert len(set(parts)) == 5
    assert SEED.value not in parts
    assert repr(SEED) == "SetupSeed()"


@pytest.mark.parametrize("text", ["", "abc", "zz", "00" * 65, "0x00", " 00"])
def test_a_seed_that_is_not_hex_is_refused(text):
    with pytest.raises(CeremonyError, match="RF-PLAN-011"):
        SetupSeed.parse(text)


def test_a_seed_is_what_was_typed():
    assert SetupSeed.parse("00fF").value == b"\x00\xff"


def test_an_identity_key_is_for_its_owner_only(tmp_path):
    key = create_identity()
    write_identity(tmp_path, key)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) == 0o600
    loaded = load_identity(tmp_path, public_key_of(key), "op-01")
    assert public_key_of(loaded) == public_key_of(key)


def test_a_home_with_another_identity_does_not_start(tmp_path):
    write_identity(tmp_path, create_identity())
    with pytest.raises(CeremonyError) as caught:
        load_identity(tmp_path, public_key_of(create_identity()), "op-01")
    assert caught.value.code == "RF-PLAN-010"
    assert "PRIVATE" not in caught.value.render()


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_vault_without_a_readable_identity_does_not_start(tmp_path, content):
    if content is not None:
        (tmp_path / "identity.key").write_bytes(content)
    with pytest.raises(CeremonyError, match="RF-PLAN-010"):
        load_identity(tmp_path, bytes(32), "op-01")


def test_a_seed_in_the_vault_is_used_only_if_the_plan_names_it(tmp_path):
    part = PARTIES.seeds["op-01"]
    write_setup_seed(tmp_path, part)
    assert load_setup_seed(tmp_path, PARTIES.signed.plan) == part
    honest = _parties(seed=None).signed.plan
    with pytest.raises(CeremonyError, match="RF-PLAN-005"):
        load_setup_seed(tmp_path, honest)
    with pytest.raises(CeremonyError, match="RF-PLAN-005"):
        load_setup_seed(tmp_path, replace(PARTIES.signed.plan, sandbox=False))


def test_a_plan_that_names_a_seed_needs_one_and_another_plan_needs_none(tmp_path):
    assert load_setup_seed(tmp_path, _parties(seed=None).signed.plan) is None
    with pytest.raises(CeremonyError, match="RF-PLAN-011"):
        load_setup_seed(tmp_path, PARTIES.signed.plan)
    (tmp_path / SETUP_SEED).write_bytes(b"short")
    with pytest.raises(CeremonyError, match="RF-PLAN-011"):
        load_setup_seed(tmp_path, PARTIES.signed.plan)


def test_a_plan_may_name_deputies_who_sign_it_too():
    deputy = create_identity()
    named = parse_plan(PARTIES.signed.toml).model_copy(
        update={
            "deputies": (DeputySection(name="deputy-1", identity_key=public_key_of(deputy).hex()),)
        }
    )
    signed = sign_plan(named, {**PARTIES.identities, "deputy-1": deputy})
    assert parse_plan(signed.toml) == named
    assert signed.plan.hosts == {
        COORDINATOR: public_key_of(PARTIES.identities[COORDINATOR]),
        "deputy-1": public_key_of(deputy),
    }
    unsigned = b"".join(signed.signatures.splitlines(keepends=True)[:-1])
    with pytest.raises(CeremonyError, match="deputy-1"):
        verify_signed_plan(signed.toml, unsigned)


@pytest.mark.parametrize("name", ["op-01", COORDINATOR])
def test_a_deputy_is_nobody_else(name):
    section = DeputySection(name=name, identity_key="ab" * 32)
    document = parse_plan(PARTIES.signed.toml).model_copy(update={"deputies": (section,)})
    _refusal(render_plan(document), "RF-PLAN-004")


def test_a_sandbox_has_as_many_deputies_as_asked_for():
    parties = _parties(deputies=2)
    names = [deputy.name for deputy in parties.signed.plan.deputies]
    assert names == ["deputy-1", "deputy-2"]
    for deputy in parties.signed.plan.deputies:
        assert public_key_of(parties.identities[deputy.name]) == deputy.identity_key
    assert PARTIES.signed.plan.deputies == ()


def test_the_parameter_set_of_drills_is_refused_in_any_other_plan():
    arguments = {"operators": 4, "threshold": 1, "waiting_seconds": 60.0}
    with pytest.raises(CeremonyError, match="RF-PLAN-014"):
        sandbox_plan(parameters="insecure-micro", **arguments)
    with pytest.raises(CeremonyError, match="RF-PLAN-014"):
        sandbox_plan(parameters="test", drill=True, **arguments)
    plan = sandbox_plan(parameters="insecure-micro", drill=True, **arguments).signed.plan
    assert "drill-parameters" in plan.insecure
