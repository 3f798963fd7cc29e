"""Find all that speaks against the files of a run, for whatever computes with them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.derived import derived
from harness.evidence.findings import Finding
from harness.evidence.reading import RunFiles
from harness.evidence.sealed import altered


def untrue(run: RunFiles) -> Iterator[Finding]:
    """Yield the damage that is only seen by recomputing, and by checksums."""
    yield from derived(run)
    yield from (finding for finding in altered(run) if finding.level == "damaged")
