"""The Nitro security module: CBOR messages through one ioctl of /dev/nsm.

Written from AWS's published interface (aws-nitro-enclaves-nsm-api, and misc/nsm.c of Linux): the
argument of the ioctl is a struct of two iovecs, request and response; the driver writes the length
of the response into the second.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import cbor2

from infra.enclave.cbor import NotCbor, read_cbor
from infra.enclave.cose import MOST_BYTES
from infra.enclave.device import Register
from infra.enclave.document import DIGEST_BYTES
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["DEVICE", "REQUEST_CODE", "IoVec", "Message", "NitroModule"]

DEVICE = Path("/dev/nsm")
MOST_REQUEST_BYTES = 0x1000
MOST_RESPONSE_BYTES = 0x3000
MOST_FIELD_BYTES = 1_024


class IoVec(ctypes.Structure):
    """A buffer for the driver: struct nsm_iovec."""

    _fields_ = (("address", ctypes.c_uint64), ("length", ctypes.c_uint64))


class Message(ctypes.Structure):
    """The argument of the ioctl: struct nsm_raw."""

    _fields_ = (("request", IoVec), ("response", IoVec))


_READ_WRITE = 3
_MAGIC = 0x0A
REQUEST_CODE = _READ_WRITE << 30 | ctypes.sizeof(Message) << 16 | _MAGIC << 8
"""_IOWR(0x0A, 0, struct nsm_raw)."""


class NitroModule:
    """The security module of the enclave that this process runs in."""

    def __init__(
        self, descriptor: int, ioctl: Callable[[int, int, Message], int] = fcntl.ioctl
    ) -> None:
        """Speak to an open device.

        Args:
            descriptor: of the device file.
            ioctl: the system call.
        """
        self._descriptor = descriptor
        self._ioctl = ioctl

    @classmethod
    def open(cls, device: Path = DEVICE) -> Self:
        """Open the device.

        Raises:
            CeremonyError: RF-ATTEST-010 if there is none: this process runs in no enclave.
        """
        try:
            return cls(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise _refused(f"{device}: {error.strerror}") from error

    def close(self) -> None:
        """Close the device; nothing else works afterwards."""
        os.close(self._descriptor)

    def attest(
        self, *, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
    ) -> bytes:
        """Return a signed attestation document with these fields."""
        fields = {"user_data": user_data, "nonce": nonce, "public_key": public_key}
        if any(value is not None and len(value) > MOST_FIELD_BYTES for value in fields.values()):
            raise _refused(f"a field of more than {MOST_FIELD_BYTES} bytes")
        answer = self._ask("Attestation", fields)
        return _bytes(answer, "document", 1, MOST_BYTES)

    def describe(self, index: int) -> Register:
        """Return a register."""
        answer = self._ask("DescribePCR", {"index": index})
        locked = answer.get("lock")
        if not isinstance(locked, bool):
            raise _refused("an answer without lock")
        return Register(_bytes(answer, "data", DIGEST_BYTES, DIGEST_BYTES), locked)

    def random(self, count: int) -> bytes:
        """Return random bytes of the device, which gives up to 256 at a time."""
        found = b""
        while len(found) < count:
            found += _bytes(self._ask("GetRandom", None), "random", 1, MOST_RESPONSE_BYTES)
        return found[:count]

    def _ask(self, question: str, fields: Mapping[str, object] | None) -> Mapping[str, object]:
        """Return the fields of the device's answer of the same name."""
        answer = self._exchange(cbor2.dumps(question if fields is None else {question: fields}))
        try:
            plain = read_cbor(answer)
        except NotCbor as error:
            raise _refused(f"an answer that is no message: {error}") from error
        if not isinstance(plain, dict) or len(plain) != 1:
            raise _refused("an answer that is no message")
        if "Error" in plain:
            raise _refused(f"the error {str(plain['Error'])[:64]!r}")
        body = plain.get(question)
        if not isinstance(body, dict):
            raise _refused("the answer to another question")
        return body

    def _exchange(self, request: bytes) -> bytes:
        if len(request) > MOST_REQUEST_BYTES:
            raise _refused(f"a request of {len(request)} bytes")
        sent = ctypes.create_string_buffer(request, len(request))
        received = ctypes.create_string_buffer(MOST_RESPONSE_BYTES)
        message = Message(
            IoVec(ctypes.addressof(sent), len(request)),
            IoVec(ctypes.addressof(received), MOST_RESPONSE_BYTES),
        )
        try:
            self._ioctl(self._descriptor, REQUEST_CODE, message)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "OSError")
            raise _refused(f"{name}: {error.strerror}") from error
        length = message.response.length
        if length > MOST_RESPONSE_BYTES:
            raise _refused(f"an answer of {length} bytes")
        return received.raw[:length]


def _bytes(answer: Mapping[str, object], name: str, least: int, most: int) -> bytes:
    value = answer.get(name)
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise _refused(f"an answer without {name}")
    return value


def _refused(found: str) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-010",
        "the security module of the enclave does not answer",
        "an answer to the question of the enclave",
        found,
        "see whether this process runs in an enclave that has /dev/nsm",
        effect="this operator cannot prove what it runs, and does not start",
    )
