"""The two security modules: the Nitro device at its system call, and the insecure software."""

import ctypes
import dataclasses
import datetime as dt
import errno
import os

import cbor2
import pytest

from infra.enclave.chain import aws_root
from infra.enclave.insecure_software import (
    SOFTWARE_ENCLAVE,
    Authority,
    InsecureSoftwareModule,
    key_digest,
    measure_installed,
    scalar_of,
)
from infra.enclave.measurement import Measurement
from infra.enclave.nitro import Message, NitroModule
from infra.enclave.roots import root_of
from infra.enclave.verification import Expectation, authenticate, verify_document
from infra.plan.document import parse_plan, render_plan
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import AttestationRules
from tests.enclave.chains import APPROVED, MEASURED, NOW


class Device:
    """The driver's side of the ioctl, in memory: answers are looked up by the question."""

    def __init__(self, answers):
        self.answers = answers
        self.questions = []
        self.codes = []

    def __call__(self, descriptor, code, message):
        assert descriptor == 7
        self.codes.append(code)
        request = ctypes.string_at(message.request.address, message.request.length)
        self.questions.append(cbor2.loads(request))
        answer = self.answers(self.questions[-1])
        answer = answer if isinstance(answer, bytes) else cbor2.dumps(answer)
        assert len(answer) <= message.response.length
        ctypes.memmove(message.response.address, answer, len(answer))
        message.response.length = len(answer)
        return 0


def _module(answers):
    device = Device(answers)
    return NitroModule(7, device), device


def test_a_document_is_asked_for_with_all_fields():
    module, device = _module(lambda _: {"Attestation": {"document": b"\x84..."}})
    assert module.attest(user_data=b"u", nonce=None, public_key=b"k") == b"\x84..."
    assert device.questions == [
        {"Attestation": {"user_data": b"u", "nonce": None, "public_key": b"k"}}
    ]


def test_the_system_call_is_the_published_one():
    module, device = _module(lambda _: {"DescribePCR": {"lock": True, "data": bytes(48)}})
    assert module.describe(3).locked
    assert device.questions == [{"DescribePCR": {"index": 3}}]
    assert device.codes == [0xC0200A00]
    assert ctypes.sizeof(Message) == 32


def test_random_bytes_are_asked_for_until_there_are_enough():
    pieces = iter([b"a" * 256, b"b" * 256])
    module, device = _module(lambda _: {"GetRandom": {"random": next(pieces)}})
    assert module.random(300) == b"a" * 256 + b"b" * 44
    assert device.questions == ["GetRandom"] * 2


@pytest.mark.parametrize(
    "answer",
    [
        {"Error": "InvalidArgument"},
        {"Error": 7},
        {"DescribePCR": {"lock": True, "data": bytes(48)}},
        {"Attestation": {}},
        {"Attestation": {"document": b""}},
        {"Attestation": {"document": "text"}},
        {"Attestation": {"document": b"x" * 12_000}, "Error": "InvalidArgument"},
        {"Attestation": b"document"},
        "Attestation",
        [],
        b"",
        b"\xff",
    ],
    ids=range(12),
)
def test_any_other_answer_of_the_device_is_an_error(answer):
    module, _ = _module(lambda _: answer)
    with pytest.raises(CeremonyError) as refusal:
        module.attest(user_data=None, nonce=b"n", public_key=None)
    assert refusal.value.code == "RF-ATTEST-010"


def test_a_device_that_claims_more_than_it_was_given_is_not_believed():
    def device(_, __, message):
        message.response.length += 1
        return 0

    with pytest.raises(CeremonyError, match="RF-ATTEST-010"):
        NitroModule(7, device).describe(0)


def test_a_system_call_that_fails_is_an_error_that_names_it():
    def device(*_):
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))

    with pytest.raises(CeremonyError) as refusal:
        NitroModule(7, device).describe(0)
    assert "EMSGSIZE" in refusal.value.found


def test_a_field_that_no_document_can_hold_is_not_sent():
    module, device = _module(lambda _: {})
    with pytest.raises(CeremonyError, match="RF-ATTEST-010"):
        module.attest(user_data=bytes(1025), nonce=None, public_key=None)
    assert not device.questions


def test_outside_an_enclave_there_is_no_device(tmp_path):
    with pytest.raises(CeremonyError, match="RF-ATTEST-010"):
        NitroModule.open(tmp_path / "nsm")


@pytest.fixture(scope="module")
def plan():
    parties = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=60)
    plan = parties.signed.plan
    return dataclasses.replace(plan, insecure=(SOFTWARE_ENCLAVE,))


def test_a_plan_can_name_the_software_enclave():
    parties = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=60)
    document = parse_plan(parties.signed.toml).model_copy(update={"insecure": (SOFTWARE_ENCLAVE,)})
    assert parse_plan(render_plan(document)).to_plan().insecure == (SOFTWARE_ENCLAVE,)
    with pytest.raises(CeremonyError, match="RF-PLAN-005"):
        parse_plan(render_plan(document.model_copy(update={"sandbox": False})))


@pytest.mark.parametrize(
    "changes", [{"insecure": ()}, {"insecure": ("setup-seed",)}, {"sandbox": False}]
)
def test_software_is_no_enclave_unless_a_sandbox_plan_says_so(plan, changes):
    root = Authority.create(NOW)
    other = dataclasses.replace(_asking(plan, root), **changes)
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        InsecureSoftwareModule(other, root, APPROVED)
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        root_of(other, b"")
    rules = dataclasses.replace(other.attestation, insecure_root=b"")
    assert root_of(dataclasses.replace(other, attestation=rules), b"") == aws_root()


def _asking(plan, root):
    """Return the plan that asks for attestation under a test root."""
    registers = tuple(sorted(APPROVED.pcrs.items()))
    rules = AttestationRules(registers, 3600, key_digest(root.certificate))
    return dataclasses.replace(plan, attestation=rules)


def _module_of(plan, root, measurement=APPROVED, now=NOW):
    return InsecureSoftwareModule(plan, root, measurement, lambda: now)


def test_documents_of_software_pass_the_same_verifier_under_the_test_root_only(plan, tmp_path):
    Authority.create(NOW).save(tmp_path)
    root = Authority.load(tmp_path)
    module = _module_of(plan, root)
    data = module.attest(user_data=b"u", nonce=b"n", public_key=None)
    expected = Expectation(APPROVED, b"n", b"u")
    found = root_of(_asking(plan, root), data)
    assert verify_document(data, found, expected, NOW).user_data == b"u"
    with pytest.raises(CeremonyError, match="RF-ATTEST-002"):
        authenticate(data, aws_root())


def test_documents_under_another_test_root_than_the_plans_are_refused(plan):
    root, other = Authority.create(NOW), Authority.create(NOW)
    data = _module_of(plan, other).attest(user_data=b"u", nonce=b"n", public_key=None)
    with pytest.raises(CeremonyError, match="RF-ATTEST-002"):
        root_of(_asking(plan, root), data)


def test_a_test_root_follows_from_a_seed():
    roots = [Authority.create(NOW, scalar_of(seed)) for seed in (b"a", b"a", b"b")]
    digests = [key_digest(root.certificate) for root in roots]
    assert digests[0] == digests[1] != digests[2]


def test_the_key_of_a_test_root_is_readable_by_its_owner_only(tmp_path):
    Authority.create(NOW).save(tmp_path)
    assert (tmp_path / "insecure-root.key").stat().st_mode & 0o777 == 0o600


def test_changed_software_shows_another_measurement(plan):
    root = Authority.create(NOW)
    changed = Measurement({**APPROVED.pcrs, 0: b"\1" * 48})
    data = _module_of(plan, root, changed).attest(user_data=b"u", nonce=b"n", public_key=None)
    with pytest.raises(CeremonyError, match="RF-ATTEST-005"):
        verify_document(data, root.certificate, Expectation(APPROVED, b"n", b"u"), NOW)


def test_a_leaf_is_renewed_before_it_ends(plan):
    root = Authority.create(NOW)
    times = [NOW, NOW + dt.timedelta(hours=4)]
    clock = iter(times)
    module = InsecureSoftwareModule(plan, root, APPROVED, lambda: next(clock))
    for time in times:
        data = module.attest(user_data=None, nonce=None, public_key=None)
        assert authenticate(data, root.certificate).time == time


def test_registers_of_software_are_those_of_its_documents(plan):
    root = Authority.create(NOW)
    module = _module_of(plan, root)
    assert module.describe(0).value == MEASURED[0]
    assert module.describe(5).value == bytes(48)
    assert len(module.random(100)) == 100


def test_installed_software_measures_the_same_twice():
    assert measure_installed() == measure_installed()
