"""Open a run folder that may come from a stranger: nothing in it leads elsewhere, waits or floods.

A run folder is data. Links could make a command read or overwrite any file of the user, a named
pipe would be waited for without end, names with `..` lead out of it, and numbers of files and bytes
have no limit but those set here. Only the folder that was typed may itself be a link.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

from harness.core.clean_text import clean
from harness.core.errors import DamagedRunError

SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link is not followed, a pipe not waited for."""

MOST_FILES = 200_000
MOST_TABLE_BYTES = 128 << 20
"""Over a million rows; what is larger does not fit the memory of a board."""

MOST_STREAMED_BYTES = 64 << 30
"""Of a table that is read row by row, and so may be larger than memory."""

MOST_LINE_BYTES = 1 << 20
BLOCK_BYTES = 1 << 16
"""What is read of such a table at once."""

MOST_DIGITS = 40
"""Of a whole number in JSON: states of generators have 128 bits, which are 39."""

MOST_JSON_BYTES = 32 << 20
MOST_NAME = 200
"""Letters of a cell's, job's or run's name: with endings it must fit the 255 of a file system."""

SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=@-]*")
RESTORE = "Restore the file from a copy of the run."
INSTEAD = "Put the file itself in its place, or start anew with --fresh."


def guard(top: Path) -> None:
    """Do nothing if there are only files and folders below a folder, and not too many of them.

    Raises:
        DamagedRunError: naming what is neither.
    """
    waiting, seen = [os.fspath(top)], 0
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False):
                        raise DamagedRunError(
                            f"{clean(entry.path)}: is neither a file nor a folder", INSTEAD
                        )
        except OSError as error:
            raise DamagedRunError(f"{folder}: cannot be read: {error.strerror}", RESTORE) from None
        if seen > MOST_FILES:
            raise DamagedRunError(f"{top}: holds more than {MOST_FILES} files", RESTORE)


def is_safe_name(name: object) -> bool:
    """Say whether text may name a file of a run: letters, digits and signs, no way out of it."""
    return (
        isinstance(name, str) and len(name) <= MOST_NAME and SAFE_NAME.fullmatch(name) is not None
    )


def open_file(path: Path, most: int = MOST_TABLE_BYTES) -> BinaryIO:
    """Open a file that is one, and not too large, for reading.

    Raises:
        DamagedRunError: if it is a link, a pipe or too large, is missing or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | SAFE)
    except FileNotFoundError:
        raise DamagedRunError(f"{path}: missing", "Copy the whole run folder.") from None
    except (OSError, ValueError) as error:
        why = "is a link" if path.is_symlink() else f"cannot be read: {_words(error)}"
        raise DamagedRunError(f"{path}: {why}", RESTORE) from None
    stream = os.fdopen(handle, "rb")
    found = os.fstat(handle)
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "is no file"
    elif found.st_size > most:
        wrong = f"has {found.st_size} bytes, more than the {most} that are read"
    if wrong:
        stream.close()
        raise DamagedRunError(f"{path}: {wrong}", RESTORE)
    return stream


def read_bytes(path: Path, most: int = MOST_TABLE_BYTES) -> bytes:
    """Return the content of a file that is one, and not too large.

    Raises:
        DamagedRunError: as `open_file`.
    """
    with open_file(path, most) as stream:
        size = os.fstat(stream.fileno()).st_size  # as much is reserved as is asked for
        try:
            return stream.read(min(most, size) + 1)
        except OSError as error:
            raise DamagedRunError(f"{path}: cannot be read: {_words(error)}", RESTORE) from None


class Readable(Protocol):
    """Give the bytes of an open file, packed or not."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to so many bytes, none at the end."""
        ...


def whole_lines(path: Path, stream: Readable) -> Iterator[bytes]:
    """Yield the lines of an open file one by one; what follows the last line's end is left out.

    Raises:
        DamagedRunError: if a line has more than MOST_LINE_BYTES, or cannot be read.
    """
    rest = b""
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise DamagedRunError(f"{path}: cannot be read: {_words(error)}", RESTORE) from None
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > MOST_LINE_BYTES:
            raise DamagedRunError(
                f"{path}: has a line of more than {MOST_LINE_BYTES} bytes", RESTORE
            )


def read_unpacked(path: Path, most: int = MOST_TABLE_BYTES) -> bytes:
    """Return the content of a file, of one that ends in .gz what is packed in it.

    Raises:
        DamagedRunError: as `read_bytes`, also if what is packed is too large or damaged.
    """
    content = read_bytes(path, most)
    if path.suffix != ".gz":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            found = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedRunError(f"{path}: cannot be read: {_words(error)}", RESTORE) from None
    if len(found) > most:
        raise DamagedRunError(f"{path}: unpacks to more than {most} bytes", RESTORE)
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; control characters in its texts are spelt out.

    Raises:
        DamagedRunError: as `read_bytes`, or if it is no JSON object, or nested without end.
    """
    content = read_bytes(path, MOST_JSON_BYTES)
    try:
        found = _cleaned(strict_json(content))
    except (ValueError, RecursionError) as error:
        raise DamagedRunError(f"{path}: cannot be read: {clean(str(error))}", RESTORE) from None
    if not isinstance(found, dict):
        raise DamagedRunError(f"{path}: is no JSON object", RESTORE)
    return found


def strict_json(content: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Return what JSON says, if every number of it is one to reckon with.

    Python's own reader takes NaN, reads 1e999 as an infinity, and whole numbers of any length, of
    which no float can be made.

    Raises:
        ValueError: if it is no JSON, or a number is none or absurd.
        RecursionError: if it is nested without end.
    """
    return json.loads(
        content, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
    )


def write_below(top: Path, name: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file below a folder as a new one that then takes the name; return its path.

    What stands there is replaced, never written through.

    Raises:
        DamagedRunError: if the name leads out of the folder, or a folder on the way is a link.
        OSError: if it cannot be written.
    """
    path = folder_below(top, Path(name).parent) / Path(name).name
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
    return path


def folder_below(top: Path, name: str | os.PathLike[str]) -> Path:
    """Return a folder below a folder that is there, made if need be.

    Raises:
        DamagedRunError: if the name leads out of it, or something on the way is no folder.
        OSError: if it cannot be made, or `top` is gone.
    """
    path = top
    for part in Path(name).parts:
        if part == os.pardir or os.path.isabs(part):  # noqa: PTH117
            raise DamagedRunError(f"{clean(str(name))}: leads out of {top}", RESTORE)
        path = path / part
        try:
            path.mkdir()
        except FileExistsError:
            if path.is_symlink() or not path.is_dir():
                raise DamagedRunError(f"{path}: is a link or no folder", INSTEAD) from None
    return path


def _cleaned(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return clean(value, keep="\n\t")
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    return value


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name[:MOST_DIGITS]} is no JSON number")


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _refuse_constant(text)


def _whole(text: str) -> int:
    return int(text) if len(text) <= MOST_DIGITS else _refuse_constant(text)
