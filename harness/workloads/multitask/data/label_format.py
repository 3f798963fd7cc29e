"""Say how one label is stored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelFormat:
    """Describe how one label is stored: type, channels (0 for none) and meaning."""

    dtype: str
    channels: int
    meaning: str

    def shape(self, images: int, size: int) -> tuple[int, ...]:
        """Return the shape of the array of a number of images (NHWC, or NHW for one channel)."""
        plane = (images, size, size)
        return (*plane, self.channels) if self.channels else plane
