"""Read numbers from kernel files that are opened once and read again and again."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devices.host import read_text
from devices.meters.base import Availability, Clock, Meter, RawSample, read_each

Opener = Callable[[Path], int]

_I2C_DEVICE = re.compile(r"[0-9]{1,3}-[0-9a-f]{4}")


@dataclass(frozen=True)
class Quantity:
    """Say how whole numbers in kernel files make up one quantity.

    Attributes:
        factors: Files that are multiplied, each with the largest magnitude that can be meant.
        scale: SI units per unit of the product.
        direction: A file whose sign is that of the quantity, where the product has none, with its
            largest magnitude; None if the product has its own.
    """

    factors: tuple[tuple[Path, int], ...]
    scale: float
    direction: tuple[Path, int] | None = None

    @property
    def files(self) -> tuple[tuple[Path, int], ...]:
        """Return every file that is read, that of the direction last."""
        return (*self.factors, *([self.direction] if self.direction else []))


def open_readonly(path: Path) -> int:
    """Open a file for reading and return its descriptor."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def parse_integer(text: bytes, limit: int) -> int | None:
    """Return a signed whole number; None if the text is anything else or beyond ±`limit`."""
    digits = re.fullmatch(rb"\s*(-?[0-9]{1,20})\s*", text)
    value = int(digits.group(1)) if digits else None
    return value if value is not None and abs(value) <= limit else None


def read_integer(path: Path, limit: int) -> int | None:
    """Return the whole number in a file; None if there is none within ±`limit`."""
    return parse_integer(read_text(path).encode(), limit)


class QuantityReader:
    """Keep the files of several quantities open.

    Args:
        opener: Opens a file and returns its descriptor.
    """

    def __init__(self, opener: Opener = open_readonly) -> None:
        self._opener = opener
        self._rows: list[list[tuple[int, int]]] = []
        self._quantities: list[Quantity] = []

    def add(self, quantity: Quantity) -> None:
        """Open the files of one more quantity.

        Raises:
            OSError: A file cannot be opened; none of the quantity stays open.
        """
        row: list[tuple[int, int]] = []
        try:
            for path, limit in quantity.files:
                row.append((self._opener(path), limit))
        except OSError:
            for descriptor, _ in row:
                os.close(descriptor)
            raise
        self._rows.append(row)
        self._quantities.append(quantity)

    def value(self, index: int) -> float | None:
        """Read one quantity in SI units; None if a file fails or holds no such number."""
        numbers: list[int] = []
        for descriptor, limit in self._rows[index]:
            try:
                text = os.pread(descriptor, 32, 0)
            except OSError:
                return None
            number = parse_integer(text, limit)
            if number is None:
                return None
            numbers.append(number)
        quantity = self._quantities[index]
        product = math.prod(numbers[: len(quantity.factors)])
        if quantity.direction and numbers[-1] < 0:
            product = -abs(product)
        return product * quantity.scale

    def samples(self, clock: Clock) -> list[RawSample]:
        """Read every quantity once, in the order in which they were added."""
        return read_each(clock, range(len(self._rows)), self.value)

    def close(self) -> None:
        """Close all files."""
        while self._rows:
            for descriptor, _ in self._rows.pop():
                os.close(descriptor)
        self._quantities.clear()


def try_quantity(
    meter: type[Meter], name: str, quantity: Quantity, root: Path, opener: Opener
) -> Availability | None:
    """Open and read one rail's quantity; return the meter's refusal if that fails, or None."""
    reader = QuantityReader(opener)
    files = " ".join(f"/{path.relative_to(root)}" for path, _ in quantity.files)
    try:
        reader.add(quantity)
        value = reader.value(0)
    except PermissionError:
        reason = f"{name}: no permission to read {files}"
        return meter.refuse("permission", reason, f"sudo chmod a+r {files}")
    except OSError as error:
        return meter.refuse("no-sensor", f"{name}: {error.strerror}", f"cat {files}")
    finally:
        reader.close()
    if value is None:
        reason = f"{name}: {files} cannot be read or holds no number"
        return meter.refuse("no-sensor", reason, f"cat {files}")
    return None


def i2c_address(folder: Path) -> str:
    """Return bus and address of the chip behind a sensor folder, such as `1-0040`.

    Folder numbers (`hwmon3`) change between boots, this does not. Empty if the tree does not tell.
    """
    places = [folder, folder.resolve(), (folder / "device").resolve()]
    for place in places:
        for part in reversed(place.parts):
            if _I2C_DEVICE.fullmatch(part):
                return part
    return ""
