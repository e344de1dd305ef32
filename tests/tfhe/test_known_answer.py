import hashlib

from mpc_core.tfhe.export import KeyFile


def test_the_same_assembly_gives_the_key_set_of_tfhe_rs_byte_for_byte(reference):
    data = reference.file(KeyFile.COMPRESSED_XOF_KEY_SET, b"kat")
    assert len(data) == 2_661_215
    assert (
        hashlib.sha256(data).hexdigest()
        == "223e5932f92b85f448600b6122204d14a90c8e8b932010875777a1697b4bf382"
    )
