import pytest

from mpc_core.tfhe.export import KeyFile
from mpc_core.tfhe.parameters import lookup
from tests.support import judge, node
from tests.support.client_key import write_client_key
from tests.support.reference_keys import generate

TAG = bytes(range(100, 116))
VALUES = [("u8", 201), ("bool", True), ("u16", 51_966), ("u32", 4_000_000_000), ("u64", 2**63 + 5)]


def write(keys, folder):
    for file in KeyFile:
        (folder / file.value).write_bytes(keys.file(file, TAG))
    client_key = write_client_key(keys.parameters, keys.secrets, TAG)
    (folder / "ClientKey").write_bytes(client_key)


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    write(reference, folder)
    return folder


def test_tfhe_rs_generates_the_same_four_files_from_the_same_seed(folder, tmp_path):
    judge.generate("test", bytes(range(16)), TAG, tmp_path)
    for name in (*(file.value for file in KeyFile), "ClientKey"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize("kind", ["CompactPublicKey", "CompressedServerKey", "ClientKey"])
def test_node_writes_back_the_bytes_it_loaded(folder, kind):
    assert node.reserializes(kind, folder / kind)


@pytest.mark.parametrize("packed", [False, True])
def test_the_keys_decrypt_what_node_encrypted_and_compute(folder, tmp_path, packed):
    ciphertexts = tmp_path / "list"
    node.encrypt(folder / "CompactPublicKey", VALUES, ciphertexts, packed=packed)
    found = judge.check("test", folder, ciphertexts)
    assert found["list"] == [value for _, value in VALUES]
    right = {"sum": 34, "product": 253, "chosen": 23}
    assert found["server_key"] == right
    assert found["xof"] == right
    assert found["squashing"] == {"direct": 201, "flag": True, "stored": 201}
    assert found["compression"] == {"number": 51_967, "flag": False}
    assert found["rerandomization"] == {"changed": True, "value": 78}
    assert found["tag"] == TAG.hex()


def test_keys_whose_lwe_and_oprf_bit_are_one_compute_and_draw(tmp_path):
    for first in range(64):
        keys = generate(lookup("test"), bytes([first, *range(15)]))
        if keys.secrets["small-lwe"].all() and keys.secrets["oprf-lwe"].all():
            break
    write(keys, tmp_path)
    found = judge.check("test", tmp_path)
    assert found["xof"] == {"sum": 34, "product": 253, "chosen": 23}
    assert found["squashing"]["direct"] == 201
    assert len(set(found["random"])) > 1


def test_the_judge_refuses_keys_of_another_shape(folder, tmp_path):
    for file in KeyFile:
        data = bytearray((folder / file.value).read_bytes())
        data[-len(TAG) - 12 - 1] ^= 1
        (tmp_path / file.value).write_bytes(bytes(data))
    with pytest.raises(AssertionError, match="judge failed"):
        judge.conforms("test", tmp_path)
