"""Read images from a folder: one folder a class, and perhaps `public` beside them.

`DIR/<class>/*.png` are images that clients may own. `DIR/public/<class>/*.png` are public images
with labels, `DIR/public/*.png` such without. Needs Pillow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import DataError
from harness.workloads.personalized.data.images import (
    Images,
    Pictures,
    PictureSource,
    without_doubles,
)

PUBLIC = "public"
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
MOST_PIXELS = 1 << 22


def image_folder(folder: Path) -> PictureSource:
    """Return the images of a folder.

    Raises:
        DataError: if there are none, they differ in shape, or Pillow is missing.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "Name a folder that holds one per class.")
    classes = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and p.name != PUBLIC]
    if len(classes) < 2:
        raise DataError(
            f"{folder}: holds {len(classes)} folders of classes, not two or more",
            "Put the images of each class into a folder of its name.",
        )
    own = _labelled([_files(folder / name) for name in classes], folder)
    own, doubles = without_doubles(own)
    note = f"{doubles} images that occur twice were left out" if doubles else ""
    return PictureSource(
        str(folder), own, tuple(classes), _public(folder / PUBLIC, classes, own), note
    )


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())


def _labelled(by_class: Sequence[Sequence[Path]], folder: Path) -> Pictures:
    files = [path for paths in by_class for path in paths]
    if not files:
        raise DataError(f"{folder}: holds no images ({', '.join(ENDINGS)})", "Name another folder.")
    labels = np.repeat(np.arange(len(by_class)), [len(paths) for paths in by_class])
    return Pictures(_read(files), labels.astype(np.int64))


def _public(folder: Path, classes: Sequence[str], own: Pictures) -> Pictures | None:
    """Return public images without those that clients own too; None if there is no such folder."""
    if not folder.is_dir():
        return None
    kinds = [p.name for p in sorted(folder.iterdir()) if p.is_dir()]
    strange = sorted(set(kinds) - set(classes))
    if strange:
        raise DataError(
            f"{folder}: classes {', '.join(strange)} are not those of the clients"
            f" ({', '.join(classes)})",
            "Public images with labels must have the clients' classes.",
        )
    if kinds:
        found = _labelled([_files(folder / n) if n in kinds else [] for n in classes], folder)
    else:
        found = Pictures(_read(_files(folder), own.images.shape[1:]), None)
    if found.images.shape[1:] != own.images.shape[1:]:
        raise DataError(
            f"{folder}: images of shape {found.images.shape[1:]}, the clients' have"
            f" {own.images.shape[1:]} (channels, height, width)",
            "Bring both to one size.",
        )
    known = {image.tobytes() for image in own.images}
    fresh = [i for i, image in enumerate(found.images) if image.tobytes() not in known]
    return without_doubles(found.take(np.array(fresh, dtype=np.intp)))[0]


def _read(files: Sequence[Path], empty: tuple[int, ...] = (1, 1, 1)) -> Images:
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra
    except ImportError:
        raise DataError(
            "folders of images need Pillow", "pip install 'mas-edge-harness[import]'"
        ) from None
    found = []
    for path in files:
        try:
            with Image.open(path) as image:
                if image.width * image.height > MOST_PIXELS:
                    size = f"{image.width}×{image.height}"
                    raise DataError(f"{path}: has {size} pixels", "Shrink it.")
                grey = image.mode in ("1", "L", "I", "I;16", "LA")
                pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32) / 255
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
            raise DataError(f"{path}: is no image: {error}", "Take it out or mend it.") from None
        found.append(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
        if found[-1].shape != found[0].shape:
            raise DataError(
                f"{path}: has shape {found[-1].shape}, {files[0].name} has {found[0].shape}"
                " (channels, height, width)",
                "Bring all images to one size and one number of channels.",
            )
    return np.stack(found).astype(np.float32) if found else np.zeros((0, *empty), np.float32)
