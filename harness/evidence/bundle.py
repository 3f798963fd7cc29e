"""Make the archive that a stranger can check without the hardware: data, paper, claims, checksums.

The tables and figures in it are made inside it, by the very command its README gives, so that the
command gives them again. The same runs give the same bytes.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.digests import file_digests
from harness.core.errors import (
    EXIT_FILES,
    DamagedRunError,
    DiskFullError,
    HarnessError,
    StorageError,
    UsageError,
)
from harness.core.guarded_folder import read_bytes
from harness.core.schema import FILES, SCHEMA_VERSION
from harness.core.shell_words import shell_word
from harness.core.version import ROOT, shipped_file, version
from harness.evidence.bundle_readme import Claim, PackedRun, readme
from harness.evidence.comparable import apart_words
from harness.evidence.findings import exit_status, verdict
from harness.evidence.judging import Judgement, judge
from harness.evidence.own_files import CELL, own_files
from harness.evidence.private import Rule, rules, veil
from harness.evidence.reading import RunFiles
from harness.evidence.schema_page import page
from harness.evidence.sensors import pretences
from harness.evidence.signature import SUMS, sign
from harness.evidence.yardstick import yardstick
from harness.run_folder.lock import busy, is_running
from harness.run_folder.results import json_text, storage_errors
from harness.run_folder.seal import MANIFEST, seal_copy
from harness.workloads.registry import DEFAULT

FORMAT = 1
FROM_CHECKOUT = ("LICENSE", "CITATION.cff")
TEXTS = (
    "manifest.json", "cells.csv", "devices.csv", "events.jsonl", "inference.csv",
    "inference/manifest.json",
)  # fmt: skip
"""Files of a run in which a typed path or an error text may stand."""

AS_THEY_ARE = (
    "metrics.csv", "phases.csv", "work.csv", "components.csv", "traces/*.csv.gz",
    "conditions/*.csv", "affinity/*.csv",
    "inference/*.csv", "inference/traces/*.csv.gz", "inference/models/exports.json",
)  # fmt: skip
OWN_TEXTS = (".csv", ".json", ".txt")
"""What a workload's own folders of a run hold for readers."""

NOT_PACKED = ("checkpoints", "samples", "report", "inference")
"""Folders of a run of which nothing is packed, or only what is named above."""

WEIGHTS = ("checkpoints/*/*.safetensors", "inference/models/*/*.onnx")
FACTS = ("host", "software", "source", "threads", "accelerator", "meter", "meter_reason",
         "energy_model", "time_model", "calibration", "host_timing")  # fmt: skip
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
REPORT = ("-m", "harness.report")


@dataclass(frozen=True)
class Packing:
    """Say what goes in, who signs it, and what names are taken out."""

    weights: bool = False
    key: Path | None = None
    private: Sequence[Rule] = field(default_factory=lambda: rules(Path.home()))


def pack(folders: Sequence[Path], out: Path, packing: Packing) -> Path:
    """Write the bundle of some runs into a new folder and return it.

    Raises:
        UsageError: if the folder is not empty, or a run is given twice.
        DamagedRunError: if a run is damaged.
        BusyError: if a run is still going on.
        StorageError: if the folder cannot be written.
        HarnessError: if the report cannot be made.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder", "Name one that does not exist yet.")
    judgements = _judged(folders)
    staging = out.with_name(f".new-{out.name}")
    with storage_errors(out):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            _fill(staging, judgements, packing)
            if out.exists():
                out.rmdir()
            staging.rename(out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return out


def _judged(folders: Sequence[Path]) -> list[tuple[Judgement, RunFiles]]:
    """Return runs by the order of their names with what was found of each; damage ends here."""
    found: dict[str, tuple[Judgement, RunFiles]] = {}
    for folder in folders:
        if is_running(folder):
            raise busy(folder)
        judgement = judge(folder)
        bad = [f.text for f in judgement.findings if f.level == "damaged"]
        if bad or judgement.run is None:
            raise DamagedRunError(
                f"{folder} is damaged: {bad[0]}",
                f"See python -m harness.check {shell_word(folder)}",
            )
        name = judgement.run.run_id
        if not SAFE_NAME.fullmatch(name):
            raise DamagedRunError(f"{folder}: {name!r} cannot be the name of a run", "Restore it.")
        if name in found:
            raise UsageError(f"run {name} is given twice", "Name each run once.")
        found[name] = (judgement, judgement.run)
    return [found[name] for name in sorted(found)]


def _fill(top: Path, judgements: Sequence[tuple[Judgement, RunFiles]], packing: Packing) -> None:
    withheld: dict[str, list[str]] = {}
    packed = []
    for judgement, run in judgements:
        withheld |= _copy_run(run, top, packing)
        manifest = json.loads((top / "data" / run.run_id / "manifest.json").read_bytes())
        _write(top / "env" / f"{run.run_id}.json", _json({k: manifest.get(k) for k in FACTS}))
        packed.append(_packed(judgement, run, manifest))
    _from_checkout(top)
    _write(top / "schemas" / "columns.json", _json(_columns()))
    _write(top / "schemas" / "results.md", page())
    _report(top)
    claims = read_claims(top / "paper" / "tables" / "pairs.csv")
    document = {
        "format": FORMAT,
        "tool": {"name": "mas-edge-harness", "version": version()},
        "schema_version": SCHEMA_VERSION,
        "runs": [asdict(run) for run in packed],
        "claims": [asdict(claim) for claim in claims],
        "weights": packing.weights,
        "withheld": withheld,
    }
    _write(top / "manifest.json", _json(document))
    words = apart_words([(run.run_id, run.manifest) for _, run in judgements])
    _write(top / "README.md", readme(packed, claims, withheld, words))
    _write(top / SUMS, checksums(top))
    if packing.key is not None:
        sign(top, packing.key)


def _copy_run(run: RunFiles, top: Path, packing: Packing) -> dict[str, list[str]]:
    """Copy a run's files, never what a link leads to; return what was taken out of which."""
    target = top / "data" / run.run_id
    withheld: dict[str, list[str]] = {}
    own = (name.replace(CELL, "*") for name in own_files(run))
    patterns = (*AS_THEY_ARE, *own, *(WEIGHTS if packing.weights else ()))
    for source in sorted(path for pattern in patterns for path in run.folder.glob(pattern)):
        if source.is_file() and not source.is_symlink():
            place = target / source.relative_to(run.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
    for source in (*(run.folder / name for name in TEXTS), *_own_texts(run.folder)):
        name = source.relative_to(run.folder).as_posix()
        if source.is_symlink():
            raise DamagedRunError(f"{source}: is a link", "Put the file itself in its place.")
        if source.is_file():
            # A power cut may have torn the last line of the event log within a character.
            text = read_bytes(source).decode(errors="replace")
            text = _unsealed(text) if name == MANIFEST else text
            text, found = veil(text, packing.private)
            _write(target / name, text)
            if found:
                withheld[f"data/{run.run_id}/{name}"] = found
    rewritten = [name for name in TEXTS if f"data/{run.run_id}/{name}" in withheld]
    _seal(target, run, rewritten)
    return withheld


def _own_texts(folder: Path) -> list[Path]:
    """Return the files of folders that only runs of one workload have."""
    known = {*NOT_PACKED, *(pattern.partition("/")[0] for pattern in AS_THEY_ARE)}
    return [
        path
        for top in sorted(folder.iterdir())
        if top.name not in known and top.is_dir() and not top.is_symlink()
        for path in sorted(top.rglob("*"))
        if path.suffix in OWN_TEXTS
    ]


def _unsealed(text: str) -> str:
    """Return a manifest without checksums, in which nothing private is to be looked for."""
    values = json.loads(text)
    return json_text({k: v for k, v in values.items() if k != "files"}, 2) + "\n"


def _seal(target: Path, run: RunFiles, rewritten: Sequence[str]) -> None:
    """Give the copy's manifest the checksums of the copy, and the run's own beside them."""
    sums = seal_copy(target, run.section("files"), rewritten)
    if sums:
        path = target / MANIFEST
        values = json.loads(path.read_bytes()) | {"files": sums}
        _write(path, json_text(values, 2) + "\n")


def _packed(judgement: Judgement, run: RunFiles, manifest: dict[str, Any]) -> PackedRun:
    device = run.section("device")
    measured = [r for r in run.done if r["energy_j"] is not None]
    origin = pretences(str(r["energy_meter"] or "") for r in measured) or "measured"
    return PackedRun(
        run_id=run.run_id,
        workload=str(manifest.get("workload", DEFAULT)),
        reference=yardstick(manifest).reference,
        device=str(device.get("title") or device.get("name") or ""),
        command=str(manifest.get("command") or ""),
        created=str(manifest.get("created") or ""),
        size=judgement.size,
        time_s=max((phase["end_s"] or 0.0 for phase in run.phases), default=0.0),
        energy_j=sum(r["energy_j"] for r in measured) if measured else None,
        energy_cells=len(measured),
        energy_origin=origin if measured else "",
        cells=len(run.done),
        data_checksum=str(run.section("data").get("checksum") or ""),
        commit=str(run.section("source").get("commit") or ""),
        verdict=verdict(judgement.findings),
        check_status=exit_status(judgement.findings),
        findings=tuple(f.text for f in judgement.findings if f.level != "note"),
    )


def read_claims(path: Path) -> list[Claim]:
    """Return what a report's table of pairs says; nothing if there was nothing to compare."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Claim(
                row.get("run", ""), row["method"], row["quantity"], float(row["ratio"]),
                _number(row["ratio_low"]), _number(row["ratio_high"]), int(row["pairs"]),
            )
            for row in csv.DictReader(stream)
        ]  # fmt: skip


def _number(text: str) -> float | None:
    return float(text) if text else None


def _from_checkout(top: Path) -> None:
    (top / "env").mkdir(exist_ok=True)
    for name, place in [*((n, n) for n in FROM_CHECKOUT), ("constraints.txt", "env")]:
        source = shipped_file(name)
        if not source.is_file():
            raise StorageError(
                f"{source} is missing", "Install the package again, or pack from a checkout."
            )
        shutil.copyfile(source, top / place / name if place == "env" else top / place)


def _reason(stderr: str) -> tuple[str, str]:
    """Return what a command said went wrong, not the remedy below it, and the code of that."""
    told = re.findall(r"^error: (.*) \[([a-z-]+)\]$", stderr, re.MULTILINE)
    last: tuple[str, str] = told[-1] if told else ("", "")
    return last if told else ((stderr.strip().splitlines() or ["no reason given"])[-1], "")


def _report(top: Path) -> None:
    """Make tables and figures as the README says, in a process that sees the bundle only."""
    names = sorted(path.name for path in (top / "data").iterdir())
    words = [*REPORT, *(f"data/{name}" for name in names), "--out", "rebuilt"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    done = subprocess.run(
        [sys.executable, *words], cwd=top, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"},
    )  # fmt: skip
    if done.returncode:
        reason, code = _reason(done.stderr)
        text = f"the report cannot be made: {reason}"
        if done.returncode == EXIT_FILES:
            raise DiskFullError(text) if code == DiskFullError.code else StorageError(text)
        raise HarnessError(
            text,
            "Install it with pip install 'mas-edge-harness[analysis]', or try python -m"
            " harness.report RUN alone.",
        )
    (top / "rebuilt").rename(top / "paper")


def _columns() -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "files": {name: [asdict(column) for column in columns] for name, columns in FILES.items()},
    }


def checksums(top: Path) -> str:
    """Return the lines of SHA256SUMS for all files below a folder, as `sha256sum -c` reads them."""
    paths = sorted(p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file())
    return "".join(
        f"{digest}  {name}\n"
        for name, digest in file_digests(top, [name for name in paths if name != SUMS]).items()
    )


def _json(values: object) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
