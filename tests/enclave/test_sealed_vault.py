"""Sealed vaults: a store that swaps, truncates, deletes or brings back objects is noticed."""

import pytest

from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.sealing import Sealer
from infra.enclave.kms.vault import IDENTITY, INDEX, WRAPPED_KEY, SealedVault
from infra.enclave.measurement import Measurement
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED
from tests.support.hostile_objects import HostileObjects

CONTEXT = Context(bytes(32), "op-02")
SEALER = Sealer(b"k" * 32, CONTEXT)


def opened(objects):
    vault = SealedVault(objects, SEALER)
    vault.load()
    return vault


@pytest.fixture
def objects():
    return HostileObjects()


@pytest.fixture
def vault(objects):
    vault = SealedVault(objects, SEALER)
    vault.begin_again()
    return vault


def refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value.code


def key_of(objects, name):
    return next(key for key in objects.kept if key.startswith(f"objects/{name}@"))


def test_what_is_written_is_there_at_the_next_start_and_cannot_be_seen(objects, vault):
    vault.write("stage-keys/N", b"secret" * 10)
    vault.write("stage-keys/N", b"newer secret")
    vault.write("witness", b"")
    again = opened(objects)
    assert again.read("stage-keys/N") == b"newer secret"
    assert again.read("witness") == b""
    assert again.read("stage-keys/S") is None
    assert again.names("stage-keys") == ("stage-keys/N",)
    assert not any(b"secret" in data for data in objects.kept.values())


def test_what_is_removed_is_gone_also_where_the_store_kept_it(objects, vault):
    vault.write("stage-keys/N", b"secret")
    kept = dict(objects.kept)
    for forget in (vault.remove, vault.discard):
        forget("stage-keys/N")
    index = objects.kept[INDEX]
    objects.kept = {**kept, INDEX: index}
    again = opened(objects)
    assert again.read("stage-keys/N") is None
    assert not again.names("stage-keys")


def test_an_object_is_moved_from_another_store(vault, tmp_path):
    work = FileStore(tmp_path)
    work.write("passing-shares/O-000", b"share")
    vault.take(work, "passing-shares/O-000")
    assert vault.read("passing-shares/O-000") == b"share"
    assert work.read("passing-shares/O-000") is None
    with pytest.raises(FileNotFoundError):
        vault.take(work, "passing-shares/O-000")


def test_an_older_version_of_one_object_is_not_taken_for_the_newest(objects, vault):
    vault.write("witness", b"1")
    old = objects.kept[key_of(objects, "witness")]
    vault.write("witness", b"2")
    objects.kept[key_of(objects, "witness")] = old
    assert refused(vault.read, "witness") == "RF-STORE-003"
    assert refused(opened(objects).read, "witness") == "RF-STORE-003"


def test_swapped_truncated_and_deleted_objects_are_noticed(objects, vault):
    vault.write("stage-keys/N", b"N")
    vault.write("stage-keys/S", b"S")
    n, s = (key_of(objects, f"stage-keys/{stage}") for stage in "NS")
    whole = dict(objects.kept)
    for data in (whole[s], whole[n][:-1], b""):
        objects.kept = {**whole, n: data}
        assert refused(opened(objects).read, "stage-keys/N") == "RF-STORE-003"
    objects.kept = {key: data for key, data in whole.items() if key != n}
    assert refused(opened(objects).read, "stage-keys/N") == "RF-STORE-003"


def test_a_vault_without_its_index_is_lost_and_not_empty(objects, vault):
    vault.write("witness", b"1")
    del objects.kept[INDEX]
    assert refused(opened, objects) == "RF-STORE-003"
    vault = SealedVault(objects, SEALER)
    vault.begin_again()
    assert opened(objects).read("witness") is None
    assert set(objects.kept) == {INDEX}


def test_no_byte_of_the_index_can_be_changed(objects, vault):
    vault.write("witness", b"1")
    whole = objects.kept[INDEX]
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        objects.kept[INDEX] = bytes(changed)
        assert refused(opened, objects) == "RF-SEAL-001"


def test_an_object_of_a_lost_vault_does_not_come_back_in_the_one_begun_again(objects, vault):
    vault.write("witness", b"old")
    old = dict(objects.kept)
    vault.begin_again()
    vault.write("witness", b"new")
    key = key_of(objects, "witness")
    assert key not in old
    objects.kept[key] = old[next(each for each in old if each.startswith("objects/witness@"))]
    assert refused(opened(objects).read, "witness") == "RF-STORE-003"


def test_a_crash_between_object_and_index_leaves_the_vault_as_it_was(objects, vault):
    vault.write("witness", b"1")
    for moment in range(objects.now, objects.now + 3):
        vault.write("witness", b"2")
        objects.kept = {**objects.kept, **objects.history[moment]}
        again = opened(objects)
        assert again.read("witness") in {b"1", b"2"}
        again.write("witness", b"3")
        assert opened(objects).read("witness") == b"3"
        vault = opened(objects)
    assert len([key for key in objects.kept if key.startswith("objects/")]) == 1


def test_a_write_whose_answer_is_lost_counts_once_the_store_has_it(objects, vault):
    vault.write("witness", b"1")
    put = objects.put

    def losing(key, data, replaces):
        objects.loses_the_next_answer = key == INDEX
        return put(key, data, replaces)

    objects.put = losing
    assert refused(vault.write, "witness", b"2") == "RF-STORE-001"
    objects.put = put
    vault.write("stage-keys/N", b"N")
    again = opened(objects)
    assert (again.read("witness"), again.read("stage-keys/N")) == (b"2", b"N")


def test_a_store_that_is_away_changes_nothing(objects, vault):
    vault.write("witness", b"1")
    objects.away = True
    assert refused(vault.write, "witness", b"2") == "RF-STORE-001"
    assert refused(vault.read, "witness") == "RF-STORE-001"
    objects.away = False
    assert vault.read("witness") == b"1"


def test_two_processes_do_not_write_one_vault(objects, vault):
    other = opened(objects)
    vault.write("witness", b"1")
    assert refused(other.write, "witness", b"2") == "RF-STORE-002"
    assert opened(objects).read("witness") == b"1"


# -- under the key service ------------------------------------------------------------------------


def begun(site, objects, arn):
    contents = {IDENTITY: b"identity", "witness": b"never"}
    return SealedVault.begin(objects, site.keys(), arn, site.context(), contents)


def test_a_vault_opens_again_with_the_key_that_the_service_unwraps(site, objects):
    arn = site.create_key()
    begun(site, objects, arn).write("setup/kem-seed", b"seed")
    asked = []
    again = SealedVault.open(objects, lambda key: asked.append(key) or site.keys(), site.context())
    again.load()
    assert asked == [arn]
    assert (again.identity(), again.read("setup/kem-seed")) == (b"identity", b"seed")
    assert again.read("witness") == b"never"
    assert not any(
        secret in data for data in objects.kept.values() for secret in (b"ident", b"seed")
    )


def test_the_identity_key_outlives_the_rest(site, objects):
    vault = begun(site, objects, site.create_key())
    vault.write("witness", b"1")
    vault.begin_again()
    again = SealedVault.open(objects, lambda _: site.keys(), site.context())
    assert again.identity() == b"identity"
    del objects.kept[IDENTITY]
    assert refused(again.identity) == "RF-STORE-003"


def test_a_vault_does_not_open_in_changed_software(site, objects):
    begun(site, objects, site.create_key())
    changed = site.keys(Measurement({**APPROVED.pcrs, 0: b"\1" * 48}))
    opening = (SealedVault.open, objects, lambda _: changed, site.context())
    assert refused(*opening) == "RF-KMS-003"


def test_a_vault_is_begun_once(site, objects):
    arn = site.create_key()
    opening = (SealedVault.open, objects, lambda _: site.keys(), site.context())
    assert refused(*opening) == "RF-SEAL-002"
    begun(site, objects, arn)
    kept = objects.kept[WRAPPED_KEY]
    assert refused(begun, site, objects, arn) == "RF-SEAL-002"
    assert objects.kept[WRAPPED_KEY] == kept
    objects.kept[WRAPPED_KEY] += b"\0"
    assert refused(*opening) == "RF-SEAL-002"


def test_a_crash_while_a_vault_is_begun_leaves_none(site, objects):
    arn = site.create_key()
    begun(site, HostileObjects(), arn)
    puts = []
    put = objects.put

    def dying(key, data, replaces):
        if len(puts) == dying.at:
            raise InterruptedError
        puts.append(key)
        return put(key, data, replaces)

    objects.put = dying
    for dying.at in range(5):
        puts.clear()
        with pytest.raises(InterruptedError):
            begun(site, objects, arn)
        assert WRAPPED_KEY not in objects.kept
    objects.put = put
    vault = begun(site, objects, arn)
    assert (vault.identity(), vault.read("witness")) == (b"identity", b"never")
