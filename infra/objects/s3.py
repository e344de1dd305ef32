"""Objects in a bucket of S3, through boto3: conditional writes, and deletions of what is current.

The bucket has versioning and may have object lock (deployment files), so what was replaced or
deleted stays there for a while, sealed; whoever holds the bucket can show it again, which is why
nothing that comes from here is believed to be the newest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.objects.port import MOST_BYTES, Found
from infra.objects.refusals import somebody_else_writes, store_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["S3Client", "S3Objects", "bucket_at", "s3_client"]

LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]{1,200}))?")
TIMES = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 6},
}
NOT_THERE = frozenset({"NoSuchKey", "404"})
ANOTHER = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})

Answer = TypeVar("Answer")

# The library has no types.
_CONFIG: Any = Config
_SESSION: Any = Session


class S3Client(Protocol):
    """What boto3's client of S3 does for us."""

    def get_object(self, **request: Any) -> Mapping[str, Any]:
        """Return an object and its entity tag."""
        ...

    def put_object(self, **request: Any) -> Mapping[str, Any]:
        """Write an object if its condition holds."""
        ...

    def delete_object(self, **request: Any) -> Mapping[str, Any]:
        """Hide an object, or delete it where nothing keeps versions."""
        ...

    def list_objects_v2(self, **request: Any) -> Mapping[str, Any]:
        """Return a page of names."""
        ...


def bucket_at(location: str) -> tuple[str, str]:
    """Return bucket and prefix of a location as plans have them.

    Raises:
        CeremonyError: RF-STORE-006 if it is not s3://BUCKET/PREFIX.
    """
    named = LOCATION.fullmatch(location)
    if named is None:
        raise store_error(
            "RF-STORE-006",
            "the plan names a store of objects that is none",
            "s3://BUCKET or s3://BUCKET/PREFIX",
            repr(location[:100]),
            "sign a plan that names a bucket, or none to use the parent's directory",
            effect="nothing was started",
        )
    return named[1], (named[2] or "").strip("/")


def s3_client() -> S3Client:
    """Return a client with the region, endpoint and credentials that boto3 finds."""
    client: S3Client = _SESSION().client("s3", config=_CONFIG(**TIMES))
    return client


class S3Objects:
    """One object an S3 object below a prefix; its tag is the entity tag."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        """Keep everything in a bucket, below `prefix`."""
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def get(self, key: str) -> Found | None:
        """Return an object, or None."""
        try:
            return self._asked(lambda: self._get(key))
        except KeyError:
            return None

    def put(self, key: str, data: bytes, replaces: str | None) -> str:
        """Write an object durably and return its tag."""
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}

        def put() -> str | None:
            try:
                reply = self._client.put_object(**self._named(key), Body=data, **condition)
            except ClientError as error:
                if _code(error) in ANOTHER | NOT_THERE:
                    return None
                raise
            return str(reply["ETag"])

        tag = self._asked(put)
        if tag is not None:
            return tag
        # The library repeats a request whose answer was lost: then this very object is there.
        there = self.get(key)
        if there is None or there.data != data:
            raise somebody_else_writes(key)
        return there.tag

    def delete(self, key: str) -> None:
        """Delete what is current; nothing happens when there is none."""
        self._asked(lambda: self._client.delete_object(**self._named(key)))

    def keys(self) -> tuple[str, ...]:
        """Return the names of all objects, sorted."""
        found: list[str] = []
        request = {"Bucket": self._bucket, "Prefix": self._prefix}
        while True:
            page = self._asked(lambda: self._client.list_objects_v2(**request))
            found += (str(each["Key"]) for each in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                break
            request["ContinuationToken"] = str(page["NextContinuationToken"])
        ours = (key for key in found if key.startswith(self._prefix))
        return tuple(sorted(key.removeprefix(self._prefix) for key in ours))

    def _get(self, key: str) -> Found:
        """Return an object.

        Raises:
            KeyError: if there is none.
        """
        try:
            reply = self._client.get_object(**self._named(key))
        except ClientError as error:
            if _code(error) in NOT_THERE:
                raise KeyError(key) from error
            raise
        body = reply["Body"]
        with body:
            data = body.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _no_answer(f"more than {MOST_BYTES} bytes under {key}")
        return Found(data, str(reply["ETag"]))

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except ClientError as error:
            told = error.response.get("Error", {})
            raise _no_answer(f"{_code(error)}: {str(told.get('Message'))[:200]}") from error
        except BotoCoreError as error:
            raise _no_answer(str(error)[:200]) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def _no_answer(found: str) -> CeremonyError:
    return store_error(
        "RF-STORE-001",
        "the store of objects does not do what is asked",
        "an answer of the bucket that the plan names",
        found,
        "check the proxy on the enclave's host, the bucket's policy and the credentials",
        effect="this step is tried again; what was sealed before is as it was",
    )
