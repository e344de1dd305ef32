"""What a party found on the side, kept in its home for the ceremony's report."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from infra.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["read_findings", "write_findings"]

_Finding = TypeVar("_Finding")


def read_findings(path: Path, shape: Callable[..., _Finding]) -> tuple[_Finding, ...]:
    """Return what the party of a home found; nothing where it found nothing.

    Args:
        path: the file of the home.
        shape: the dataclass of a finding.
    """
    try:
        return tuple(shape(**each) for each in json.loads(path.read_bytes()))
    except FileNotFoundError:
        return ()


def write_findings(path: Path, found: Iterable[Any]) -> None:
    """Replace what was found before.

    Raises:
        CeremonyError: RF-DISK-001 or -002 if the disk refuses.
    """
    write_atomic(path, json.dumps([asdict(each) for each in found]).encode())
