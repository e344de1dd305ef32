"""Connecting to Temporal: an address somebody names, or the TEMPORAL_* settings.

The settings count if they name the same address, client certificates and the namespace among
them. Otherwise an address is called in the clear, which is for servers of this machine: a line that
leaves it is TLS, unless the plan is that of a sandbox.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, TypeVar

import structlog
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from temporalio.envconfig import ClientConnectConfig

__all__ = ["NAMESPACE", "connect", "external_settings", "patiently"]

NAMESPACE = "default"

_PAUSE_SECONDS = 0.2
_AWAY_SECONDS = 1.0
_AWAY = frozenset(
    {
        RPCStatusCode.ABORTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,
    }
)
"""What a call ends with when the server is away, starts or stops, and not for what was asked."""

_T = TypeVar("_T")
_log = structlog.get_logger()


def external_settings(
    environment: Mapping[str, str] | None = None,
) -> ClientConnectConfig | None:
    """Return the connection that TEMPORAL_* variables or the user's profile describe, if any.

    Args:
        environment: variables to read, those of this process by default.
    """
    settings = ClientConfig.load_client_connect_config(override_env_vars=environment)
    return settings if settings.get("target_host") else None


async def connect(
    address: str | None = None,
    *,
    identity: str,
    converter: DataConverter = DataConverter.default,
    namespace: str | None = None,
    settings: ClientConnectConfig | None = None,
    insecure_clear: bool = False,
    deadline_seconds: float = 30.0,
) -> Client:
    """Connect to the server at `address`, or else to the one that the settings describe.

    Args:
        address: host:port; without one, TEMPORAL_ADDRESS and the other settings count.
        identity: the name under which this process shows up in histories.
        converter: encrypts what crosses Temporal.
        namespace: where to work, if not where the settings say.
        settings: what counts in the place of the environment's, if something does.
        insecure_clear: whether a line without TLS may leave this machine, as a sandbox's.
        deadline_seconds: how long to wait for a server that is still starting.

    Raises:
        CeremonyError: RF-TEMP-004 if there is no address or no server answers in time, RF-TEMP-009
            if the line would leave this machine in the clear.

    Security: whoever sees such a line and holds the plan reads all that crosses it, and who changes
        it answers for the server. What is decided rests on signatures; this is about who reads.
    """
    settings = settings or external_settings()
    if address and (settings is None or settings["target_host"] != address):
        settings = {"target_host": address, "namespace": NAMESPACE}
    if settings is None:
        raise _unreachable("", "neither an address nor TEMPORAL_ADDRESS")
    if not insecure_clear:
        _require_no_clear_line(settings)
    if namespace is not None:
        settings["namespace"] = namespace
    failure = "no answer"
    try:
        async with asyncio.timeout(deadline_seconds):
            while True:
                try:
                    return await Client.connect(
                        **settings, identity=identity, data_converter=converter
                    )
                except RuntimeError as error:
                    failure = str(error)
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError as error:
        raise _unreachable(settings["target_host"], failure) from error


async def patiently(call: Callable[[], Awaitable[_T]]) -> _T:
    """Return what a call returns; it is repeated for as long as the server is away.

    Args:
        call: may be repeated without harm, also when its answer was lost.
    """
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status not in _AWAY:
                raise
            _log.warning("the Temporal server is away", reason=error.message)
        await asyncio.sleep(_AWAY_SECONDS)


def _require_no_clear_line(settings: ClientConnectConfig) -> None:
    address = settings["target_host"]
    # The SDK takes TLS for granted where an API key is given.
    encrypted = settings.get("tls", bool(settings.get("api_key")))
    if encrypted or _is_loopback(address):
        return
    raise CeremonyError(
        "RF-TEMP-009",
        f"the line to the Temporal server at {address} would not be encrypted",
        expected="TLS, or a server of this machine",
        found="no TEMPORAL_TLS_* for this address",
        effect="nothing was sent: whoever sees such a line and holds the plan reads along",
        next_step=f"set TEMPORAL_ADDRESS={address} and TEMPORAL_TLS_SERVER_CA_CERT_PATH",
        runbook="temporal-unreachable",
    )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreachable(address: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-TEMP-004",
        f"no Temporal server answers at {address}" if address else "no Temporal server is named",
        expected="a Temporal server that speaks gRPC",
        found=found,
        effect="no orders arrive; nothing is lost, the ceremony goes on once it answers",
        next_step="start the server, or correct TEMPORAL_ADDRESS and TEMPORAL_TLS_*",
        runbook="temporal-unreachable",
    )
