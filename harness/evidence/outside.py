"""Name what of a run came from outside the program, which nobody but its owner has looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.evidence.findings import Finding
from harness.evidence.reading import RunFiles

SHOWN = 12
"""Digits of a checksum that people compare by eye."""


def from_outside(run: RunFiles) -> Iterator[Finding]:
    """Yield a note that names each thing from outside with its checksum, if there is any."""
    named = [
        f"{name} ({_words(value)})" for name, value in sorted(run.section("extensions").items())
    ]
    if named:
        yield Finding(
            "note", "from-outside", f"from outside the program: {', '.join(named)}",
            "Whoever checks the run needs these files, and reads them as part of the method.",
        )  # fmt: skip


def _words(value: object) -> str:
    known = value if isinstance(value, Mapping) else {}
    checksum = str(known.get("sha256") or "without checksum")[:SHOWN]
    return f"sha256 {checksum}, {known.get('origin') or 'of unknown origin'}"
