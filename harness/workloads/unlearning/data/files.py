"""Read files of ratings in their own forms: MovieLens, RecBole, and Amazon reviews.

Any rating counts as liked. The form is found out from the first line: `u.data` (four columns
between tabs), `.inter` (a header of `name:type`), `ratings.dat` (`::` between columns), CSV with or
without a header, and a JSON object in each line; any of them packed by gzip.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DataError, DataUsageError

Row = tuple[str, str, str]
"""User, item, and rating as text; no rating is an empty one."""

USER_NAMES = ("user_id", "userid", "user", "reviewerid")
ITEM_NAMES = ("item_id", "itemid", "item", "movieid", "movie_id", "parent_asin", "asin")
RATING_NAMES = ("rating", "overall", "score")
PICKLED = (b"\x93NUMPY", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]*\Z")
KNOWN = ("u.data", "ratings.dat", "ratings.csv", "rating.csv")
EXPECTED = (
    "expected u.data, a .inter file, ratings.dat, a CSV of user,item,rating, or JSON lines of"
    " reviews"
)
MOST_LINE = 1 << 20


@dataclass(frozen=True)
class Form:
    """Say how the lines of a file are read.

    Attributes:
        name: in words.
        columns: in words, for errors.
        row: turns a line into a row.
        header: whether the first line holds none.
    """

    name: str
    columns: str
    row: Callable[[str], Row]
    header: bool = False


def read_ratings(path: Path) -> tuple[str, list[Row]]:
    """Return the form of a file, and its rows.

    Raises:
        DataUsageError: if there is no such file, or it holds pickled arrays.
        DataError: naming file and line of what cannot be read.
    """
    lines = _lines(_file(path))
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: is empty, {EXPECTED}", "Name a file of ratings with --data.")
    form = sniff(first[1], path)
    found: list[Row] = []
    whole = None
    for number, line in _all(first, lines, skip=form.header):
        row = _read(form, f"{path}, line {number}", line)
        whole = _same_kind(f"{path}, line {number}", row, whole)
        found.append(row)
    if not found:
        raise DataError(f"{path}: has a header and no line below it", "Name a whole file.")
    return form.name, found


def _all(
    first: tuple[int, str], rest: Iterator[tuple[int, str]], *, skip: bool
) -> Iterator[tuple[int, str]]:
    if not skip:
        yield first
    yield from rest


def _file(path: Path) -> Path:
    """Return the file meant: itself, or the only one of a known name in a folder."""
    if path.is_dir():
        there = [p for p in sorted(path.iterdir()) if p.name in KNOWN or p.suffix == ".inter"]
        if len(there) != 1:
            names = ", ".join(p.name for p in there) or "none"
            raise DataUsageError(
                f"--data {path}: a folder with {len(there)} files of ratings ({names})",
                "Name the file.",
            )
        return there[0]
    if not path.is_file():
        raise DataUsageError(
            f"--data {path}: no such file",
            "Name a file of ratings, or a data set that harness.list datasets shows.",
        )
    return path


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if path.suffix in {".npy", ".npz", ".pkl", ".pickle", ".pt"} or start.startswith(PICKLED):
        raise DataUsageError(
            f"{path}: arrays and pickles from outside are never loaded: they can run code",
            "Take the text file of ratings.",
        )
    packed = start.startswith(b"\x1f\x8b")
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            number = 0
            while content := stream.readline(MOST_LINE):
                number += 1
                if not content.isspace():
                    yield number, _decoded(content, f"{path}, line {number}")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged: {error}", "Take it from its source again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _decoded(content: bytes, where: str) -> str:
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError(f"{where}: is no text, {EXPECTED}") from None
    if "\0" in text:
        raise DataError(f"{where}: is no text, {EXPECTED}")
    return text


def sniff(line: str, path: Path) -> Form:
    """Return the form of a file by its first line.

    Raises:
        DataError: naming what was expected.
    """
    if line.lstrip().startswith("{"):
        return Form("JSON lines of reviews", "reviewerID and asin, or user_id and asin", _review)
    if "::" in line:
        return Form("ratings.dat", "user::item::rating::time", _between("::", (0, 1, 2), 4))
    for mark, word in (("\t", "tab"), (",", "comma")):
        parts = line.split(mark)
        if len(parts) < 2:
            continue
        names = [part.split(":")[0].strip().strip('"').lower() for part in parts]
        places = _places(names)
        if places is not None:
            kind = ".inter" if ":" in line else "CSV with a header" if mark == "," else "table"
            columns = f"{len(names)} columns ({mark.strip() or 'tab'} between them)"
            return Form(kind, columns, _between(mark, places, len(names)), header=True)
        if names[0] in USER_NAMES or names[0].endswith("id"):
            lacks = "item" if names[0] in USER_NAMES else "user"
            raise DataError(
                f"{path}, line 1: the header names no {lacks} column ({', '.join(names)})",
                f"Known: {', '.join((*USER_NAMES, *ITEM_NAMES))}.",
            )
        if mark == "\t" and len(parts) >= 3:
            return Form("u.data", "user, item, rating, time between tabs",
                        _between("\t", (0, 1, 2), len(parts)))  # fmt: skip
        if mark == "," and len(parts) >= 3:
            user, item = (1, 0) if _item_first(parts) else (0, 1)
            order = "item,user" if user else "user,item"
            return Form(f"CSV of {order},rating", f"{order},rating{',time' * (len(parts) > 3)}",
                        _between(",", (user, item, 2), len(parts)))  # fmt: skip
        raise DataError(f"{path}, line 1: {len(parts)} columns between {word}s, {EXPECTED}")
    raise DataError(f"{path}, line 1: '{line[:40]}', {EXPECTED}")


def _places(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where a header has user, item and rating (-1 for none); None if it is no header."""
    found = []
    for known in (USER_NAMES, ITEM_NAMES, RATING_NAMES):
        at = [names.index(name) for name in known if name in names]
        found.append(at[0] if at else -1)
    return None if min(found[:2]) < 0 else (found[0], found[1], found[2])


def _item_first(parts: Sequence[str]) -> bool:
    """Say whether a line of Amazon's has its item of ten letters first, as the 2018 files do."""
    first, second = parts[0].strip(), parts[1].strip()
    return len(first) == 10 and second[:1] == "A" and len(second) > 10


def _between(mark: str, places: tuple[int, int, int], columns: int) -> Callable[[str], Row]:
    user, item, rating = places

    def row(line: str) -> Row:
        parts = [part.strip().strip('"') for part in line.split(mark)]
        if len(parts) != columns:
            raise ValueError(f"{len(parts)} columns instead of {columns}")
        return parts[user], parts[item], parts[rating] if rating >= 0 else ""

    return row


def _review(line: str) -> Row:
    review = json.loads(line)
    if not isinstance(review, dict):
        raise ValueError("no JSON object")
    named = {key.lower(): value for key, value in review.items()}
    places = []
    for known in (USER_NAMES, ITEM_NAMES, RATING_NAMES):
        value = next((named[name] for name in known if name in named), None)
        places.append("" if value is None else str(value))
    return places[0], places[1], places[2]


def _read(form: Form, where: str, line: str) -> Row:
    """Return a row whose ids are words and whose rating is a number."""
    try:
        row = form.row(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: {error}: '{line[:40]}'", f"Expected {form.columns}, as {form.name} has it."
        ) from None
    for name, text in zip(("user", "item"), row[:2], strict=True):
        if not WORD.match(text) or text.lower() in {"nan", "null", "none"}:
            raise DataError(f"{where}: '{text[:40]}' is no {name} id", f"Expected {form.columns}.")
    if row[2] and not _is_number(row[2]):
        raise DataError(f"{where}: '{row[2][:40]}' is no rating", f"Expected {form.columns}.")
    return row


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _same_kind(where: str, row: Row, whole: tuple[bool, bool] | None) -> tuple[bool, bool]:
    """Refuse an id that is no whole number where those before it are."""
    found = row[0].isdigit(), row[1].isdigit()
    if whole is None:
        return found
    for name, text, before, now in zip(("user", "item"), row[:2], whole, found, strict=True):
        if before and not now and name == "user":
            raise DataError(
                f"{where}: {name} id '{text[:40]}' is no whole number, those before it are",
                "Mend the line, or take the file from its source again.",
            )
    return whole[0] and found[0], whole[1] and found[1]
