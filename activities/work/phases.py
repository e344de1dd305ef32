"""Flooded phases of ciphertexts: the acceptance's test decryptions, and those of a sandbox.

Opened is b - <a, s> + f with a fresh flood f for every opening, never the phase alone: it would be
a noiseless equation in the key (PROTOCOL.md, "Assembly").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from activities.work.base import WholeWork
from mpc_core.preprocessing.batches import FLOOD
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import decode_words
from mpc_core.sharing.packing import pack, unpack
from mpc_core.tfhe.ciphertexts import LIST_LIMIT, parse_compact_list
from mpc_core.tfhe.encryption import (
    acceptance_randomness,
    check_flood,
    decode,
    encrypt,
    noise_bound,
    phase_shares,
    randomness_bytes,
)
from mpc_core.tfhe.keyset import bodies_of, seed_of
from mpc_core.tfhe.objects import COMPACT, public_object
from mpc_core.tfhe.xof import mask_rows, mask_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from activities.operator import Operator
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.entries import DecryptionRequest
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer
    from mpc_core.tfhe.ciphertexts import CompactList
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "AcceptanceWork",
    "DecryptionWork",
    "acceptance_ciphertexts",
    "decode_phases",
    "list_for",
    "requested_list",
]

_COMPACT_KEY = 1
_ONE_BLOCK = 2
"""Size in bits of an acceptance plaintext: one block."""


class _FloodedPhases(WholeWork):
    """Shares of phases plus floods, packed."""

    def _flooded(self, lists: list[CompactList], first_flood: int) -> RingArray:
        operator = self.operator
        check_flood(operator.parameters, operator.plan.tests.flood_bound_log2)
        key = self.key_shares({COMPACT})[COMPACT]
        phases = np.concatenate([phase_shares(ciphertexts, key) for ciphertexts in lists])
        floods = self.gather("N", operator.layout.noise_of(FLOOD, first_flood, len(phases)))
        return pack(self.ring.add(phases, floods), self.ring)


class AcceptanceWork(_FloodedPhases):
    """The test decryptions of the acceptance; nobody supplies a ciphertext."""

    def share_vector(self) -> RingArray:
        """Return shares of the flooded phases of ciphertexts that follow from the seed."""
        lists = acceptance_ciphertexts(
            self.operator.plan,
            self.operator.parameters,
            self.operator.layout,
            lambda index: self.earlier.opening(("O", index)),
        )
        return self._flooded(lists, 0)


class DecryptionWork(_FloodedPhases):
    """A ciphertext list that somebody made, in a sandbox ceremony of an insecure set."""

    def share_vector(self) -> RingArray:
        """Return shares of the flooded phases."""
        operator = self.operator
        serial = self.batch.index - len(operator.layout.assembly)
        request = operator.log.read(lambda state: _request(state, serial))
        return self._flooded([requested_list(operator, request)], request.first_flood)


def _request(state: CeremonyState, serial: int) -> DecryptionRequest:
    return state.release.requests[serial]


def requested_list(operator: Operator, request: DecryptionRequest) -> CompactList:
    """Return the list that a request names, fetched from the coordinator if it is not here.

    Raises:
        CeremonyError: RF-BATCH-030, when the request describes it wrongly; RF-TFHE-002 or
            RF-TFHE-005, when it is no list for this key; RF-PEER-*, when it cannot be had.
    """
    if request.size > LIST_LIMIT:
        raise _described_wrongly(f"at most {LIST_LIMIT} bytes", f"{request.size}")
    if not operator.blobs.has(request.ciphertext):
        operator.peers.fetch(0, request.ciphertext, request.size, "O")
    data = bytes(operator.blobs.read(request.ciphertext))
    ciphertexts = list_for(operator.parameters, operator.tag, data)
    if ciphertexts.count != request.openings:
        raise _described_wrongly(f"{ciphertexts.count} openings", f"{request.openings}")
    return ciphertexts


def list_for(parameters: Parameters, tag: bytes, data: bytes) -> CompactList:
    """Read a compact ciphertext list that was made with the key set of this tag.

    Args:
        parameters: the parameter set.
        tag: the ceremony's identifier, which tfhe-rs copies from the key into the list.
        data: the whole file; untrusted.

    Raises:
        CeremonyError: RF-TFHE-002, when it is no list of this parameter set; RF-TFHE-005, when its
            tag is another one.
    """
    ciphertexts = parse_compact_list(parameters, data)
    if ciphertexts.tag != tag:
        raise CeremonyError(
            "RF-TFHE-005",
            "the ciphertext list was made with the key of another ceremony",
            expected=f"the tag {tag.hex()} of this key set",
            found=f"the tag {ciphertexts.tag.hex()}",
            effect="nothing is decrypted",
            next_step="encrypt again with the CompactPublicKey of this ceremony",
            runbook="start",
        )
    return ciphertexts


def _described_wrongly(expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-BATCH-030",
        "a decryption request describes its list wrongly",
        expected=expected,
        found=found,
        effect="nothing is opened",
        next_step="ask for the decryption again",
        runbook="a-batch-does-not-open",
    )


def acceptance_ciphertexts(
    plan: Plan,
    parameters: Parameters,
    layout: CeremonyLayout,
    opening: Callable[[int], Buffer],
) -> list[CompactList]:
    """Return the acceptance's ciphertexts: plaintexts of the plan, randomness from the seed.

    Args:
        plan: the plan, with one block for each test.
        parameters: the parameter set.
        layout: the ceremony's layout.
        opening: returns the opening of an assembly batch by its index.
    """
    seed = seed_of(opening(0))
    item = public_object(parameters, _COMPACT_KEY)
    mask = mask_rows(mask_stream(seed), item, 0, 1).reshape(-1)
    body = bodies_of(parameters, layout, opening)[_COMPACT_KEY]
    size = randomness_bytes(parameters, (_ONE_BLOCK,))
    return [
        encrypt(
            parameters,
            (mask, body),
            [(_ONE_BLOCK, plaintext)],
            acceptance_randomness(seed, number, size),
        )
        for number, plaintext in enumerate(plan.tests.plaintexts)
    ]


def decode_phases(
    plan: Plan,
    parameters: Parameters,
    batch: BatchLayout,
    opening: Buffer,
    lists: list[CompactList],
) -> tuple[int | bool, ...]:
    """Return the values of ciphertext lists from their opened, flooded phases.

    Raises:
        CeremonyError: RF-TFHE-003, when a phase is no message within flood and noise.
    """
    phases = _phases(batch, opening)
    largest = (1 << plan.tests.flood_bound_log2) + noise_bound(parameters)
    values: list[int | bool] = []
    start = 0
    for ciphertexts in lists:
        values += decode(ciphertexts, phases[start : start + ciphertexts.count], largest)
        start += ciphertexts.count
    return tuple(values)


def _phases(batch: BatchLayout, opening: Buffer) -> NDArray[np.uint64]:
    ring = Ring(batch.word_bits, batch.degree)
    elements = decode_words(opening, batch.element_groups, ring)
    return unpack(elements, elements.shape[0] * elements.shape[1])
