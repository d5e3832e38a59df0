"""The codec: state and batches as bytes, in JSON with a version, never pickle.

`load` builds a dataclass by the types of its fields. A missing field has its default, and an
unknown field is ignored. So a new field with a default needs no new version. Any other change needs
a step in `upgrades`, which makes a new version.
"""

from __future__ import annotations

import builtins
import json
import types
import typing
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.alerts.upgrades import STEPS
from tocsin.exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = len(STEPS) + 1
T = TypeVar("T")


def dump(value: object) -> bytes:
    """Return a dataclass as versioned JSON."""
    # Text that is not ASCII takes half the space in UTF-8. A lone surrogate must not be an error.
    text = json.dumps(
        {"version": VERSION, "data": value},
        default=_fields,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return text.encode("utf-8", "surrogatepass")


def load(kind: type[T], data: bytes) -> T:
    """Return the dataclass that `dump` wrote, in this version or an earlier one.

    Raises:
        StoreError: the bytes are of a later version, or are no such dataclass.
    """
    try:
        found = json.loads(data.decode("utf-8", "surrogatepass"))
        version = found["version"]
        if type(version) is int and 1 <= version <= VERSION:
            for step in STEPS[version - 1 :]:
                step(kind.__name__, found["data"])
            return typing.cast("T", _reader(typing.cast("Any", kind))(found["data"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"the store has no valid {kind.__name__}: {error}") from error
    raise StoreError(
        f"the store has a {kind.__name__} of version {version}, not {VERSION} or earlier"
    )


def _fields(value: object) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(f"can't store a value of type {type(value).__name__}")
    return {field.name: getattr(value, field.name) for field in fields(value)}


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return a function that makes a value of a type from JSON."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case types.UnionType:
            optional = _reader(next(one for one in arguments if one is not types.NoneType))
            return lambda value: None if value is None else optional(value)
        case builtins.dict:
            item = _reader(arguments[1])
            return lambda value: {key: item(one) for key, one in _checked(dict, value).items()}
        case builtins.tuple:
            items = _reader(arguments[0] if arguments[-1] is Ellipsis else object)
            return lambda value: tuple([items(one) for one in _checked(list, value)])
        case _:
            return _class_reader(hint)


def _class_reader(kind: Any) -> Callable[[Any], Any]:
    """Return a function that makes a dataclass, a named tuple or a plain value from JSON."""
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
        make = typing.cast("Callable[..., Any]", kind)
        return lambda value: make(
            **{
                name: readers[name](one)
                for name, one in _checked(dict, value).items()
                if name in hints
            }
        )
    if issubclass(kind, tuple):
        named: Callable[..., Any] = kind
        return lambda value: named(*value)
    return lambda value: value


def _checked(kind: type[T], value: object) -> T:
    """Return the value, which must be of this type."""
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got {type(value).__name__}")
    return value
