"""Puts the key of an insecure sandbox ceremony together, as a tfhe-rs `ClientKey`.

`python -m tests.support.reveal ceremonies/<id> --out ClientKey` reads the final key shares of t+1
operators and refuses every ceremony whose plan does not say that its key protects nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activities.seal import KEY_SHARE
from infra.files import SECRET_FILE, write_atomic
from infra.homes import CeremonyFolder
from infra.party.rules import layout_of
from infra.plan import load_signed_plan
from infra.stores import FileStore
from mpc_core.protocol.context import BatchName
from mpc_core.ring.galois import Ring, degree_for
from mpc_core.tfhe.objects import secret_keys
from mpc_core.tfhe.parameters import lookup
from tests.support.client_key import write_client_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from infra.homes import Home
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.protocol.plan import Plan
    from mpc_core.ring.galois import RingArray

DIGEST_BYTES = 32


class RefusedError(Exception):
    """The key is not to be revealed, or cannot be."""


def revealable_plan(folder: CeremonyFolder) -> Plan:
    """Return the plan of a ceremony whose key protects nothing; refuse every other."""
    plan = load_signed_plan(folder.root).plan
    if not plan.sandbox:
        raise RefusedError("this is no sandbox ceremony")
    if not lookup(plan.parameters).insecure:
        raise RefusedError(f"the parameter set {plan.parameters} is not marked insecure")
    return plan


def key_holders(folder: CeremonyFolder, plan: Plan) -> tuple[int, ...]:
    """Return the operators that hold a final share of the announced key."""
    return tuple(
        operator.index
        for operator in plan.operators
        if (folder.operator(operator.name).vault / KEY_SHARE).exists()
    )


def final_shares(home: Home, plan: Plan, batch: BatchLayout) -> RingArray:
    """Return an operator's final shares of a batch of key bits, checked against their digest."""
    vault = FileStore(home.vault)
    manifest = json.loads(vault.read(KEY_SHARE) or b"{}")
    name = str(BatchName(batch.stage, batch.index))
    if manifest.get("plan_hash") != plan.hash.hex():
        raise RefusedError(f"{home.name} holds no key share of this ceremony")
    kept = [each for each in manifest["shares"]["bits"] if each.partition(".")[0] == name]
    if len(kept) != 1:
        raise RefusedError(f"{home.name} holds no share of {name} of this ceremony")
    stored = vault.read(f"shares/{kept[0]}") or b""
    digest, data = stored[DIGEST_BYTES : 2 * DIGEST_BYTES], stored[2 * DIGEST_BYTES :]
    if hashlib.sha256(data).digest() != digest:
        raise RefusedError(f"the share of {name} at {home.name} is damaged")
    ring = Ring(batch.word_bits, degree_for(plan.count))
    return np.frombuffer(data, "<u8").reshape(ring.shape(-1))


def reveal_secrets(
    folder: CeremonyFolder, operators: Iterable[int] = ()
) -> dict[str, NDArray[np.uint64]]:
    """Return the bits of every secret key by name, from the shares of t+1 operators or more.

    All of them must lie on one polynomial of degree t.

    Args:
        folder: the ceremony's folder.
        operators: indices of those whose shares are used, by default the first t+1 that have any.
    """
    plan = revealable_plan(folder)
    chosen = tuple(operators) or key_holders(folder, plan)[: plan.threshold + 1]
    if len(chosen) <= plan.threshold:
        raise RefusedError(f"{plan.threshold + 1} operators are needed, {len(chosen)} have shares")
    specs = secret_keys(lookup(plan.parameters))
    secrets = {spec.name: np.full(spec.bits, 2, np.uint64) for spec in specs}
    for batch in layout_of(plan).secrets:
        bits, at = _interpolate(folder, plan, batch, chosen), 0
        for segment in batch.segments:
            here = slice(segment.start, segment.start + segment.count)
            secrets[specs[segment.item].name][here] = bits[at : at + segment.count]
            at += segment.count
    assert all(bits.max() <= 1 for bits in secrets.values()), "the layout gives every bit a place"
    return secrets


def client_key(plan: Plan, secrets: Mapping[str, NDArray[np.uint64]]) -> bytes:
    """Return the tfhe-rs `ClientKey` of a ceremony's secret keys."""
    return write_client_key(lookup(plan.parameters), secrets, bytes.fromhex(plan.ceremony_id))


def _interpolate(
    folder: CeremonyFolder, plan: Plan, batch: BatchLayout, operators: tuple[int, ...]
) -> NDArray[np.uint64]:
    ring = Ring(batch.word_bits, degree_for(plan.count))
    shares = {
        index: ring.to_exact(final_shares(folder.operator(plan.name_of(index)), plan, batch))
        for index in operators
    }
    if not ring.exact.vectors_lie_on_polynomial(shares, plan.threshold):
        raise RefusedError(f"the shares of batch {batch.stage}-{batch.index} contradict each other")
    values = ring.exact.vector_at_zero(shares, plan.threshold)
    if any(value not in (ring.exact.zero, ring.exact.one) for value in values):
        raise RefusedError(f"the shares of batch {batch.stage}-{batch.index} are not of bits")
    return np.array([value[0] for value in values], np.uint64)


def main() -> None:
    """Write the client key of the ceremony that the command line names."""
    parser = argparse.ArgumentParser(prog="reveal", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of a finished sandbox ceremony")
    parser.add_argument("--out", type=Path, required=True, help="where the ClientKey goes")
    arguments = parser.parse_args()
    folder = CeremonyFolder(arguments.folder)
    try:
        key = client_key(revealable_plan(folder), reveal_secrets(folder))
    except RefusedError as refusal:
        sys.exit(f"refused: {refusal}")
    write_atomic(arguments.out, key, SECRET_FILE)


if __name__ == "__main__":
    main()
