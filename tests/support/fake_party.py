"""A coordinator or operator that only plays its part for tests of the sandbox.

The scenario is the environment variable FAKE_SCENARIO. Operators connect to the coordinator's
board and stay connected, so the coordinator knows when all of them run.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

SCENARIO = os.environ.get("FAKE_SCENARIO", "finish")


def write(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(event, **fields):
    write(json.dumps({"event": event, **fields}))


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def coordinator(home):
    operators = sorted(path.name for path in (home.parent / "operators").iterdir())
    if SCENARIO == "coordinator-error":
        say("error", code="RF-LOG-099", subject="the log is odd", next="do that")
        sys.exit(1)
    with socket.create_server(("127.0.0.1", 0)) as board:
        write("a line that is no event")
        say("ready", board_port=board.getsockname()[1])
        connected = [board.accept()[0] for _ in operators]
        say("stage", stage="N", state="started")
        say("progress", stage="N", batches_done=1, batches=3, waiting_for=["op-02"])
        if SCENARIO == "coordinator-dies":
            sys.stderr.write("last words\n\n")
            sys.exit(7)
        if SCENARIO in {"hang", "stubborn"}:
            signal.pause()
        if SCENARIO == "wait-for-return":
            connected.append(board.accept()[0])
        if SCENARIO == "operators-die":
            signal.pause()
        say("stage", stage="N", state="done")
        keyset = home.parent / "keyset"
        keyset.mkdir(exist_ok=True)
        (keyset / "CompactPublicKey").write_bytes(b"key")
        say("finished", digest="ab" * 32, keyset=str(keyset))
        signal.pause()


def operator(home):
    if SCENARIO == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    first = home / "work" / "was-here"
    again = first.exists()
    first.touch()
    host, port = option("--board").split(":")
    with socket.create_connection((host, int(port))):
        say("ready")
        if SCENARIO == "operators-die":
            sys.exit(5)
        if SCENARIO == "wait-for-return" and home.name == "op-03" and not again:
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            signal.pause()


if __name__ == "__main__":
    {"coordinator": coordinator, "operator": operator}[sys.argv[1]](Path(option("--home")))
