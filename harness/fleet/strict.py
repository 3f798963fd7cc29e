"""Read plain JSON values into typed records and refuse everything else.

What a node sends is a stranger's: text where a number belongs, numbers that are not finite, depth
and length without end. A record is read by the types of its fields, so a field that is added later
is read as strictly as those there are.
"""

from __future__ import annotations

import types
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from harness.core.errors import RefusedError

T = TypeVar("T")

MOST_NUMBER = 1e15
"""No count and no figure of a device comes near this."""
MOST_TEXT = 2000
MOST_ITEMS = 20_000
MOST_DEPTH = 8


def read_record(kind: type[T], plain: object, where: str) -> T:
    """Return a dataclass from a JSON object; `where` names it in messages.

    Raises:
        RefusedError: naming the field that is missing, unknown or of another type.
    """
    if not isinstance(plain, Mapping):
        raise RefusedError(f"{where} is no object")
    hints = _hints(cast(Hashable, kind))
    strange = [key for key in plain if key not in hints]
    if strange:
        raise RefusedError(f"{where} has an unknown field {strange[0]!r:.60}")
    missing = [name for name in _required(cast(Hashable, kind)) if name not in plain]
    if missing:
        raise RefusedError(f"{where} lacks {missing[0]}")
    read = {key: read_value(hints[key], value, f"{where}.{key}") for key, value in plain.items()}
    return kind(**read)


def read_value(hint: Any, plain: object, where: str) -> Any:  # noqa: ANN401 - of the type asked for
    """Return a value of an annotated type.

    Raises:
        RefusedError: if it is none.
    """
    if is_dataclass(hint):
        return read_record(cast("type[Any]", hint), plain, where)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if plain is None and type(None) in inner:
            return None
        (kind,) = (one for one in inner if one is not type(None))
        return read_value(kind, plain, where)
    if origin is Literal:
        if plain not in inner:
            raise RefusedError(f"{where} is none of {', '.join(map(str, inner))}")
        return plain
    if origin is None:
        return _SIMPLE[hint](plain, where)
    return _read_container(origin, inner, plain, where)


def _read_container(origin: object, inner: tuple[Any, ...], plain: object, where: str) -> Any:  # noqa: ANN401
    if origin is tuple:
        return tuple(read_value(inner[0], one, where) for one in _items(list, plain, where))
    pairs = cast("dict[str, object]", _items(dict, plain, where)).items()
    return {read_text(k, where): read_value(inner[1], v, where) for k, v in pairs}


def read_number(plain: object, where: str) -> float:
    """Return a finite number of credible size.

    Raises:
        RefusedError: if it is none.
    """
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise RefusedError(f"{where} is no number")
    if not -MOST_NUMBER <= plain <= MOST_NUMBER:  # NaN too, and integers beyond all floats
        raise RefusedError(f"{where} is no finite number of credible size")
    return float(plain)


def read_count(plain: object, where: str) -> int:
    """Return a whole number that is not negative.

    Raises:
        RefusedError: if it is none.
    """
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise RefusedError(f"{where} is no whole number")
    if not 0 <= plain <= MOST_NUMBER:
        raise RefusedError(f"{where} is no count of credible size")
    return plain


def read_text(plain: object, where: str) -> str:
    """Return text of bounded length; characters that act on a terminal become spaces.

    Raises:
        RefusedError: if it is none.
    """
    if not isinstance(plain, str):
        raise RefusedError(f"{where} is no text")
    if len(plain) > MOST_TEXT:
        raise RefusedError(f"{where} is a text of {len(plain)} characters")
    return _cleaned(plain)


def clean_text(plain: object, most: int = 500) -> str:
    """Return what a node says, fit to be shown; empty if it is no text."""
    return _cleaned(plain[:most]) if isinstance(plain, str) else ""


def _cleaned(text: str) -> str:
    return text if text.isprintable() else "".join(x if _harmless(x) else " " for x in text)


def read_facts(plain: object, where: str, depth: int = MOST_DEPTH) -> Any:  # noqa: ANN401
    """Return plain values that are kept as they stand: bounded in depth, length and size.

    Raises:
        RefusedError: if they are not.
    """
    if depth < 0:
        raise RefusedError(f"{where} is nested too deeply")
    if plain is None or isinstance(plain, bool):
        return plain
    if isinstance(plain, int | float):
        read_number(plain, where)
        return plain
    if isinstance(plain, str):
        return read_text(plain, where)
    if isinstance(plain, list):
        return [read_facts(one, where, depth - 1) for one in _items(list, plain, where)]
    pairs = cast("dict[str, object]", _items(dict, plain, where)).items()
    return {read_text(key, where): read_facts(value, where, depth - 1) for key, value in pairs}


def _harmless(one: str) -> bool:
    """Say whether a character neither acts on a terminal nor turns the direction of writing."""
    return not unicodedata.category(one).startswith("C")


def _items(kind: type[list[object]] | type[dict[str, object]], plain: object, where: str) -> Any:  # noqa: ANN401
    if not isinstance(plain, kind):
        raise RefusedError(f"{where} is no {'list' if kind is list else 'object'}")
    if len(plain) > MOST_ITEMS:
        raise RefusedError(f"{where} holds {len(plain)} values")
    return plain


def _bool(plain: object, where: str) -> bool:
    if not isinstance(plain, bool):
        raise RefusedError(f"{where} is neither true nor false")
    return plain


_SIMPLE: dict[Any, Any] = {float: read_number, int: read_count, str: read_text, bool: _bool}


@cache
def _hints(kind: Hashable) -> Mapping[str, Any]:
    return get_type_hints(cast("Any", kind))


@cache
def _required(kind: Hashable) -> tuple[str, ...]:
    return tuple(
        one.name
        for one in fields(cast("Any", kind))
        if one.default is MISSING and one.default_factory is MISSING
    )
