"""INSECURE: the keys of the local key service, in files of the sandbox's folder.

Whoever reads the folder has every key. A key that waits for its deletion wraps and unwraps
nothing, and is destroyed when its time has come.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.files import SECRET_FILE, disk_errors, make_directory, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["InsecureKeys", "LocalKey", "NoSuchKey", "NotUsable"]

ACCOUNT = "000000000000"
REGION = "local"
NONCE_BYTES = 12
ID_BYTES = 36


class NoSuchKey(LookupError):  # noqa: N818 - it names what is the case
    """There is no key of this name, or no more."""


class NotUsable(ValueError):  # noqa: N818 - it names what is the case
    """A key waits for its deletion, or a ciphertext is none of its."""


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A key and its policy; `deletion` is when it is destroyed, in seconds since 1970."""

    identifier: str
    material: str
    policy: Mapping[str, Any]
    deletion: int | None = None

    @property
    def arn(self) -> str:
        """The name that clients use."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.identifier}"

    @property
    def cipher(self) -> AESGCM:
        """What wraps data keys; nothing does while the key waits for its deletion.

        Raises:
            NotUsable: if it does.
        """
        if self.deletion is not None:
            raise NotUsable(f"{self.arn} is pending deletion.")
        return AESGCM(base64.b64decode(self.material))


class InsecureKeys:
    """Keys by ARN or identifier."""

    def __init__(self, folder: Path, now: Callable[[], dt.datetime]) -> None:
        """Keep keys in `folder`; `now` is the clock of deletions."""
        self._folder = make_directory(folder)
        self._now = now

    def create(self, policy: Mapping[str, Any]) -> LocalKey:
        """Make a key."""
        identifier = "-".join(secrets.token_hex(length) for length in (4, 2, 2, 2, 6))
        key = LocalKey(identifier, base64.b64encode(secrets.token_bytes(32)).decode(), policy)
        return self._kept(key)

    def find(self, name: str) -> LocalKey:
        """Return a key.

        Raises:
            NoSuchKey: if there is none.
        """
        identifier = name.rpartition("/")[2]
        path = self._folder / f"{identifier}.json"
        if len(identifier) != ID_BYTES or not path.is_file():
            raise NoSuchKey(f"Key '{name}' does not exist")
        key = LocalKey(**json.loads(path.read_bytes()))
        if key.deletion is not None and self._now().timestamp() >= key.deletion:
            with disk_errors(path):
                path.unlink()
            raise NoSuchKey(f"Key '{name}' does not exist")
        return key

    def put_policy(self, key: LocalKey, policy: Mapping[str, Any]) -> None:
        """Replace a key's policy."""
        self._kept(replace(key, policy=policy))

    def schedule_deletion(self, key: LocalKey, days: int) -> LocalKey:
        """Have a key destroyed after so many days, in which nothing can use it."""
        due = self._now() + dt.timedelta(days=days)
        return self._kept(replace(key, deletion=int(due.timestamp())))

    def wrap(self, key: LocalKey, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """Return the ciphertext of a data key, bound to its context.

        Raises:
            NotUsable: if the key waits for its deletion.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, data_key, _bound(context))
        return key.identifier.encode() + nonce + sealed

    def unwrap(
        self, name: str | None, ciphertext: bytes, context: Mapping[str, str]
    ) -> tuple[LocalKey, bytes]:
        """Return the key of a ciphertext, and the data key.

        Args:
            name: the key that it must be, if the request names one.
            ciphertext: of `wrap`.
            context: the same as then.

        Raises:
            NoSuchKey: if the key does not exist.
            NotUsable: if it waits for its deletion or did not make this ciphertext.
        """
        key = self.find(ciphertext[:ID_BYTES].decode(errors="replace"))
        if name is not None and self.find(name) != key:
            raise NotUsable("The ciphertext is under another key.")
        nonce = ciphertext[ID_BYTES : ID_BYTES + NONCE_BYTES]
        sealed = ciphertext[ID_BYTES + NONCE_BYTES :]
        try:
            return key, key.cipher.decrypt(nonce, sealed, _bound(context))
        except (InvalidTag, ValueError) as error:
            if isinstance(error, NotUsable):
                raise
            raise NotUsable("The ciphertext is not as it was made.") from error

    def _kept(self, key: LocalKey) -> LocalKey:
        data = json.dumps(asdict(key)).encode()
        write_atomic(self._folder / f"{key.identifier}.json", data, SECRET_FILE)
        return key


def _bound(context: Mapping[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()
