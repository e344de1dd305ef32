"""Deterministic CBOR of dataclasses: one value has one encoding, and only that one is read.

A dataclass is the array of its fields in order. What is decoded must re-encode to the same bytes;
types are exact (a bool is no integer); there are no tags, maps, floats or indefinite lengths.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import cbor2

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Malformed", "decode", "encode", "read_fields", "write_fields"]

T = TypeVar("T")

DEEPEST = 8
"""Nesting that any of our values can have."""

WIDEST = 2**63
"""Integers are 0 <= x < WIDEST."""


class Malformed(ValueError):  # noqa: N818 - it names the state of the bytes
    """Bytes that are not the one encoding of a value of the wanted type."""


class _NoTags(dict[int, Any]):
    """Semantic decoders of the CBOR library: each one refuses."""

    def __missing__(self, tag: int) -> object:
        raise Malformed(f"CBOR tag {tag}")


_NO_TAGS = _NoTags()


def encode(value: object) -> bytes:
    """Return the canonical encoding of a value made of dataclasses, tuples, int, str and bytes."""
    return cbor2.dumps(_plain(value), canonical=True)


def decode(shape: type[T], data: bytes) -> T:
    """Return the value of type `shape` whose canonical encoding is `data`.

    Raises:
        Malformed: if there is none.
    """
    hint: Any = shape
    value: T = _reader(hint)(decode_plain(data))
    return value


def decode_plain(data: bytes) -> object:
    """Return the nested lists that `data` is the canonical encoding of.

    Raises:
        Malformed: if it is not canonical.
    """
    try:
        plain = cbor2.loads(
            data, semantic_decoders=_NO_TAGS, max_depth=DEEPEST, allow_indefinite=False
        )
        canonical = cbor2.dumps(plain, canonical=True)
    except (cbor2.CBORError, Malformed) as error:
        raise Malformed("not CBOR") from error
    if canonical != data:
        raise Malformed("not canonical CBOR")
    return plain


def write_fields(value: Any) -> list[object]:
    """Return the fields of a dataclass, in order, as plain CBOR values."""
    return [_plain(getattr(value, field.name)) for field in fields(value)]


def read_fields(shape: type[T], plain: list[object]) -> T:
    """Return the dataclass `shape` from the plain CBOR values of its fields.

    Raises:
        Malformed: if count or types differ.
    """
    hint: Any = shape
    readers = _field_readers(hint)
    if len(plain) != len(readers):
        raise Malformed(f"{len(plain)} fields instead of {len(readers)}")
    return shape(*(read(value) for read, value in zip(readers, plain, strict=True)))


def _plain(value: object) -> object:
    if is_dataclass(value):
        return write_fields(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@cache
def _field_readers(shape: Hashable) -> tuple[Callable[[object], Any], ...]:
    assert isinstance(shape, type)
    hints = get_type_hints(shape)
    return tuple(_reader(hints[field.name]) for field in fields(shape))


@cache
def _reader(hint: Hashable) -> Callable[[object], Any]:
    """Return the function that turns a plain value into one of type `hint`, or raises."""
    if hint is int:
        return _integer
    if hint is str or hint is bytes:
        return partial(_exact, hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda value: read_fields(hint, _exact(list, value))
    arguments = get_args(hint)
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda value: tuple(item(part) for part in _exact(list, value))
    if get_origin(hint) is tuple:
        return lambda value: _fixed(tuple(_reader(part) for part in arguments), value)
    if isinstance(hint, types.UnionType) and arguments[-1] is types.NoneType:
        present = _reader(arguments[0])
        return lambda value: None if value is None else present(value)
    raise TypeError(f"no encoding for {hint}")


def _exact(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise Malformed(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _integer(value: object) -> int:
    number = _exact(int, value)
    if not 0 <= number < WIDEST:
        raise Malformed("integer out of range")
    return number


def _fixed(readers: tuple[Callable[[object], Any], ...], value: object) -> tuple[Any, ...]:
    parts = _exact(list, value)
    if len(parts) != len(readers):
        raise Malformed(f"{len(parts)} parts instead of {len(readers)}")
    return tuple(read(part) for read, part in zip(readers, parts, strict=True))
