import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.cli.ending import print_json
from infra.decrypt import command
from infra.decrypt.command import Decrypted, decrypt, decrypt_command
from infra.decrypt.files import check_ceremony
from infra.plan import load_signed_plan
from infra.sandbox.options import SandboxOptions, open_ceremony
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.ciphertexts import LIST_LIMIT, CompactList, serialize_compact_list
from mpc_core.tfhe.parameters import lookup
from tests.infra.test_sandbox_supervisor import Recorder

SEED = "00112233445566778899aabbccddeeff"
WORDS = np.arange(512 + 5, dtype=np.uint64)


class _StartedError(Exception):
    """Something was started."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ceremony that looks finished, but has an empty log."""
    options = SandboxOptions(tmp_path_factory.mktemp("all"), identifier="one", setup_seed=SEED)
    folder, _ = open_ceremony(options)
    folder.report_json.write_text("{}")
    return folder


@pytest.fixture(scope="module")
def plan(folder):
    return load_signed_plan(folder.root).plan


@pytest.fixture(scope="module")
def listed(plan):
    """A list with the right tag: a u8 and a boolean, under no key at all."""
    tag = bytes.fromhex(plan.ceremony_id)
    ciphertexts = CompactList(WORDS[None, :512], WORDS[512:], packed=False, kinds=(8, 1), tag=tag)
    return serialize_compact_list(lookup("test"), ciphertexts)


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    def start(*_, **__):
        raise _StartedError

    monkeypatch.setattr(command, "Supervisor", start)


def code_of(folder, file):
    with pytest.raises(CeremonyError) as caught:
        decrypt(folder, file, Recorder(), print_json)
    return caught.value.code


@pytest.fixture
def file(tmp_path, listed):
    file = tmp_path / "list"
    file.write_bytes(listed)
    return file


# -- refusals, before anything is started ---------------------------------------------------------


def test_only_sandboxes_of_insecure_sets_decrypt(folder, plan):
    check_ceremony(folder, plan)
    for change, code in (({"sandbox": False}, "032"), ({"parameters": "mainnet"}, "004")):
        with pytest.raises(CeremonyError, match=code):
            check_ceremony(folder, replace(plan, **change))


def test_a_ceremony_without_a_result_does_not_decrypt(tmp_path, file):
    unfinished, _ = open_ceremony(SandboxOptions(tmp_path, identifier="two"))
    assert code_of(unfinished, file) == "RF-RUN-030"


def test_a_log_without_an_announcement_grants_nothing(folder, file):
    assert code_of(folder, file) == "RF-RUN-030"


def test_where_no_ceremony_is_nothing_decrypts(folder, file):
    assert code_of(replace(folder, root=folder.root / "keyset"), file) == "RF-RUN-020"


def test_a_file_that_cannot_be_read_is_refused(folder, tmp_path):
    assert code_of(folder, tmp_path / "nowhere") == "RF-RUN-033"
    assert code_of(folder, tmp_path) == "RF-RUN-033"


def test_a_list_with_the_tag_of_another_key_is_refused(folder, file, listed, plan):
    tag = bytes.fromhex(plan.ceremony_id)
    file.write_bytes(listed.replace(tag, tag[::-1]))
    assert code_of(folder, file) == "RF-TFHE-005"


def test_a_list_with_a_proof_is_refused_by_name(folder, file, listed):
    file.write_bytes(listed.replace(b"::Compact", b"::ProvenCompact"))
    with pytest.raises(CeremonyError, match="RF-TFHE-002") as caught:
        decrypt(folder, file, Recorder(), print_json)
    assert caught.value.expected == "a list without a proof of encryption"


def test_a_file_that_is_too_long_is_not_read_to_its_end(folder, file, listed):
    with file.open("wb") as sparse:
        sparse.write(listed)
        sparse.truncate(1 << 40)
    assert code_of(folder, file) == "RF-TFHE-002"
    assert len(listed) < LIST_LIMIT


def test_one_decryption_at_a_time(folder, file):
    with folder.locked():
        assert code_of(folder, file) == "RF-RUN-003"


# -- fuzzed files ---------------------------------------------------------------------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused_and_start_nothing(folder, file, data):
    file.write_bytes(data)
    assert code_of(folder, file) == "RF-TFHE-002"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data())
def test_altered_lists_are_refused_and_start_nothing(folder, file, listed, choices):
    start = listed.index(WORDS.tobytes())
    outside = [*range(start), *range(start + WORDS.nbytes, len(listed))]
    broken = bytearray(listed)
    at = choices.draw(st.sampled_from(outside))
    match choices.draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
        case "change":
            broken[at] ^= choices.draw(st.integers(1, 255))
        case "cut":
            del broken[at:]
        case "insert":
            broken[at:at] = choices.draw(st.binary(min_size=1, max_size=9))
        case "repeat":
            broken += broken[at:]
    file.write_bytes(broken)
    assert code_of(folder, file) in {"RF-TFHE-002", "RF-TFHE-005"}


# -- around the start -----------------------------------------------------------------------------


class _Granted:
    """A record that grants everything and shows nothing."""

    openings_left = 9
    state = ()

    def check_grants(self, root, openings):
        assert (len(root), openings) == (32, 5)

    def values(self, *_):
        return None


@pytest.fixture
def granted(monkeypatch):
    monkeypatch.setattr(command, "record_of", lambda *_: _Granted())


@pytest.mark.usefixtures("granted")
def test_a_list_that_is_granted_lies_in_the_outbox_before_anything_starts(folder, file, listed):
    with pytest.raises(_StartedError):
        decrypt(folder, file, Recorder(), print_json)
    (blob,) = (folder.coordinator.outbox / "O").iterdir()
    assert blob.read_bytes() == listed


@pytest.mark.usefixtures("granted")
def test_a_stop_says_how_to_go_on_with_the_same_floods(folder, file, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "Supervisor", interrupt)
    with pytest.raises(CeremonyError, match="RF-RUN-009") as caught:
        decrypt(folder, file, Recorder(), print_json)
    assert caught.value.next_step == f"ringforge decrypt {folder.root} {file}"


def test_values_that_are_on_the_log_start_nothing(folder, file, monkeypatch):
    class Known(_Granted):
        def values(self, *_):
            return (7, True)

    monkeypatch.setattr(command, "record_of", lambda *_: Known())
    assert decrypt(folder, file, Recorder(), print_json) == Decrypted((7, True), True, 9)


def test_values_go_to_standard_output(folder, file, monkeypatch, capsys):
    result = Decrypted((201, True, 0, False), again=False, openings_left=3)
    monkeypatch.setattr(command, "decrypt", lambda *_: result)
    assert decrypt_command(folder.root, file, as_json=False) == 0
    assert capsys.readouterr().out == "201\ntrue\n0\nfalse\n"
    assert decrypt_command(folder.root, file, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "event": "result",
        "values": [201, True, 0, False],
        "again": False,
        "openings_left": 3,
    }
