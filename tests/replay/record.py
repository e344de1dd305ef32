"""Record the histories that the replay tests check, after a deliberate change of a workflow:

    uv run ringforge sandbox --id recorded --dir /tmp/ceremonies
    uv run python -m tests.replay.record /tmp/ceremonies/recorded

It takes one history of every kind from the ceremony's Temporal database.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

from temporalio.api.common.v1 import Payload

from infra.plan.signing import PLAN_FILE
from infra.temporal.client import connect
from infra.temporal.codec import ENCODING, PlanCodec
from infra.temporal.find import Finder
from infra.temporal.server import OwnServer

HISTORIES = Path(__file__).parent / "histories"
UNNEEDED = {"identity", "meteringMetadata", "requestId", "stackTrace"}
"""What names a process or is different every time, and what no replay reads."""
PLENTY = 3
"""So many batches of a stage are kept: they differ in what came first."""


def stripped(value, codec):
    """Return a history without what is unneeded, its payloads decrypted."""
    if isinstance(value, dict):
        if value.get("metadata", {}).get("encoding") == _text(ENCODING):
            value = _decrypted(value, codec)
        return {key: stripped(part, codec) for key, part in value.items() if key not in UNNEEDED}
    if isinstance(value, list):
        return [stripped(part, codec) for part in value]
    return value


def _decrypted(payload, codec):
    data = base64.b64decode(payload["data"])
    found = codec._decrypted(Payload(metadata={"encoding": ENCODING}, data=data))
    metadata = {name: _text(text) for name, text in found.metadata.items()}
    return {"metadata": metadata, "data": _text(found.data)}


def _text(data):
    return base64.b64encode(data).decode()


async def fetch(address, codec):
    """Return name and history of every workflow that ended."""
    client = await connect(address, identity="record")
    found = {}
    async for run in client.list_workflows("ExecutionStatus != 'Running'"):
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        history = json.loads((await handle.fetch_history()).to_json())
        name = run.id.partition("/")[2].replace("/", "-")
        found[f"{run.workflow_type}.{name}"] = stripped(history, codec)
    return found


def chosen(names):
    """Return all names, but of the batches of a stage a few."""
    kept, seen = [], {}
    for name in sorted(names):
        kind = name.rpartition("-")[0] if name.startswith("BatchWorkflow") else name
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= PLENTY:
            kept.append(name)
    return kept


def record(ceremony: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "temporal"
        copy.mkdir()
        for file in (ceremony / "coordinator" / "work" / "temporal").glob("temporal.sqlite*"):
            shutil.copy(file, copy)
        with OwnServer.start(Finder(print).find(), copy, report=print) as server:
            codec = PlanCodec((ceremony / PLAN_FILE).read_bytes())
            found = asyncio.run(fetch(server.address, codec))
    for old in HISTORIES.glob("*.json.gz"):
        old.unlink()
    for name in chosen(found):
        text = json.dumps(found[name], separators=(",", ":"), sort_keys=True)
        file = HISTORIES / f"{name}.json.gz"
        file.write_bytes(gzip.compress(text.encode(), mtime=0))
        sys.stdout.write(f"{file.name}: {len(found[name]['events'])} events\n")


if __name__ == "__main__":
    HISTORIES.mkdir(exist_ok=True)
    record(Path(sys.argv[1]))
