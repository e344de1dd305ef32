"""Attestation documents, what a security module and a key service answer, and sealed files."""

from __future__ import annotations

import base64
import ctypes
from functools import cache, partial
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra.board import strict, wire
from infra.enclave.document import read_document
from infra.enclave.files import decode_file
from infra.enclave.kms.cms import open_reply
from infra.enclave.kms.data_keys import Context, WrappedKey
from infra.enclave.kms.leaving import check_destruction
from infra.enclave.kms.sealing import HEAD, Sealer
from infra.enclave.kms.vault import read_wrapped_key
from infra.enclave.measurement import read_measurement
from infra.enclave.nitro import NitroModule
from infra.objects.port import Found
from infra.party.instructions import Leave, TemporalLine, read_instruction, sign_instruction
from infra.party.temporal_line import checked_request, signed_request
from mpc_core.protocol.entries import Destruction
from tests.enclave.chains import APPROVED, LINKS, chain, document, fields, signed, without_length
from tests.fuzz.registry import chosen, one_of, target
from tests.fuzz.values import PLAN
from tests.support.board import key_of
from tests.support.plans import represented_parties

VECTORS = Path(__file__).parents[1] / "enclave" / "vectors"
CONTEXT = Context(bytes(32), "op-02")


@cache
def _certificates():
    return chain(*LINKS)


def _documents():
    certificates = _certificates()
    yield document(certificates)
    yield signed(without_length(fields(certificates)), certificates[-1].key)


@target(seeds=_documents)
def attestation_document(data):
    """Whatever its form says, its envelope is the one encoding of itself."""
    found = read_document(data)
    assert found.envelope.encoded == data


@target(seeds=lambda: [base64.encodebytes(each).rstrip() for each in _documents()])
def attestation_file(data):
    decode_file(data)


def _measurements():
    lines = [f'pcr{index} = "{value.hex()}"' for index, value in APPROVED.pcrs.items()]
    yield "\n".join(["[measurement]", *lines]).encode()


@target(seeds=_measurements)
def measurement(data):
    assert {0, 1, 2} <= read_measurement(data).pcrs.keys()


@target(seeds=lambda: [cbor2.dumps({"Attestation": {"document": b"document"}})])
def security_module_answer(data):
    """What the driver writes into the response of the ioctl."""
    answer = data[:0x3000]

    def device(_, __, message):
        ctypes.memmove(message.response.address, answer, len(answer))
        message.response.length = len(answer)
        return 0

    NitroModule(0, device).attest(user_data=None, nonce=b"n", public_key=None)


@cache
def _recipient():
    return load_pem_private_key((VECTORS / "recipient.pem").read_bytes(), None)


@target(seeds=lambda: [path.read_bytes() for path in sorted(VECTORS.glob("reply*"))])
def key_service_reply(data):
    open_reply(data, _recipient())


@target(seeds=lambda: [Sealer(bytes(32), CONTEXT).seal("head", 1, b"head")])
def sealed_file(data):
    Sealer(bytes(32), CONTEXT).opened("head", data)
    assert data.startswith(HEAD)


class OneObject:
    """A store with one object, whatever its name."""

    def __init__(self, data):
        self.data = data

    def get(self, _):
        return Found(self.data, "")


@target(seeds=lambda: [strict.encode(WrappedKey("arn:aws:kms:local:0:key/0", b"wrapped"))])
def wrapped_key(data):
    assert strict.encode(read_wrapped_key(OneObject(data))) == data


def _destructions():
    entry = Destruction("arn", (bytes(32),), 7, 0)
    yield wire.sign_entry(entry, PLAN, 2, key_of(2))


@target(seeds=_destructions)
def destruction(data):
    assert check_destruction(data, PLAN).envelope == data


@cache
def _instructed():
    plan, known = represented_parties()
    line = TemporalLine("203.0.113.7:7233", "", "keys", b"authority", b"")
    return plan.plan, (
        sign_instruction(Leave("203.0.113.7:7443"), plan.plan, 2, known["ben"]),
        sign_instruction(line, plan.plan, 2, known["ben"]),
    )


@target(seeds=chosen(lambda: _instructed()[1][:1], lambda: _instructed()[1][1:]))
def instruction(data):
    """What the parent hands an enclave in the name of its people."""
    kinds = (partial(_instruction, Leave), partial(_instruction, TemporalLine))
    one_of(data, *kinds)


def _instruction(shape, data):
    read_instruction(shape, data, _instructed()[0], 2)


@target(seeds=lambda: [signed_request(key_of(2), "op-02")])
def certificate_request(data):
    checked_request(data, key_of(2).public_key().public_bytes_raw())
