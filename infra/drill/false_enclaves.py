"""Operators whose enclave is not what the plan asks for, each wrong in one thing; drills and tests.

Every one of them signs with the sandbox's own test root and identity keys, so that nothing but the
one thing is wrong.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from infra.enclave.document import DIGEST_BYTES
from infra.enclave.insecure_software import Authority, InsecureSoftwareModule
from infra.enclave.measurement import Measurement
from infra.enclave.peers import approved_by
from infra.party.enclave import Enclave

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.enclave.device import Register

__all__ = ["FALSE_ENCLAVES", "FalseEnclave"]

_APPLICATION = 2
_HOURS_AFTER_THE_END = 5


@dataclasses.dataclass(frozen=True, slots=True)
class FalseEnclave:
    """One way to be wrong.

    Attributes:
        code: by which the others refuse it.
        made: turns an honest enclave into this one; the authority is the sandbox's test root.
    """

    code: str
    made: Callable[[Enclave, Authority], Enclave]


class _Debugged(InsecureSoftwareModule):
    """An enclave in debug mode: the module reports no registers."""

    def describe(self, index: int) -> Register:
        """Return an empty register."""
        return dataclasses.replace(super().describe(index), value=bytes(DIGEST_BYTES))


class _Expired(InsecureSoftwareModule):
    """A module whose chain ended hours ago."""

    def _chain_at(self, now: dt.datetime) -> tuple[Authority, ...]:
        return super()._chain_at(now - dt.timedelta(hours=_HOURS_AFTER_THE_END))


class _OfAnother(Enclave):
    """Shows the document of another operator's enclave."""

    def document(self, tls_key: bytes, kem_key: bytes = b"") -> bytes:
        """Return what that operator's enclave says of these keys."""
        names = [each.name for each in self.plan.operators]
        victim = names[names.index(self.operator) - 1]
        return Enclave.document(dataclasses.replace(self, operator=victim), tls_key, kem_key)


class _OfAnotherKey(Enclave):
    """Shows a document of the right enclave for a TLS key that it does not use here."""

    def document(self, tls_key: bytes, kem_key: bytes = b"") -> bytes:
        """Return what the enclave says of some other key."""
        return Enclave.document(self, tls_key[::-1], kem_key)


class _OfAnotherTime(InsecureSoftwareModule):
    """Shows documents whose time is not the time."""

    ahead: dt.timedelta

    def attest(
        self, *, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
    ) -> bytes:
        """Return a document of that time."""
        now, self._now = self._now, lambda: now() + self.ahead
        try:
            return super().attest(user_data=user_data, nonce=nonce, public_key=public_key)
        finally:
            self._now = now


class _Old(_OfAnotherTime):
    """Shows documents of yesterday."""

    ahead = -dt.timedelta(days=1)


class _OfTheFuture(_OfAnotherTime):
    """Shows documents that would count for longer than the plan allows: they are of tomorrow."""

    ahead = dt.timedelta(days=1)


def _by(kind: type[InsecureSoftwareModule]) -> Callable[[Enclave, Authority], Enclave]:
    def made(honest: Enclave, root: Authority) -> Enclave:
        module = kind(honest.plan, root, approved_by(honest.plan), honest.clock)
        return dataclasses.replace(honest, module=module)

    return made


def _as(kind: type[Enclave]) -> Callable[[Enclave, Authority], Enclave]:
    def made(honest: Enclave, _: Authority) -> Enclave:
        return kind(honest.plan, honest.operator, honest.module, honest.root, honest.clock)

    return made


def _changed(honest: Enclave, root: Authority) -> Enclave:
    """Return an enclave whose application is another one."""
    registers = dict(approved_by(honest.plan).pcrs)
    registers[_APPLICATION] = bytes(byte ^ 1 for byte in registers[_APPLICATION])
    module = InsecureSoftwareModule(honest.plan, root, Measurement(registers), honest.clock)
    return dataclasses.replace(honest, module=module)


def _elsewhere(honest: Enclave, _: Authority) -> Enclave:
    """Return an enclave whose documents lead to a root of its own making."""
    own = Authority.create(honest.clock() - dt.timedelta(hours=1))
    module = InsecureSoftwareModule(honest.plan, own, approved_by(honest.plan), honest.clock)
    return dataclasses.replace(honest, module=module)


FALSE_ENCLAVES = {
    "changed-code": FalseEnclave("RF-ATTEST-005", _changed),
    "debug": FalseEnclave("RF-ATTEST-004", _by(_Debugged)),
    "expired-chain": FalseEnclave("RF-ATTEST-002", _by(_Expired)),
    "own-root": FalseEnclave("RF-ATTEST-002", _elsewhere),
    "stolen-document": FalseEnclave("RF-ATTEST-006", _as(_OfAnother)),
    "other-key": FalseEnclave("RF-ATTEST-008", _as(_OfAnotherKey)),
    "old-document": FalseEnclave("RF-ATTEST-007", _by(_Old)),
    "future-document": FalseEnclave("RF-ATTEST-007", _by(_OfTheFuture)),
}
"""What a drill can start, by name."""
