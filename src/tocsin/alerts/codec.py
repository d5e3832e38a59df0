"""State and batches as bytes: JSON with a version, never pickle.

What is read is built by the types of the dataclasses' fields: a field that is missing has its
default, and one that is unknown is left out. A change that needs more than that, so that earlier
versions can be read, has a step in `upgrades`, and each step is a version.
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
    # As UTF-8 it is half as large where texts are not English; a lone surrogate has to pass, too.
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
        StoreError: the bytes are of a later version, or no such thing at all.
    """
    try:
        found = json.loads(data.decode("utf-8", "surrogatepass"))
        version = found["version"]
        if type(version) is int and 1 <= version <= VERSION:
            for step in STEPS[version - 1 :]:
                step(kind.__name__, found["data"])
            return typing.cast("T", _reader(typing.cast("Any", kind))(found["data"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"the store holds no {kind.__name__}: {error}") from error
    raise StoreError(f"the store holds a {kind.__name__} of version {version}, not {VERSION}")


def _fields(value: object) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(f"can't be stored: {type(value).__name__}")
    return {field.name: getattr(value, field.name) for field in fields(value)}


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return what makes a value of a type from JSON."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case types.UnionType:
            optional = _reader(next(one for one in arguments if one is not types.NoneType))
            return lambda value: None if value is None else optional(value)
        case builtins.dict:
            item = _reader(arguments[1])
            return lambda value: {key: item(one) for key, one in _is(dict, value).items()}
        case builtins.tuple:
            items = _reader(arguments[0] if arguments[-1] is Ellipsis else object)
            return lambda value: tuple([items(one) for one in _is(list, value)])
        case _:
            return _class_reader(hint)


def _class_reader(kind: Any) -> Callable[[Any], Any]:
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
        make = typing.cast("Callable[..., Any]", kind)
        return lambda value: make(
            **{name: readers[name](one) for name, one in _is(dict, value).items() if name in hints}
        )
    if issubclass(kind, tuple):
        named: Callable[..., Any] = kind
        return lambda value: named(*value)
    return lambda value: value


def _is(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got {type(value).__name__}")
    return value
