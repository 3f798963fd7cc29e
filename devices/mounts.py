"""Read which file systems a process sees, from /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devices.text_files import read_text


@dataclass(frozen=True)
class Mount:
    """Hold one line.

    Attributes:
        inside: Folder of the mounted file system that is shown, as seen from its own root.
        place: Where it is shown.
        kind: Type of the file system.
        options: Options of the file system itself, such as the layers of an overlay.
    """

    inside: str
    place: str
    kind: str
    options: str


def read_mounts(root: Path) -> list[Mount]:
    """Return the mounts of this process, in order; none if the file is not there."""
    found = []
    for line in read_text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 5 and len(right) >= 3:
            found.append(Mount(_plain(left[3]), _plain(left[4]), right[0], " ".join(right[2:])))
    return found


def _plain(path: str) -> str:
    """Undo the octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), path)
