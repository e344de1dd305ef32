"""What people hand around: plans, signatures, manifests."""

from __future__ import annotations

from infra.plan.document import parse_plan, render_plan
from infra.plan.signing import verify_signed_plan
from infra.publish import Keeps
from infra.publish.manifest import FileRecord, is_cut_short, parse_manifest, sign_manifest
from tests.fuzz.registry import target
from tests.fuzz.values import PLAN, signed_plan
from tests.support.board import key_of


@target(seeds=lambda: [signed_plan().toml])
def plan(data):
    assert render_plan(parse_plan(data)) == data


@target(seeds=lambda: [signed_plan().signatures])
def plan_signatures(data):
    verify_signed_plan(signed_plan().toml, data)
    assert data == signed_plan().signatures  # Ed25519 has one signature per key and message


def _manifests():
    files = [FileRecord(f"keyset/{name}", 5, bytes(32)) for name in ("a", "b")]
    yield sign_manifest(PLAN, Keeps.ALL, files, key_of(0))
    yield sign_manifest(PLAN, Keeps.ASSEMBLY, [], key_of(0))


@target(seeds=_manifests)
def manifest(data):
    is_cut_short(data)
    found = parse_manifest(data)
    paths = [record.path for record in found.files]
    assert paths == sorted(set(paths))
    assert not any(".." in path.split("/") or path.startswith("/") for path in paths)
