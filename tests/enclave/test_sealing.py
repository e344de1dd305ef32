"""Sealed stores: what is read is what this operator sealed for that purpose."""

import dataclasses

import pytest

from infra.board import strict
from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.sealing import HEAD, WRAPPED_KEY, SealedStore, _Sealed, is_sealed
from infra.enclave.measurement import Measurement
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED


@pytest.fixture(scope="module")
def context(signed_plan):
    return Context(signed_plan[0].plan.hash, "op-02")


@pytest.fixture
def inner(tmp_path):
    return FileStore(tmp_path / "vault")


@pytest.fixture
def store(inner, context):
    return SealedStore(inner, b"k" * 32, context)


def _refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value.code


def test_what_is_sealed_is_read_again_and_cannot_be_seen(store, inner):
    store.write("stage-keys/N", b"secret" * 10)
    assert store.read("stage-keys/N") == b"secret" * 10
    assert b"secret" not in inner.read("stage-keys/N")
    assert is_sealed(inner.read("stage-keys/N"))


def test_a_store_behaves_as_the_one_below_it(store, inner, tmp_path, context):
    assert store.read("stage-keys/N") is None
    store.write("stage-keys/N", b"")
    store.write("stage-keys/S", b"S", durable=False)
    assert store.names("stage-keys") == ("stage-keys/N", "stage-keys/S")
    assert store.read("stage-keys/N") == b""
    store.remove("stage-keys/N")
    store.discard("stage-keys/S")
    store.remove("stage-keys/S")
    assert not store.names("stage-keys")
    work = SealedStore(FileStore(tmp_path / "work"), b"w" * 32, context)
    work.write("shares/O-000", b"share")
    store.take(work, "shares/O-000")
    assert store.read("shares/O-000") == b"share"
    assert work.read("shares/O-000") is None
    with pytest.raises(FileNotFoundError):
        store.take(work, "shares/O-000")


def test_equal_contents_do_not_look_equal(store, inner):
    for name in ("a", "b"):
        store.write(name, b"same")
    assert inner.read("a")[-20:] != inner.read("b")[-20:]


def test_no_byte_of_a_sealed_file_can_be_changed(store, inner):
    store.write("stage-keys/N", b"secret")
    sealed = inner.read("stage-keys/N")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1 << at % 8
        inner.write("stage-keys/N", bytes(changed))
        assert _refused(store.read, "stage-keys/N") == "RF-SEAL-001"
    for other in (sealed[:-1], sealed + b"\0", b"", b"plain"):
        inner.write("stage-keys/N", other)
        assert _refused(store.read, "stage-keys/N") == "RF-SEAL-001"


@pytest.mark.parametrize("name", ["stage-keys/S", "shares/N", "stage-keys", "stage-keys/N/N"])
def test_a_file_opens_under_its_own_name_only(tmp_path, context, name):
    inner = FileStore(tmp_path / "other")
    store = SealedStore(inner, b"k" * 32, context)
    store.write("stage-keys/N", b"secret")
    sealed = inner.read("stage-keys/N")
    store.remove("stage-keys/N")
    (tmp_path / "other" / "stage-keys").rmdir()
    inner.write(name, sealed)
    assert _refused(store.read, name) == "RF-SEAL-001"


@pytest.mark.parametrize("changes", [{"operator": "op-03"}, {"plan_hash": bytes(32)}], ids=str)
def test_a_file_of_another_operator_or_plan_does_not_open(store, inner, context, changes):
    store.write("stage-keys/N", b"secret")
    other = SealedStore(inner, b"k" * 32, dataclasses.replace(context, **changes))
    assert _refused(other.read, "stage-keys/N") == "RF-SEAL-001"


def test_every_write_has_the_next_version(store, inner):
    assert store.version("head") == 0
    store.write("head", b"1")
    first = inner.read("head")
    store.write("head", b"2")
    assert store.version("head") == 2
    inner.write("head", first)
    assert store.version("head") == 1


def test_a_version_cannot_be_claimed(store, inner):
    store.write("head", b"1")
    sealed = strict.decode(_Sealed, inner.read("head")[len(HEAD) :])
    claimed = dataclasses.replace(sealed, version=7)
    inner.write("head", HEAD + strict.encode(claimed))
    assert _refused(store.read, "head") == "RF-SEAL-001"


def test_what_does_not_open_is_not_replaced(store, inner):
    inner.write("stage-keys/N", b"plain")
    assert _refused(store.write, "stage-keys/N", b"new") == "RF-SEAL-001"
    assert inner.read("stage-keys/N") == b"plain"


def test_the_wrapped_key_is_no_file_of_the_store(store):
    for act in (store.read, store.remove, store.discard):
        with pytest.raises(ValueError, match=WRAPPED_KEY):
            act(WRAPPED_KEY)


def test_a_vault_opens_again_with_the_key_that_the_service_unwraps(site, inner):
    arn = site.create_key()
    SealedStore.create(inner, site.keys(), arn, site.context()).write("setup/kem-seed", b"seed")
    again = SealedStore.open(inner, site.keys(), site.context())
    assert again.read("setup/kem-seed") == b"seed"


def test_a_vault_does_not_open_in_changed_software(site, inner):
    SealedStore.create(inner, site.keys(), site.create_key(), site.context())
    changed = Measurement({**APPROVED.pcrs, 0: b"\1" * 48})
    assert _refused(SealedStore.open, inner, site.keys(changed), site.context()) == "RF-KMS-003"


def test_a_vault_is_begun_once(site, inner):
    arn = site.create_key()
    assert _refused(SealedStore.open, inner, site.keys(), site.context()) == "RF-SEAL-002"
    SealedStore.create(inner, site.keys(), arn, site.context())
    kept = inner.read(WRAPPED_KEY)
    assert _refused(SealedStore.create, inner, site.keys(), arn, site.context()) == "RF-SEAL-002"
    assert inner.read(WRAPPED_KEY) == kept


def test_a_damaged_wrapped_key_is_refused(site, inner):
    SealedStore.create(inner, site.keys(), site.create_key(), site.context())
    inner.write(WRAPPED_KEY, inner.read(WRAPPED_KEY) + b"\0")
    assert _refused(SealedStore.open, inner, site.keys(), site.context()) == "RF-SEAL-002"
