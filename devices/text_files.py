"""Read the small text files that a kernel and an administrator show things in."""

from __future__ import annotations

import re
from pathlib import Path

MAX_CPU = 65_535


def read_text(path: Path) -> str:
    """Return a small file's text without blanks at the ends; empty if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        # Powered-off thermal zones on Jetson answer EAGAIN, masked trees EACCES or ENOENT; a path
        # put together from what a file says may hold NUL.
        return ""


def read_strings(path: Path) -> tuple[str, ...]:
    """Return the NUL-separated strings of a file: device-tree properties, environments."""
    return tuple(part.strip() for part in read_text(path).split("\0") if part.strip())


def read_integer(path: Path) -> int | None:
    """Return the whole number a file holds; None if it holds anything else."""
    text = read_text(path)
    return int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None


def first_processor(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first processor in the text of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def parse_cpu_list(text: str) -> list[int]:
    """Return the processors of a kernel list such as `0,18` or `0-1`; empty if it is not one."""
    cpus: list[int] = []
    for part in text.split(","):
        span = re.fullmatch(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", part)
        if span is None:
            return []
        first = int(span.group(1))
        last = first if span.group(2) is None else int(span.group(2))
        if not first <= last <= MAX_CPU:
            return []
        cpus.extend(range(first, last + 1))
    return sorted(set(cpus))
