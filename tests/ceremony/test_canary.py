"""No secret of a whole ceremony of real processes is found where it should not be, however written.

The ceremony has a setup seed, so its secrets are those of the same ceremony in memory, where they
are recorded. Everything it leaves behind is searched: homes, databases, Temporal's histories, logs,
reports, transcripts, outboxes, temporary files, and whatever it said.
"""

import gzip
import shutil
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from infra.stores import FileStore
from tests.support.canary import Searcher, encodings
from tests.support.histories import payloads_in
from tests.support.key_material import KeyMaterial, key_material
from tests.support.sandbox import WAITING_SECONDS, Finished, Sandbox, finished

SEED = "c0ffee15badc0de5feed5ca1ab1ef00d"
SHARE_HEADER_BYTES = 64
LEAST_KEY_BITS = 128


@dataclass
class Searched:
    """A finished ceremony, copies of it on the way, and what to search for."""

    done: Finished
    material: KeyMaterial
    moments: dict[str, Path]
    temporary: Path
    said: Path
    core_limits: dict[str, tuple[int, int]]

    @property
    def homes(self) -> list[Path]:
        return [*self.done.folder.root.glob("operators/*"), self.done.folder.root / "coordinator"]

    def everything(self) -> list[Path]:
        """Return every file but those of vaults."""
        roots = (self.done.folder.root, *self.moments.values(), self.temporary)
        return [self.said, *(path for root in roots for path in files(root) if not in_vault(path))]

    def secrets(self) -> dict[str, bytes]:
        """Return everything that must not be found outside of vaults."""
        material = self.material
        found = material.passing | material.lasting | material.kept | self.final_secrets()
        return found | {"the seed itself": bytes.fromhex(SEED)}

    def final_secrets(self) -> dict[str, bytes]:
        """Return the key itself and the shares of it, which stay in the vaults."""
        found = {}
        for name, bits in self.done.secrets.items():
            if len(bits) >= LEAST_KEY_BITS:
                plain = bits.astype(np.uint8)
                found[f"{name}, packed"] = np.packbits(plain)[:32].tobytes()
                found[f"{name}, packed little"] = np.packbits(plain, bitorder="little")[
                    :32
                ].tobytes()
                found[f"{name}, a byte for a bit"] = plain[:64].tobytes()
        for home in self.done.folder.root.glob("operators/*"):
            vault = FileStore(home / "vault")
            for name in vault.names("shares"):
                shares = (vault.read(name) or b"")[SHARE_HEADER_BYTES:]
                found[f"share of {home.name}, {name}"] = shares[64:96]
        return found


def files(root):
    return [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]


def in_vault(path):
    return "vault" in path.parts


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canary")
    temporary = folder / "temporary"
    temporary.mkdir()
    moments, limits = {}, {}
    arguments = ("--insecure-setup-seed", SEED, "--waiting-time", str(WAITING_SECONDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        with Sandbox(folder / "run", "canary", (*arguments, "--keep-openings")) as sandbox:
            for stage in ("N", "O"):
                sandbox.until_progress(stage, 1)
                with suspended(sandbox) as parties:
                    moments[stage] = folder / f"at-{stage}"
                    shutil.copytree(sandbox.directory / "canary", moments[stage] / "ceremony")
                    shutil.copytree(temporary, moments[stage] / "temporary")
                    limits |= {name: each.rlimit(psutil.RLIMIT_CORE) for name, each in parties}
            done = finished(sandbox)
            said = folder / "said"
            said.write_text("\n".join(map(repr, sandbox.said)))
    material = key_material(SEED, WAITING_SECONDS)
    return Searched(done, material, moments, temporary, said, limits)


@contextmanager
def suspended(sandbox):
    """Stop all parties, and Temporal, for a moment; yield the parties."""
    parties = [(name, psutil.Process(each)) for name, each in sandbox.processes.items()]
    stopped = [each for each in sandbox.left_over() if each.pid != sandbox._process.pid]
    for each in stopped:
        each.suspend()
    yield parties
    for each in stopped:
        each.resume()


def test_the_recorded_secrets_are_those_of_the_ceremony(searched):
    assert searched.done.plan.hash == searched.material.plan_hash
    material = searched.material
    assert len(material.offline) == 3 * len(material.online) == 12
    assert len([name for name in material.setup if name.startswith("k of")]) == 4
    assert len(material.setup) > 20
    assert len(material.batches) > 100
    assert len(material.lasting) >= 9
    assert len(material.shares) > len(material.kept) > 10
    held = Searcher(material.offline).search_files(
        path for path in files(searched.moments["N"]) if in_vault(path)
    )
    assert {finding.secret for finding in held} == set(material.offline)


def test_the_recorded_shares_are_those_that_operators_keep(searched):
    vaults = [path for home in searched.homes for path in files(home / "vault")]
    found = Searcher(searched.material.kept).search_files(vaults)
    assert {finding.secret for finding in found} == set(searched.material.kept)


def test_no_secret_is_found_outside_of_vaults(searched):
    secrets = searched.secrets()
    places = searched.everything()
    assert len(places) > 100
    for kind in ("*.sqlite*", "process.log", "report.json", "*.note", "manifest"):
        assert any(path.match(kind) for path in places), kind
    assert Searcher(secrets).search_files(places) == set()


def test_no_secret_is_found_in_histories_by_who_can_decrypt_them(searched):
    """They are encrypted under a key that follows from the plan, which is no secret."""
    databases = [path for path in searched.everything() if path.name == "temporal.sqlite"]
    assert len(databases) == 1 + len(searched.moments)
    toml = (searched.done.folder.root / "plan.toml").read_bytes()
    payloads = [payload for path in databases for payload in payloads_in(path, toml)]
    assert len(payloads) > 100 * len(databases)
    assert any(b'"envelope"' in payload for payload in payloads)
    assert Searcher(searched.secrets()).search(b"\0".join(payloads), "histories") == set()


def test_a_vault_holds_nothing_of_another_party(searched):
    for home in searched.homes:
        own = files(home / "vault")
        others = {
            name: secret
            for name, secret in searched.final_secrets().items()
            if name.startswith("share of") and home.name not in name
        }
        assert Searcher(others).search_files(own) == set()


def test_the_keys_of_noise_bits_and_products_are_gone_after_the_seal(searched):
    destroyed = Searcher(searched.material.offline | searched.material.setup)
    clean = [
        home
        for home in (searched.moments["O"] / "ceremony" / "operators").iterdir()
        if not destroyed.search_files(files(home))
    ]
    assert len(clean) >= searched.done.plan.quorum  # one may still be about it


def test_whatever_was_to_be_destroyed_is_gone_after_the_acceptance(searched):
    destroyed = Searcher(searched.material.passing)
    for home in searched.homes:
        assert destroyed.search_files(files(home)) == set(), home.name


def test_no_process_leaves_a_core_dump(searched):
    assert set(searched.core_limits) == {"coordinator", "op-01", "op-02", "op-03", "op-04"}
    assert set(searched.core_limits.values()) == {(0, 0)}


# -- the search itself ----------------------------------------------------------------------------

CANARY = bytes((index * 37 + 11) % 256 for index in range(32))
SEARCHER = Searcher({"canary": CANARY, "other": bytes(range(100, 132))})


@pytest.mark.parametrize(("encoding", "pattern"), list(encodings(CANARY)))
@pytest.mark.parametrize("shift", range(9))
def test_a_planted_secret_is_found_however_it_is_written(encoding, pattern, shift):
    found = SEARCHER.search(b"{" * (1000 + shift) + pattern + b"}", "here")
    assert ("canary", encoding) in {(finding.secret, finding.encoding) for finding in found}


def test_nothing_is_found_where_nothing_is():
    generator = np.random.default_rng(7)
    assert SEARCHER.search(generator.bytes(5_000_000), "noise") == set()
    assert SEARCHER.search(CANARY[:-1] + b"x", "almost") == set()


@pytest.mark.parametrize("before", [4000, 4050, 9000])
def test_a_secret_in_a_database_is_found_across_pages(tmp_path, before):
    path = tmp_path / "any.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE history (id INTEGER, data BLOB)")
        value = b"x" * before + CANARY.hex().encode() + b"y" * 5000
        database.execute("INSERT INTO history VALUES (1, ?)", (value,))
    database.close()
    assert {finding.encoding for finding in SEARCHER.search_files([path])} == {"hex"}


def test_a_compressed_secret_is_found(tmp_path):
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(b"key: " + CANARY))
    assert SEARCHER.search_files(files(tmp_path))


def test_a_secret_that_leaks_in_a_ceremony_is_found(searched, tmp_path):
    leaky = tmp_path / "process.log"
    log = next(searched.done.folder.root.glob("operators/op-03/work/process.log"))
    name, key = next(iter(searched.material.batches.items()))
    leaky.write_bytes(log.read_bytes() + b'{"event": "oops", "key": "%s"}\n' % key.hex().encode())
    found = Searcher(searched.material.batches).search_files([leaky])
    assert {finding.secret for finding in found} == {name}
