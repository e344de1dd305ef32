import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from temporalio.worker import Worker

from infra.temporal.client import connect, external_settings
from infra.temporal.find import Finder
from infra.temporal.server import ExternalServer, OwnServer, open_server
from mpc_core.protocol.errors import CeremonyError
from tests.support.greeting import QUEUE, Greeting


@pytest.fixture(scope="module")
def program():
    return Finder(print).find()


async def begin(address):
    client = await connect(address, identity="test")
    await client.start_workflow(Greeting.run, "hello", id="greeting", task_queue=QUEUE)


async def finish(address):
    client = await connect(address, identity="test")
    handle = client.get_workflow_handle_for(Greeting.run, "greeting")
    async with Worker(client, task_queue=QUEUE, workflows=[Greeting]):
        await handle.signal(Greeting.meet, "world")
        return await handle.result()


def test_a_workflow_survives_a_restart_of_the_server_on_the_same_port(program, tmp_path):
    with OwnServer.start(program, tmp_path, report=print) as server:
        asyncio.run(begin(server.address))
        first = server.address
    assert server.process.poll() is not None
    with OwnServer.start(program, tmp_path, report=print) as server:
        assert server.address == first
        assert asyncio.run(finish(server.address)) == "hello, world"


def test_a_folder_may_be_named_relative_to_where_the_command_was_given(
    program, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with OwnServer.start(program, Path("ceremonies/one"), report=print) as server:
        server.check()
    assert (tmp_path / "ceremonies" / "one" / "temporal.sqlite").is_file()


STARTER = """
import sys
from pathlib import Path
from infra.temporal import server

if sys.argv[3] == "untethered":
    server.tethered = lambda *program: program
own = server.OwnServer.start(Path(sys.argv[1]), Path(sys.argv[2]), report=lambda line: None)
print(own.process.pid, own.address, flush=True)
input()
"""


@contextmanager
def another_starts(program, folder, tether):
    """Have a process start a server; it is killed at the end. Yields the server and its address."""
    command = [sys.executable, "-c", STARTER, str(program), str(folder), tether]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        number, address = starter.stdout.readline().decode().split()
        yield psutil.Process(int(number)), address
        starter.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel lets it go on")
def test_a_server_ends_with_its_starter_and_its_histories_are_kept(program, tmp_path):
    with another_starts(program, tmp_path, "tethered") as (orphan, address):
        asyncio.run(begin(address))
    orphan.wait()
    said = []
    with OwnServer.start(program, tmp_path, report=said.append) as server:
        assert not any("left over" in line for line in said)
        assert server.address == address
        assert asyncio.run(finish(server.address)) == "hello, world"


def test_a_server_that_outlived_its_starter_is_replaced(program, tmp_path):
    with another_starts(program, tmp_path, "untethered") as (orphan, address):
        pass
    said = []
    with OwnServer.start(program, tmp_path, report=said.append) as server:
        assert not orphan.is_running()
        assert any(f"process {orphan.pid}" in line for line in said)
        assert server.address == address


def test_a_server_whose_starter_runs_is_left_alone(program, tmp_path):
    with OwnServer.start(program, tmp_path, report=print) as server:
        with pytest.raises(CeremonyError, match="RF-TEMP-005") as caught:
            OwnServer.start(program, tmp_path, report=print)
        server.check()
    assert str(os.getpid()) in caught.value.subject


def test_a_server_that_dies_is_reported_with_its_last_words(program, tmp_path):
    with OwnServer.start(program, tmp_path, report=print) as server:
        server.check()
        (tmp_path / "temporal.log").write_text("the end\n")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        with pytest.raises(CeremonyError, match="RF-TEMP-003") as caught:
            server.check()
    assert "the end" in caught.value.found


def test_a_program_that_cannot_start_is_reported_at_once(tmp_path):
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\necho no database >&2\nexit 7\n")
    program.chmod(0o755)
    with pytest.raises(CeremonyError, match="RF-TEMP-003") as caught:
        OwnServer.start(program, tmp_path / "state", report=print)
    assert "exit code 7" in caught.value.found
    assert "no database" in caught.value.found


def test_a_server_that_never_answers_is_ended_at_the_deadline(tmp_path):
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    state = tmp_path / "state"
    with pytest.raises(CeremonyError, match="RF-TEMP-003") as caught:
        OwnServer.start(program, state, report=print, deadline_seconds=0.5)
    assert "no answer" in caught.value.found
    sleepers = [process for process in psutil.Process().children() if process.name() == "sleep"]
    assert sleepers == []


def test_a_port_in_use_is_reported_and_not_taken_over(program, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(CeremonyError, match="RF-TEMP-002") as caught:
            OwnServer.start(program, tmp_path, report=print, port=port)
    assert str(port) in caught.value.next_step


def test_the_remembered_port_is_given_up_when_somebody_else_has_it(program, tmp_path):
    with OwnServer.start(program, tmp_path, report=print) as server:
        port = server.port
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        held.listen()
        with OwnServer.start(program, tmp_path, report=print) as server:
            assert server.port != port
            server.check()


def test_a_server_named_by_the_settings_is_used_and_none_is_started(tmp_path):
    said = []
    environment = {"TEMPORAL_ADDRESS": "temporal.example:7233", "PATH": ""}
    with open_server(tmp_path / "state", report=said.append, environment=environment) as server:
        server.check()
        assert isinstance(server, ExternalServer)
        assert server.address == "temporal.example:7233"
    assert said == ["using the Temporal server at temporal.example:7233"]
    assert not (tmp_path / "state").exists()


def test_namespace_and_tls_come_from_the_settings_too():
    settings = external_settings(
        {
            "TEMPORAL_ADDRESS": "temporal.example:7233",
            "TEMPORAL_NAMESPACE": "keys",
            "TEMPORAL_TLS": "true",
        }
    )
    assert settings["namespace"] == "keys"
    assert settings["tls"]


def test_a_server_that_does_not_answer_is_named(monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("TEMPORAL_ADDRESS", address)
        with pytest.raises(CeremonyError, match="RF-TEMP-004") as caught:
            asyncio.run(connect(identity="test", deadline_seconds=0.5))
    assert address in caught.value.subject


def test_without_any_address_the_settings_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(CeremonyError, match="RF-TEMP-004") as caught:
        asyncio.run(connect(identity="test"))
    assert "TEMPORAL_ADDRESS" in caught.value.next_step
