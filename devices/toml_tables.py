"""Read TOML strictly into frozen dataclasses, with errors that point into the file."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from devices.errors import DeviceError, raise_faults
from devices.names import did_you_mean

_Table = TypeVar("_Table")
Check = Callable[[object], "tuple[str, str] | None"]


def load_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a file holds, and its text.

    Raises:
        DeviceError: if it cannot be read, or is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - only where a file is given
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeviceError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError(f"{path} cannot be read: {error}") from error
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise DeviceError(f"{path}: {error}") from error


def no_check(_table: object) -> None:
    """Find nothing wrong."""


class TableReader:
    """Read one file's tables.

    The fields of a dataclass are the keys its table may have; a key without default is required.

    Attributes:
        path: The file, for messages.
        lines: Its text, to find the line of a key.
        check: Given a table, returns a key (empty for the table itself) and what is wrong with its
            value although it parses, or None.
        above_zero: Whether all numbers must be above zero, but for those of tables with free keys.
    """

    def __init__(
        self, path: str | Path, text: str, check: Check = no_check, *, above_zero: bool = True
    ) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.check = check
        self.above_zero = above_zero

    def table(self, kind: type[_Table], data: object, section: str = "") -> _Table:
        """Build one dataclass from one TOML table."""
        if not isinstance(data, dict):
            raise self.error(section.rstrip("."), "is not a table")
        values, problems = self.values(kind, data, section)
        problems += [
            self.error(f"{section}{field.name}", "is missing")
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # all are dataclasses
            if _required(field) and field.name not in data
        ]
        raise_faults(problems)
        table = kind(**values)
        found = self.check(table)
        if found is not None:
            raise self.error(f"{section}{found[0]}".rstrip("."), found[1])
        return table

    def values(
        self, kind: type[Any], data: Mapping[str, object], section: str = ""
    ) -> tuple[dict[str, Any], list[DeviceError]]:
        """Return the values of the keys of a table that are right, and what is wrong of others."""
        hints = get_type_hints(kind)
        known = [field.name for field in dataclasses.fields(kind)]
        values: dict[str, Any] = {}
        problems: list[DeviceError] = []
        for key, value in data.items():
            try:
                self.refuse_unknown(key, known, section)
                values[key] = self.value(hints[key], value, f"{section}{key}")
            except DeviceError as error:  # noqa: PERF203 - all are told
                problems.append(error)
        return values, problems

    def refuse_unknown(self, key: str, known: list[str], section: str) -> None:
        """Refuse a key that no field has, and name the nearest one that exists."""
        if key not in known:
            hint = f"{did_you_mean(key, known)}Keys are: {', '.join(known)}"
            raise self.error(f"{section}{key}", "is an unknown key", hint)

    def value(self, hint: Any, value: object, key: str) -> object:  # noqa: ANN401 - a type
        """Convert one TOML value to the type its field asks for."""
        if isinstance(hint, types.UnionType):  # an optional table that is there
            hint = get_args(hint)[0]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.table(hint, value, f"{key}.")
        if hint in (str, bool) and type(value) is hint:
            return value
        if hint in (int, float):
            return self.number(hint, value, key)
        if hint == tuple[str, ...]:
            return self.strings(value, key)
        if get_origin(hint) is tuple and isinstance(value, list):
            return tuple(self.number(get_args(hint)[0], item, key, -math.inf) for item in value)
        if get_origin(hint) is Mapping and isinstance(value, dict):
            return self.mapping(get_args(hint)[1], value, key)
        raise self.error(key, f"has a value of the wrong type: {value!r}")

    def mapping(self, hint: Any, value: Mapping[str, object], key: str) -> dict[str, object]:  # noqa: ANN401
        """Convert a table with free keys; its whole numbers may be zero, others below it too."""
        if hint is float:
            return {
                name: self.number(float, item, f"{key}.{name}", -math.inf)
                for name, item in value.items()
            }
        if hint is not int:
            return {name: self.value(hint, item, f"{key}.{name}") for name, item in value.items()}
        for name, number in value.items():
            if type(number) is not int or number < 0:
                raise self.error(f"{key}.{name}", "must be a whole number, 0 or more")
        return dict(value)

    def number(
        self, kind: type[int] | type[float], value: object, key: str, above: float | None = None
    ) -> int | float:
        """Return a finite number of a kind above a limit, by default the table's."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"has a value of the wrong type: {value!r}")
        if kind is int and not isinstance(value, int):
            raise self.error(key, f"must be a whole number, not {value!r}")
        limit = above if above is not None else 0.0 if self.above_zero else -math.inf
        if not limit < value < math.inf:
            words = "above zero and finite" if limit == 0 else "finite"
            raise self.error(key, f"must be {words}, not {value!r}")
        return kind(value)

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


def _required(field: dataclasses.Field[Any]) -> bool:
    """Say whether a table must have the key of a field."""
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing
