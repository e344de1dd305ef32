"""Sealing: what is read is what this operator sealed for that purpose."""

import dataclasses

import pytest

from infra.board import strict
from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.sealing import HEAD, SealedStore, Sealer, _Sealed, is_sealed
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError

KEY = b"k" * 32


@pytest.fixture(scope="module")
def context(signed_plan):
    return Context(signed_plan[0].plan.hash, "op-02")


@pytest.fixture
def inner(tmp_path):
    return FileStore(tmp_path / "work")


@pytest.fixture
def store(inner, context):
    return SealedStore(inner, Sealer(KEY, context))


def _refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value.code


def test_what_is_sealed_is_read_again_and_cannot_be_seen(store, inner):
    store.write("roots/N", b"secret" * 10)
    assert store.read("roots/N") == b"secret" * 10
    assert b"secret" not in inner.read("roots/N")
    assert is_sealed(inner.read("roots/N"))


def test_a_store_behaves_as_the_one_below_it(store, tmp_path, context):
    assert store.read("roots/N") is None
    store.write("roots/N", b"")
    store.write("roots/S", b"S", durable=False)
    assert store.names("roots") == ("roots/N", "roots/S")
    assert store.read("roots/N") == b""
    store.remove("roots/N")
    store.discard("roots/S")
    store.remove("roots/S")
    assert not store.names("roots")
    other = SealedStore(FileStore(tmp_path / "other"), Sealer(b"w" * 32, context))
    other.write("shares/O-000", b"share")
    store.take(other, "shares/O-000")
    assert store.read("shares/O-000") == b"share"
    assert other.read("shares/O-000") is None
    with pytest.raises(FileNotFoundError):
        store.take(other, "shares/O-000")


def test_equal_contents_do_not_look_equal(store, inner):
    for name in ("a", "b"):
        store.write(name, b"same")
    assert inner.read("a")[-20:] != inner.read("b")[-20:]


def test_no_byte_of_a_sealed_object_can_be_changed(context):
    sealer = Sealer(KEY, context)
    sealed = sealer.seal("stage-keys/N", 3, b"secret")
    assert sealer.opened("stage-keys/N", sealed) == (3, b"secret")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1 << at % 8
        assert _refused(sealer.opened, "stage-keys/N", bytes(changed)) == "RF-SEAL-001"
    for other in (sealed[:-1], sealed + b"\0", b"", b"plain"):
        assert _refused(sealer.opened, "stage-keys/N", other) == "RF-SEAL-001"


@pytest.mark.parametrize("name", ["stage-keys/S", "shares/N", "stage-keys", "stage-keys/N/N"])
def test_an_object_opens_under_its_own_name_only(context, name):
    sealer = Sealer(KEY, context)
    sealed = sealer.seal("stage-keys/N", 0, b"secret")
    assert _refused(sealer.opened, name, sealed) == "RF-SEAL-001"


@pytest.mark.parametrize("changes", [{"operator": "op-03"}, {"plan_hash": bytes(32)}], ids=str)
def test_an_object_of_another_operator_or_plan_does_not_open(context, changes):
    sealed = Sealer(KEY, context).seal("stage-keys/N", 0, b"secret")
    other = Sealer(KEY, dataclasses.replace(context, **changes))
    assert _refused(other.opened, "stage-keys/N", sealed) == "RF-SEAL-001"


def test_a_version_cannot_be_claimed(context):
    sealer = Sealer(KEY, context)
    sealed = strict.decode(_Sealed, sealer.seal("index", 1, b"1")[len(HEAD) :])
    claimed = HEAD + strict.encode(dataclasses.replace(sealed, version=7))
    assert _refused(sealer.opened, "index", claimed) == "RF-SEAL-001"
