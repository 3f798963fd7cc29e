"""Find the run that a command goes on with, or make a new one; never mix two configurations."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigChangedError, DamagedRunError
from harness.core.guarded_folder import guard, read_object
from harness.core.schema import SCHEMA_VERSION
from harness.run_folder.lock import NAME as LOCK
from harness.run_folder.lock import busy, folder_lock, is_running, run_lock
from harness.run_folder.results import RunFolder

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Start:
    """Say how to start: `fresh` never goes on with a run, `resume` names the run to go on with."""

    fresh: bool = False
    resume: Path | None = None


@dataclass(frozen=True)
class ClaimedFolder:
    """Hold the folder of a run, its lock held; `manifest` is empty if the run is new.

    `note` says why an unfinished run was not gone on with. `still_there` raises StorageError once
    the folder was removed or renamed.
    """

    folder: RunFolder
    manifest: Manifest
    note: str = ""
    still_there: Callable[[], None] = lambda: None


@contextlib.contextmanager
def claim(
    out: Path, who: Mapping[str, Any], config: Mapping[str, Any], start: Start
) -> Iterator[ClaimedFolder]:
    """Choose or make the run folder, and hold its lock as long as the context is open.

    Raises:
        BusyError: if a run is going on in this folder of results.
        ConfigChangedError: if the run named was begun with other options, or is done.
        StorageError: if a folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        with folder_lock(out):
            refuse_busy(out)
            chosen = _choose(out, who, config, start)
            still_there = stack.enter_context(run_lock(chosen.folder.path))
        yield replace(chosen, still_there=still_there)


def refuse_busy(out: Path) -> None:
    """Do nothing if no run is going on in a folder of results.

    Raises:
        BusyError: naming the one that is.
    """
    for path in sorted(out.glob(f"*/{LOCK}")):
        if is_running(path.parent):
            raise busy(path.parent)


def resumable(path: Path, who: Mapping[str, Any], config: Mapping[str, Any]) -> Manifest:
    """Return the manifest of the run that is to be gone on with.

    Args:
        path: its folder.
        who: facts of `identity`, or those of them that are known so far.
        config: the configuration.

    Raises:
        ConfigChangedError: if it was begun with other options, or is done.
    """
    manifest = read_manifest(path)
    different = _differences(manifest, who, config)
    if different:
        raise ConfigChangedError(
            f"{path} cannot be gone on with: {different}", "Start a new run without --resume."
        )
    return manifest


def _choose(
    out: Path, who: Mapping[str, Any], config: Mapping[str, Any], start: Start
) -> ClaimedFolder:
    if start.resume is not None:
        guard(start.resume)
        return ClaimedFolder(RunFolder(start.resume), resumable(start.resume, who, config))
    found = [] if start.fresh else _runs(out)
    same = [run for run in found if _is_of(run[1], who)]
    if not found:
        return _new(out, who, config)
    path, manifest = (same or found)[-1]
    if manifest.get("status") == "done":
        return _new(out, who, config)
    different = _differences(manifest, who, config)
    if not different:
        guard(path)
        return ClaimedFolder(RunFolder(path), manifest)
    note = f"{path.name} is unfinished, but another run: {different}. This is a new run."
    return _new(out, who, config, note)


def _new(
    out: Path, who: Mapping[str, Any], config: Mapping[str, Any], note: str = ""
) -> ClaimedFolder:
    """Make a run folder that says from its first moment on what is to be in it."""
    now = dt.datetime.now(dt.timezone.utc)
    name = f"{now:%Y%m%d-%H%M%S}-{who['device']}-{who['config']}"
    taken = sum(1 for _ in out.glob(f"{name}*"))  # runs of the same second
    run_id = f"{name}-{taken + 1}" if taken else name
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "status": "running",
        "created": now.isoformat(timespec="seconds"),
        "identity": dict(who),
        "config": dict(config),
    }
    return ClaimedFolder(RunFolder.create(out, run_id, manifest), {}, note)


def unfinished(out: Path, digest: str) -> Path | None:
    """Return the newest run of a configuration in a folder of results if it is unfinished."""
    found = [run for run in _runs(out) if _is_of(run[1], {"config": digest})]
    if not found or found[-1][1].get("status") == "done":
        return None
    return found[-1][0]


def unreported(out: Path, who: Mapping[str, Any]) -> Path | None:
    """Return the newest run of a configuration if it is done, but ended before its report was made.

    Args:
        out: folder of results.
        who: facts of `identity`, those that are known before the data are opened.
    """
    found = [run for run in _runs(out) if _is_of(run[1], who)]
    if not found or found[-1][1].get("status") != "done":
        return None
    path, manifest = found[-1]
    same = all(manifest["identity"].get(key) == value for key, value in who.items())
    return path if same and not os.path.lexists(path / "report" / "index.html") else None


def _runs(out: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the runs whose manifest can be read, the newest last."""
    found = []
    for path in sorted(path.parent for path in out.glob("*/manifest.json")):
        with contextlib.suppress(DamagedRunError):
            found.append((path, read_manifest(path)))
    return sorted(found, key=lambda run: (str(run[1].get("created")), run[0].name))


def _is_of(manifest: Manifest, who: Mapping[str, Any]) -> bool:
    old = manifest.get("identity")
    return isinstance(old, dict) and old.get("config") == who["config"]


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises:
        DamagedRunError: if there is none, or it is no JSON object.
    """
    file = path / "manifest.json"
    if not os.path.lexists(file):
        raise DamagedRunError(
            f"{path} is no run: it has no manifest.json",
            "Name a run that python -m harness.list runs shows.",
        )
    return read_object(file)


def _differences(manifest: Manifest, who: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Name in words what makes a run another one than that asked for; empty if nothing does."""
    if manifest.get("status") == "done":
        return "it is done"
    old = manifest.get("identity")
    if not isinstance(old, dict):
        return "it was written by an earlier version of this program"
    found = [
        f"{key} {_short(old.get(key))} → {_short(value)}"
        for key, value in who.items()
        if old.get(key) != value and key != "config"
    ]
    if old.get("config") != who["config"]:
        found += _config_differences(manifest, config)
    return "; ".join(found)


def _config_differences(manifest: Manifest, config: Mapping[str, Any]) -> list[str]:
    before = manifest.get("config")
    old = before if isinstance(before, dict) else {}
    now = json.loads(json.dumps(config))  # tuples as JSON has them
    changed = [
        f"--{key.replace('_', '-')} {_short(old.get(key))} → {_short(value)}"
        for key, value in now.items()
        if old.get(key) != value and key not in ("out", "cache")
    ]
    return changed or ["its configuration"]


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
