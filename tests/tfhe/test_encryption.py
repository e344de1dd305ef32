import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.ciphertexts import BOOLEAN, parse_compact_list, serialize_compact_list
from mpc_core.tfhe.encryption import (
    DELTA,
    acceptance_randomness,
    check_flood,
    decode,
    encrypt,
    noise_bound,
    phase_shares,
    randomness_bytes,
)
from mpc_core.tfhe.export import KeyFile, read_key_file
from mpc_core.tfhe.parameters import PARAMETER_SETS, lookup
from tests.support import judge, node
from tests.support.client_key import write_client_key

TEST = lookup("test")
VALUES = [("u8", 201), ("bool", True), ("u16", 51_966), ("bool", False), ("u64", 2**64 - 1)]
KINDS = (8, BOOLEAN, 16, BOOLEAN, 64)
TAG = b"tag of the key"


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for file in KeyFile:
        (folder / file.value).write_bytes(reference.file(file, TAG))
    client_key = write_client_key(TEST, reference.secrets, TAG)
    (folder / "ClientKey").write_bytes(client_key)
    return folder


@pytest.fixture(scope="module", params=["packed", "plain"])
def listed(request, folder):
    out = folder / request.param
    node.encrypt(folder / "CompactPublicKey", VALUES, out, packed=request.param == "packed")
    return out.read_bytes()


@pytest.fixture(scope="module")
def public_key(folder):
    data = (folder / "CompactPublicKey").read_bytes()
    contents = read_key_file(KeyFile.COMPACT_PUBLIC_KEY, TEST, data)
    return contents.masks[1], contents.bodies[1]


def opened(ciphertexts, reference, degree=1):
    key = np.zeros((512, degree), dtype=np.uint64)
    key[:, 0] = reference.secrets["compact-lwe"]
    shares = phase_shares(ciphertexts, key)
    assert not shares[:, 1:].any()
    return shares[:, 0]


@pytest.mark.parametrize("degree", [1, 3])
def test_a_list_made_by_node_decrypts_to_its_values(listed, reference, degree):
    ciphertexts = parse_compact_list(TEST, listed)
    assert ciphertexts.kinds == KINDS
    assert ciphertexts.tag == TAG
    phases = opened(ciphertexts, reference, degree)
    assert decode(ciphertexts, phases, noise_bound(TEST)) == tuple(v for _, v in VALUES)


def test_a_parsed_list_is_written_back_byte_for_byte(listed):
    assert serialize_compact_list(TEST, parse_compact_list(TEST, listed)) == listed


def test_flood_noise_within_the_bound_changes_nothing(listed, reference):
    ciphertexts = parse_compact_list(TEST, listed)
    flood = np.where(np.arange(ciphertexts.count) % 2, 1, -1).astype(np.int64) << 50
    phases = opened(ciphertexts, reference) + flood.view(np.uint64)
    bound = noise_bound(TEST) + (1 << 50)
    assert decode(ciphertexts, phases, bound) == tuple(v for _, v in VALUES)
    with pytest.raises(CeremonyError, match="RF-TFHE-003"):
        decode(ciphertexts, phases, 1 << 50)


def test_more_values_than_one_mask_carries_decrypt(folder, reference):
    values = [("u64", 2**64 - 1 - 977 * place) for place in range(40)]
    node.encrypt(folder / "CompactPublicKey", values, folder / "long", packed=False)
    ciphertexts = parse_compact_list(TEST, (folder / "long").read_bytes())
    assert ciphertexts.masks.shape == (3, 512)
    phases = opened(ciphertexts, reference)
    assert decode(ciphertexts, phases, noise_bound(TEST)) == tuple(v for _, v in values)


def test_ciphertexts_of_the_acceptance_decrypt_here_and_in_tfhe_rs(
    reference, public_key, folder, tmp_path
):
    values = [(8, 173), (BOOLEAN, 1), (64, 2**63 + 12_345)]
    count = randomness_bytes(TEST, [kind for kind, _ in values])
    randomness = acceptance_randomness(reference.seed, 0, count)
    ciphertexts = encrypt(TEST, public_key, values, randomness, TAG)
    phases = opened(ciphertexts, reference)
    assert decode(ciphertexts, phases, noise_bound(TEST)) == (173, True, 2**63 + 12_345)
    (tmp_path / "list").write_bytes(serialize_compact_list(TEST, ciphertexts))
    found = judge.check("test", folder, tmp_path / "list")
    assert found["list"] == [173, True, 2**63 + 12_345]


def test_every_test_ciphertext_has_its_own_randomness(reference, public_key):
    count = randomness_bytes(TEST, [8])
    first, second = (
        encrypt(TEST, public_key, [(8, 5)], acceptance_randomness(reference.seed, k, count))
        for k in range(2)
    )
    assert not np.array_equal(first.masks, second.masks)


def test_the_noise_of_fresh_ciphertexts_is_within_its_bound_and_present(reference, public_key):
    count = randomness_bytes(TEST, [64])
    residues = []
    for k in range(16):
        randomness = acceptance_randomness(reference.seed, k, count)
        ciphertexts = encrypt(TEST, public_key, [(64, 0)], randomness)
        residues.append(opened(ciphertexts, reference).view(np.int64))
    residues = np.concatenate(residues)
    assert 1 < np.abs(residues).max() <= noise_bound(TEST)


def test_a_list_under_another_key_does_not_decrypt(listed, reference):
    ciphertexts = parse_compact_list(TEST, listed)
    key = 1 - reference.secrets["compact-lwe"][:, None]
    with pytest.raises(CeremonyError, match="RF-TFHE-003"):
        decode(ciphertexts, phase_shares(ciphertexts, key)[:, 0], noise_bound(TEST))


@pytest.mark.parametrize("block", [4, 15, 16, 31])
def test_a_block_that_no_value_has_does_not_decrypt(listed, block):
    ciphertexts = parse_compact_list(TEST, listed)
    phases = np.zeros(ciphertexts.count, dtype=np.uint64)
    if ciphertexts.packed and block < 16:
        block = 31
    phases[0] = np.uint64(block * DELTA)
    with pytest.raises(CeremonyError, match="RF-TFHE-003"):
        decode(ciphertexts, phases, noise_bound(TEST))


def test_a_boolean_of_two_does_not_decrypt(listed):
    ciphertexts = parse_compact_list(TEST, listed)
    phases = np.zeros(ciphertexts.count, dtype=np.uint64)
    phases[2 if ciphertexts.packed else 4] = np.uint64(2 * DELTA)
    with pytest.raises(CeremonyError, match="RF-TFHE-003"):
        decode(ciphertexts, phases, noise_bound(TEST))


def code_of(data):
    try:
        parse_compact_list(TEST, data)
    except CeremonyError as error:
        return error.code
    return ""


def test_a_truncated_or_extended_list_is_refused(listed):
    for length in (0, 3, 60, 100, len(listed) // 2, len(listed) - 1):
        assert code_of(listed[:length]) == "RF-TFHE-002"
    assert code_of(listed + b"\0") == "RF-TFHE-002"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_byte_does_more_than_change_what_is_encrypted(listed, data):
    words = 66 + 8 + 24
    position = data.draw(st.integers(0, words) | st.integers(-180, -1))
    changed = bytearray(listed)
    changed[position] ^= data.draw(st.integers(1, 255))
    if code_of(bytes(changed)) != "RF-TFHE-002":
        again = parse_compact_list(TEST, bytes(changed))
        assert serialize_compact_list(TEST, again) == bytes(changed)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    assert code_of(data) == "RF-TFHE-002"


@pytest.mark.parametrize("words", [1 << 60, 9000, 1025, 512, 0])
def test_a_dishonest_length_is_refused_before_anything_is_read(listed, words):
    at = 71 + 4 * 4
    changed = bytearray(listed)
    honest = parse_compact_list(TEST, listed).count + 512
    assert changed[at : at + 8] == honest.to_bytes(8, "little")
    changed[at : at + 8] = words.to_bytes(8, "little")
    assert code_of(bytes(changed)) == "RF-TFHE-002"


@pytest.mark.parametrize("kind", ["i8", "u128", "u2"])
def test_other_types_are_refused_by_name(folder, kind, tmp_path):
    node.encrypt(folder / "CompactPublicKey", [(kind, 1)], tmp_path / "list")
    assert code_of((tmp_path / "list").read_bytes()) == "RF-TFHE-002"


def test_a_list_for_another_parameter_set_is_refused(listed):
    with pytest.raises(CeremonyError, match="RF-TFHE-002"):
        parse_compact_list(lookup("mainnet"), listed)


def test_the_flood_must_leave_the_message_readable():
    check_flood(TEST, 57)
    with pytest.raises(CeremonyError, match="RF-TFHE-004"):
        check_flood(TEST, 58)


def test_secure_sets_are_never_decrypted_under_a_64_bit_flood():
    for parameters in PARAMETER_SETS.values():
        if not parameters.insecure:
            with pytest.raises(CeremonyError, match="RF-TFHE-004"):
                check_flood(parameters, 40)
