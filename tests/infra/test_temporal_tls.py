"""Temporal behind TLS that demands client certificates: a real server, and a line that ends TLS."""

from __future__ import annotations

import os

import pytest

from infra.coordinator.namespaces import Abroad
from infra.coordinator.signatures import gather
from infra.files import write_atomic
from infra.governance.waiting import complete_signatures
from infra.homes import Home
from infra.temporal.client import connect
from infra.temporal.codec import converter_for
from infra.temporal.server import open_server
from mpc_core.protocol.errors import CeremonyError
from tests.support.plans import complete_parties
from tests.support.temporal_tls import behind_tls, certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = certificate(folder, "authority")
    for name in ("server", "op-02"):
        certificate(folder, name, authority)
    certificate(folder, "stranger", certificate(folder, "elsewhere"))
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    own = {name: text for name, text in os.environ.items() if not name.startswith("TEMPORAL_")}
    place = tmp_path_factory.mktemp("temporal")
    with open_server(place, report=print, environment=own) as server:
        yield server.address


def settings(monkeypatch, folder, address, certificate, authority="authority"):
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
    monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(folder / f"{authority}.pem"))
    if certificate:
        monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(folder / f"{certificate}.pem"))
        monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(folder / f"{certificate}.key"))


async def test_a_party_with_a_certificate_gets_through(folder, plain, monkeypatch):
    async with behind_tls(folder, plain) as address:
        settings(monkeypatch, folder, address, "op-02")
        for named in (address, None):
            client = await connect(named, identity="op-02")
            assert [each async for each in client.list_workflows()] == []


@pytest.mark.parametrize(
    ("certificate", "authority"),
    [("", "authority"), ("stranger", "authority"), ("op-02", "elsewhere")],
    ids=["no certificate", "a certificate of another authority", "another server"],
)
async def test_nobody_else_does(folder, plain, monkeypatch, certificate, authority):
    async with behind_tls(folder, plain) as address:
        settings(monkeypatch, folder, address, certificate, authority)
        with pytest.raises(CeremonyError, match="RF-TEMP-004"):
            await connect(address, identity="op-02", deadline_seconds=0.5)


async def test_settings_of_another_server_do_not_count(folder, plain, monkeypatch):
    """A sandbox's own server is called in the clear, whatever its user has elsewhere."""
    settings(monkeypatch, folder, "temporal.example:7233", "op-02")
    client = await connect(plain, identity="op-02")
    assert client.namespace == "default"
    async with behind_tls(folder, plain) as address:
        with pytest.raises(CeremonyError, match="RF-TEMP-004"):
            await connect(address, identity="op-02", deadline_seconds=0.5)


AWAY = "203.0.113.7:7233"


async def refused(address=None, **more):
    with pytest.raises(CeremonyError) as refusal:
        await connect(address, identity="op-02", deadline_seconds=0.1, **more)
    return refusal.value.code


@pytest.mark.parametrize("address", [AWAY, "temporal.example:7233", "localhost.example:7233"])
async def test_no_line_leaves_this_machine_in_the_clear(monkeypatch, tmp_path, address):
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    assert await refused(address) == "RF-TEMP-009"
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    assert await refused() == "RF-TEMP-009"
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    monkeypatch.setenv("TEMPORAL_API_KEY", "key")
    assert await refused() == "RF-TEMP-009"


async def test_settings_of_another_server_encrypt_nothing(folder, monkeypatch):
    settings(monkeypatch, folder, "203.0.113.8:7233", "op-02")
    assert await refused(AWAY) == "RF-TEMP-009"


@pytest.mark.parametrize("name", ["TEMPORAL_TLS", "TEMPORAL_API_KEY"])
async def test_an_encrypted_line_may_leave_this_machine(monkeypatch, name):
    monkeypatch.setenv("TEMPORAL_ADDRESS", AWAY)
    monkeypatch.setenv(name, "true")
    assert await refused() == "RF-TEMP-004"


async def test_a_sandbox_may_call_any_server_in_the_clear(monkeypatch, tmp_path):
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    assert await refused(AWAY, insecure_clear=True) == "RF-TEMP-004"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "[::1]", "localhost"])
async def test_a_server_of_this_machine_may_be_called_in_the_clear(monkeypatch, tmp_path, host):
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    assert await refused(f"{host}:1") == "RF-TEMP-004"


def _unsigned(folder):
    """A home with a production plan that somebody has yet to sign."""
    signed = complete_parties()[0]
    home = Home(folder / "coordinator")
    home.make()
    write_atomic(home.path / "plan.toml", signed.toml)
    lines = signed.signatures.splitlines(keepends=True)
    write_atomic(home.path / "plan.sig", b"".join(lines[:-1]))
    return home


@pytest.mark.parametrize(
    "calling",
    [
        lambda home, plan: complete_signatures(home, AWAY),
        lambda home, plan: gather(home, AWAY, {}),
        lambda home, plan: Abroad.reached(
            plan, {"op-02": "keys"}, AWAY, "coordinator", converter_for(b"plan")
        ),
    ],
    ids=["an operator", "the coordinator", "a namespace of an operator"],
)
async def test_no_party_of_a_production_plan_calls_in_the_clear(monkeypatch, tmp_path, calling):
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    home, plan = _unsigned(tmp_path), complete_parties()[0].plan
    with pytest.raises(CeremonyError, match="RF-TEMP-009"):
        await calling(home, plan)
