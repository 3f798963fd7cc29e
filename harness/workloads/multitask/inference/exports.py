"""Keep exported graphs below a run, with the SHA-256 of each in a list beside them.

A graph is read only through here, so one that is not what was exported is never measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.clean_text import clean
from harness.core.digests import file_digest
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import is_safe_name, read_bytes, read_object
from harness.run_folder.results import RunFolder
from harness.workloads.multitask.inference.deployment import Deployment, Model

FOLDER = "inference/models"
LIST = f"{FOLDER}/exports.json"
MOST_GRAPH_BYTES = 4 << 30
AGAIN = "Export anew with --fresh; it replaces all exports and figures of inference."


@dataclass(frozen=True)
class Made:
    """Hold a graph that was just made, and what is to be said of it in the list."""

    content: bytes
    facts: Mapping[str, Any]


class Exports:
    """Own the exported graphs of one run."""

    def __init__(self, folder: RunFolder, version: int) -> None:
        """Read the list, if there is one; `version` is that of the graphs' form.

        Raises:
            DamagedRunError: if the list cannot be read.
        """
        self._folder = folder
        self._version = version
        self._entries = read_list(folder.path)

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """Return what the list says of every graph."""
        return list(self._entries.values())

    def path(self, deployment: Deployment, model: Model, precision: str) -> Path:
        """Return the file of a graph."""
        return self._folder.path / _name(deployment, model, precision)

    def get(
        self, deployment: Deployment, model: Model, precision: str, make: Callable[[], Made]
    ) -> bytes:
        """Return a graph: that of an earlier export if there is one, else a new one.

        Raises:
            DamagedRunError: if the earlier one was changed since, or was made by another version or
                from other weights.
        """
        name = _name(deployment, model, precision)
        entry = self._entries.get(name)
        weights = sha256(model.weights)
        if entry is not None:
            return self._read(name, entry, weights, model)
        made = make()
        self._folder.binary(name, made.content)
        self._entries[name] = {
            "file": name, "sha256": hashlib.sha256(made.content).hexdigest(),
            "bytes": len(made.content), "cell": deployment.cell, "method": deployment.method,
            "job": model.job, "tasks": model.tasks, "precision": precision,
            "weights_sha256": weights, "format": self._version, **made.facts,
        }  # fmt: skip
        self._write()
        return made.content

    def facts(self, deployment: Deployment, model: Model, precision: str) -> Mapping[str, Any]:
        """Return what the list says of a graph; nothing of one that is not there."""
        return self._entries.get(_name(deployment, model, precision), {})

    def note(self, deployment: Deployment, model: Model, precision: str, **facts: Any) -> None:  # noqa: ANN401
        """Add facts to what the list says of a graph."""
        name = _name(deployment, model, precision)
        self._entries[name] = {**self._entries[name], **facts}
        self._write()

    def _read(self, name: str, entry: Mapping[str, Any], weights: str, model: Model) -> bytes:
        path = self._folder.path / name
        if entry.get("format") != self._version:
            raise DamagedRunError(
                f"{path}: was exported by another version of this program (form"
                f" {entry.get('format')}, here {self._version})",
                AGAIN,
            )
        if entry.get("weights_sha256") != weights or entry.get("tasks") != model.tasks:
            raise DamagedRunError(f"{path}: was exported from other weights", AGAIN)
        content = read_bytes(path, MOST_GRAPH_BYTES)
        if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            raise DamagedRunError(f"{path}: is not what was exported: its SHA-256 differs", AGAIN)
        return content

    def _write(self) -> None:
        document = {"exports": [self._entries[name] for name in sorted(self._entries)]}
        self._folder.text(LIST, json.dumps(document, indent=2, allow_nan=False) + "\n")


def read_list(run: Path) -> dict[str, Mapping[str, Any]]:
    """Return what the list of exports below a run folder says, by file name; empty without one.

    Raises:
        DamagedRunError: if it cannot be read.
    """
    path = run / LIST
    if not path.is_file():
        return {}
    try:
        entries = read_object(path)["exports"]
        found = {str(entry["file"]): entry for entry in entries}
    except (KeyError, TypeError) as error:
        raise DamagedRunError(f"{path}: cannot be read: {error}", AGAIN) from None
    outside = [name for name in found if not _is_export(name)]
    if outside:
        raise DamagedRunError(f"{path}: {clean(outside[0][:80])!r} is no file of exports", AGAIN)
    return found


def _is_export(name: str) -> bool:
    """Say whether a name leads to a file of exports below the run, and nowhere else."""
    parts = name.split("/")
    top = FOLDER.split("/")
    return parts[: len(top)] == top and all(map(is_safe_name, parts))


def changed_exports(run: Path) -> list[str]:
    """Return what is wrong with the exported graphs of a run, one sentence each; none if intact.

    Graphs may have been left out when the run was copied; if all are missing, that is no damage.

    Raises:
        DamagedRunError: if the list cannot be read.
    """
    entries = read_list(run)
    there = {name for name in entries if (run / name).is_file()}
    wrong = [f"{name}: missing" for name in sorted(entries) if there and name not in there]
    return wrong + [
        f"{name}: is not what was exported: its SHA-256 differs"
        for name in sorted(there)
        if sha256(run / name) != entries[name].get("sha256")
    ]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        DamagedRunError: if it cannot be read.
    """
    try:
        return file_digest(path)
    except OSError as error:
        raise DamagedRunError(f"{path}: cannot be read: {error.strerror or error}") from None


def _name(deployment: Deployment, model: Model, precision: str) -> str:
    return f"{FOLDER}/{deployment.cell}/{model.job}.{precision}.onnx"
