"""Read PNG files without losing a bit: depth and colour type are checked before any decoding.

Pillow decodes; its modes are not trusted. It opens 16-bit grey as `I;16` or `I` depending on its
version, narrows 16-bit colour to 8 bits and stretches 2- and 4-bit grey, all without a word. So
the header is read here, and only what decodes exactly is let through.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.core.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"
_HEADER = struct.Struct(">8s4x4sIIBB")  # signature, chunk name, width, height, bits, colour type
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}

_FOREIGN_NAMES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "system volume information",
     "$recycle.bin", "network trash folder", "temporary items", "lost+found",
     "@eadir", "@tmp", "@recycle", "@sharebin", "#recycle", "#snapshot")
)  # fmt: skip
"""Names that Windows, macOS, file systems and file servers (Synology, QNAP) give to files and
folders of their own, in lower case."""


class FaultyFileError(Exception):
    """Say in a few words what is wrong with one file; the same words for the same fault."""


@dataclass(frozen=True)
class Encoding:
    """Say how a PNG file must be encoded: bits per channel and colour types."""

    bits: tuple[int, ...]
    colours: tuple[str, ...]

    def __str__(self) -> str:
        bits = " or ".join(map(str, self.bits))
        return f"{bits}-bit {' or '.join(self.colours)}"


RGB8 = Encoding((8,), ("RGB",))
GREY16 = Encoding((16,), ("grey",))
CLASSES = Encoding((8,), ("grey", "palette"))
MASK = Encoding((1, 8), ("grey",))


def is_foreign(path: Path) -> bool:
    """Say whether a file or folder belongs to an operating system or a file server, not to data.

    Names that begin with a dot do: `.DS_Store`, `._NAME` beside every file of macOS, `.Trash-1000`.
    """
    return path.name.startswith(".") or path.name.lower() in _FOREIGN_NAMES


def require_pillow() -> None:
    """Check that PNG files can be read here.

    Raises:
        DataError: with the command that makes it so.
    """
    try:
        import PIL.Image  # noqa: F401, PLC0415 - only an import needs it
    except ImportError as error:
        message = "reading PNG files needs Pillow, which is not installed."
        raise DataError(message, "Run: pip install 'mas-edge-harness[import]'") from error


def read_png(path: Path, encoding: Encoding) -> npt.NDArray[np.uint16]:
    """Return the pixels of a PNG file, shape (H, W) or (H, W, 3), values as stored.

    A palette image gives its indices, a 1-bit image 0 and 1.

    Raises:
        FaultyFileError: if the file is missing, broken or encoded otherwise.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FaultyFileError("missing") from None
    except OSError as error:
        raise FaultyFileError(f"cannot be read: {error.strerror}") from None
    _check_header(content, encoding)
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
        raise FaultyFileError("broken or cut off") from None
    return pixels.astype(np.uint16)


def _check_header(content: bytes, encoding: Encoding) -> None:
    if len(content) < _HEADER.size or not content.startswith(_SIGNATURE):
        raise FaultyFileError("empty file" if not content else "no PNG file")
    if _END not in content:  # Pillow does not miss it
        raise FaultyFileError("broken or cut off")
    _, _, _, _, bits, kind = _HEADER.unpack_from(content)
    colour = _COLOURS.get(kind, "unknown colour")
    if bits not in encoding.bits or colour not in encoding.colours:
        raise FaultyFileError(f"{bits}-bit {colour}, expected {encoding}")


def check_side(pixels: npt.NDArray[np.generic], height: int, width: int) -> None:
    """Check the size of an image.

    Raises:
        FaultyFileError: naming the size found and expected.
    """
    found = pixels.shape[:2]
    if found != (height, width):
        raise FaultyFileError(f"{found[1]}×{found[0]} px, expected {width}×{height}")
