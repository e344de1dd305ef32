"""Every secret of a ceremony with a setup seed, recorded while it is computed in memory once more.

With a setup seed a ceremony of real processes has the same secrets as one in memory. Whatever is
drawn or derived there is recorded at the functions that every caller has to go through.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np

import activities.batches
import activities.children
import mpc_core.sharing.prss
import mpc_core.sharing.zero
from infra.plan import SetupSeed
from tests.support.simulation import Ceremony

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC_LABELS = frozenset({"ceremony-id"})
STAYS = frozenset({"bits", "flood"})
"""What batches are for whose shares an operator keeps for good."""
NEEDLE = 32


@dataclass
class KeyMaterial:
    """Secrets by name.

    Attributes:
        lasting: what stays in its owner's vault: parts of the seed, identity keys.
        setup: what ends with the setup: KEM seeds, strings, k_A.
        offline: children of the stages N, S and M, which end with the seal.
        online: the children of stage O.
        batches: keys of streams of batches, which nobody ever stores.
        shares: of noise and of products, which end with the acceptance.
        kept: shares of the key and of unused floods, which stay in the vaults.
        other: everything else that was drawn.
        digest: of the key set.
        plan_hash: of the plan.
    """

    lasting: dict[str, bytes] = field(default_factory=dict)
    setup: dict[str, bytes] = field(default_factory=dict)
    offline: dict[str, bytes] = field(default_factory=dict)
    online: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, bytes] = field(default_factory=dict)
    shares: dict[str, bytes] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    other: dict[str, bytes] = field(default_factory=dict)
    digest: bytes = b""
    plan_hash: bytes = b""

    @property
    def passing(self) -> dict[str, bytes]:
        """What nothing of may be left anywhere in the end."""
        return self.setup | self.offline | self.online | self.batches | self.shares | self.other

    def drawn(self, label: str, value: bytes) -> None:
        """Take note of something derived from the seed."""
        if label in PUBLIC_LABELS:
            return
        if label.startswith("party/") or label == "identity":
            group = self.lasting
        elif "kem" in label or "string" in label:
            group = self.setup
        else:
            group = self.other
        for at in range(0, len(value) - NEEDLE // 2 + 1, NEEDLE):
            name = f"{label}[{at}:{at + NEEDLE}] {value[:4].hex()}"
            group[name] = value[at : at + NEEDLE]


@contextmanager
def _recording(found: KeyMaterial) -> Iterator[None]:
    derive, set_key = SetupSeed.derive, activities.children.set_key
    stage_keys, stream_key = activities.children.stage_keys, mpc_core.sharing.prss.stream_key
    keep_shares = activities.batches.keep_shares

    def deriving(seed, label, length=32):
        value = derive(seed, label, length)
        found.drawn(label, value)
        return value

    def making_set_key(plan_hash, members, strings):
        found.setup[f"k of {members}"] = key = set_key(plan_hash, members, strings)
        return key

    def making_children(plan_hash, members, key):
        children = stage_keys(plan_hash, members, key)
        for stage, child in children.items():
            group = found.online if stage == "O" else found.offline
            group[f"child of {members} for {stage}"] = child
        return children

    def keeping(operator, batch, binding, shares):
        stays = operator.batch((batch.stage, batch.batch)).purpose in STAYS
        group = found.kept if stays else found.shares
        plain = np.ascontiguousarray(shares).tobytes()
        group[f"shares of {operator.name}, {batch}"] = plain[NEEDLE : 2 * NEEDLE]
        keep_shares(operator, batch, binding, shares)

    def making_stream(secret, info):
        key = stream_key(secret, info)
        found.batches[f"stream {key.key[:4].hex()} of {info[:60]!r}"] = key.key
        return key

    with (
        patch.object(SetupSeed, "derive", deriving),
        patch.object(activities.children, "set_key", making_set_key),
        patch.object(activities.children, "stage_keys", making_children),
        patch.object(activities.batches, "keep_shares", keeping),
        patch.object(mpc_core.sharing.prss, "stream_key", making_stream),
        patch.object(mpc_core.sharing.zero, "stream_key", making_stream),
    ):
        yield


def key_material(seed: str, waiting_seconds: float) -> KeyMaterial:
    """Return the secrets of the ceremony of four with this seed."""
    found = KeyMaterial()
    with _recording(found):
        ceremony = Ceremony(seed=seed, waiting_seconds=waiting_seconds, hybrid=True)
        found.digest = ceremony.run()
    found.plan_hash = ceremony.plan.hash
    return found
