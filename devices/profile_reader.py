"""Turn parsed TOML into frozen dataclasses, with errors that point into the file."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from devices.errors import DeviceError
from devices.names import did_you_mean

_Table = TypeVar("_Table")
Check = Callable[[object], "tuple[str, str] | None"]


class TableReader:
    """Read one file's tables.

    The fields of a dataclass are the keys its table may have; a key without default is required.

    Attributes:
        path: The file, for messages.
        lines: Its text, to find the line of a key.
        check: Given a table, returns a key (empty for the table itself) and what is wrong with its
            value although it parses, or None.
    """

    def __init__(self, path: Path, text: str, check: Check) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.check = check

    def table(self, kind: type[_Table], data: object, section: str) -> _Table:
        """Build one dataclass from one TOML table."""
        if not isinstance(data, dict):
            raise self.error(section.rstrip("."), "is not a table")
        hints = get_type_hints(kind)
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # every table is a dataclass
        self.refuse_unknown(data, [field.name for field in fields], section)
        for field in fields:
            optional = (
                field.default is not dataclasses.MISSING
                or field.default_factory is not dataclasses.MISSING
            )
            if not optional and field.name not in data:
                raise self.error(f"{section}{field.name}", "is missing")
        values = {
            key: self.value(hints[key], value, f"{section}{key}") for key, value in data.items()
        }
        table = kind(**values)
        found = self.check(table)
        if found is not None:
            raise self.error(f"{section}{found[0]}".rstrip("."), found[1])
        return table

    def refuse_unknown(self, data: Mapping[str, object], known: list[str], section: str) -> None:
        """Refuse a key that no field has, and name the nearest one that exists."""
        for key in data:
            if key not in known:
                hint = f"{did_you_mean(key, known)}Keys are: {', '.join(known)}"
                raise self.error(f"{section}{key}", "is an unknown key", hint)

    def value(self, hint: Any, value: object, key: str) -> object:  # noqa: ANN401 - a type
        """Convert one TOML value to the type its field asks for."""
        if isinstance(hint, types.UnionType):  # an optional table that is there
            hint = get_args(hint)[0]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.table(hint, value, f"{key}.")
        if hint is str and isinstance(value, str):
            return value
        if hint is int:
            return int(self.positive(value, key, (int,)))
        if hint is float:
            return float(self.positive(value, key, (int, float)))
        if hint == tuple[str, ...]:
            return self.strings(value, key)
        if get_origin(hint) is Mapping and isinstance(value, dict):
            return self.mapping(get_args(hint)[1], value, key)
        raise self.error(key, "has a value of the wrong type")

    def mapping(self, hint: Any, value: Mapping[str, object], key: str) -> dict[str, object]:  # noqa: ANN401
        """Convert a table with free keys; its numbers may be zero."""
        if hint is not int:
            return {name: self.value(hint, item, f"{key}.{name}") for name, item in value.items()}
        for name, number in value.items():
            if type(number) is not int or number < 0:
                raise self.error(f"{key}.{name}", "must be a whole number, 0 or more")
        return dict(value)

    def positive(self, value: object, key: str, allowed: tuple[type, ...]) -> int | float:
        """Return a number above zero that has one of the allowed types."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "has a value of the wrong type")
        if not isinstance(value, allowed):
            raise self.error(key, "must be a whole number")
        if not 0 < value < float("inf"):
            raise self.error(key, "must be above zero and finite")
        return value

    def strings(self, value: object, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be a list of strings")
        return tuple(value)

    def error(self, key: str, problem: str, remedy: str = "") -> DeviceError:
        """Build an error that names file, line if the key is written there, and key."""
        line = self.line_of(key)
        place = f"{self.path}:{line}" if line else str(self.path)
        return DeviceError(f"{place}: {key} {problem}", remedy)

    def line_of(self, key: str) -> int:
        """Return the line a dotted key is written on; 0 if it cannot be found."""
        *sections, last = key.split(".")
        wanted = ".".join(sections)
        current = ""
        for number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[([^\[\]]+)\]", line)
            if header:
                current = header.group(1).strip()
                if current == key:
                    return number
            elif current == wanted and re.match(rf"\s*['\"]?{re.escape(last)}['\"]?\s*=", line):
                return number
        return 0
