"""Compare the files of a run with the checksums that its manifest was given last.

A checksum shows an accident and a careless hand. Who edits a file can edit the manifest as well:
against that stands the signature of a bundle (`harness.evidence.signature`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.core.clean_text import clean
from harness.core.digests import file_digests
from harness.core.guarded_folder import RESTORE
from harness.core.schema import FILES
from harness.evidence.findings import Finding, named
from harness.evidence.reading import RunFiles
from harness.run_folder.seal import ALGORITHM, sealed_names

EVIDENCE = ("affinity", "checkpoints", "conditions", "events.jsonl", "traces")
"""Beside the tables of the schema, what is read as a run's own."""

WEIGHTS = "checkpoints/"


def sums_of(run: RunFiles) -> Mapping[str, str] | None:
    """Return the checksums a manifest holds; None if it holds none, or not in the right form."""
    sums = run.section("files").get("sums")
    if not isinstance(sums, dict) or run.section("files").get("algorithm") != ALGORITHM:
        return None
    return {str(name): str(value) for name, value in sums.items()}


def altered(run: RunFiles) -> Iterator[Finding]:
    """Yield which files of a finished run are not as they were when it ended, or came later."""
    sums = sums_of(run)
    if sums is None:
        if "files" in run.manifest:
            text = "manifest.json: its checksums are not in a form that can be read"
            yield Finding("damaged", "checksum", text, RESTORE)
        return
    there = set(sealed_names(run.folder))
    found = file_digests(run.folder, [name for name in sums if name in there])
    changed = [name for name, digest in found.items() if digest != sums[name]]
    if changed:
        text = f"{_listed(changed)}: not as written when the run ended (checksum differs)"
        yield Finding("damaged", "checksum", text, RESTORE)
    lost = [name for name in sums if name not in there]
    if not any(name.startswith(WEIGHTS) for name in there):  # a copy without weights says so
        lost = [name for name in lost if not name.startswith(WEIGHTS)]
    if lost:
        text = f"{_listed(lost)}: there when the run ended, gone now"
        yield Finding("damaged", "file-gone", text, RESTORE)
    yield from _added(run, sorted(there - set(sums)))


def _added(run: RunFiles, names: list[str]) -> Iterator[Finding]:
    """Yield files that came after the end; what would be read as the run's own is no note."""
    returned = run.section("files").get("left_out")
    known = returned if isinstance(returned, dict) else {}
    again = file_digests(run.folder, [name for name in names if name in known])
    names = [name for name in names if not again.get(name) or again[name] != known[name]]
    own = [name for name in names if name.split("/")[0] in (*EVIDENCE, *FILES)]
    other = [name for name in names if name not in own]
    if own:
        text = f"{_listed(own)}: not there when the run ended"
        yield Finding("damaged", "file-added", text, "Remove it, or restore the run from a copy.")
    if other:
        yield Finding("note", "file-added", f"{_listed(other)}: added after the run ended")


def unsealed(run: RunFiles) -> Iterator[Finding]:
    """Yield a note if a finished run has no checksums, as those of earlier versions."""
    if run.manifest.get("status") == "done" and "files" not in run.manifest:
        text = (
            "the manifest holds no checksums (a run of an earlier version): a changed byte of"
            " weights, or of what nothing is computed from, would not show"
        )
        yield Finding("note", "no-checksums", text)


def _listed(names: list[str]) -> str:
    return named([clean(name[:80]) for name in names])
