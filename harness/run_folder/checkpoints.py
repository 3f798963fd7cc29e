"""Keep what an unfinished cell has come to, so that a power cut costs at most the round it fell in.

A folder `<cell>.partial` holds a journal with one line per round (marks, values, affinity), the
weights, and small state files. A state file is written last, by renaming; it names the weights and
how long the journal was, so it is the moment at which a checkpoint exists. The newest two
checkpoints are kept, and the last weights of every finished job of the cell.

Waiting for the disk takes longer than all the rest, so it is done by a thread while the next round
trains. What goes wrong there is raised by the next call.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.disk import sync_folder
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import folder_below
from harness.run_folder.results import append_durably, json_text, storage_errors, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".partial"
KEPT = 2
FRESH = "Restore the file from a copy, or start anew with --fresh."


@dataclass(frozen=True)
class Saved:
    """Hold a checkpoint: the jobs begun so far, the newest last, and the lines of the journal."""

    number: int
    jobs: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]


class CellCheckpoints:
    """Own the folder of one unfinished cell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        self._jobs: list[dict[str, Any]] = []
        self._kept: list[tuple[Path, set[str]]] = []
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    @property
    def _journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def _announcements(self) -> Path:
        return self.path / "announced.jsonl"

    def load(self) -> Saved | None:
        """Return the newest checkpoint; None if there is none. What came after it is cut off.

        Raises:
            DamagedRunError: if anything that the checkpoint rests on is not what was written.
        """
        for litter in self.path.glob("*.part"):
            litter.unlink()
        states = sorted(self.path.glob("state-*.json"))
        if not states:
            self.remove()
            return None
        saved = self._read(states[-1])
        self._number = saved.number
        self._jobs = [dict(job) for job in saved.jobs]
        self._kept = [(path, _weights_of(_object(path))) for path in states]
        return saved

    def step_back(self) -> Saved | None:
        """Drop the newest checkpoint and return the one before it; None if there is none."""
        self.settle()
        path, _ = self._kept.pop()
        with storage_errors(path):
            path.unlink()
        self._number, self._jobs = 0, []
        return self.load()

    def weights(self, index: int) -> dict[str, Tensor]:
        """Return the weights of the cell's job of that index.

        Raises:
            DamagedRunError: if the file is not the one that was written.
        """
        import safetensors  # noqa: PLC0415 - listing and checking runs need no torch
        import safetensors.torch  # noqa: PLC0415

        self.settle()
        job = self._jobs[index]
        path = self.path / Path(str(job["weights"])).name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedRunError(f"{path}: cannot be read: {error.strerror}", FRESH) from error
        if hashlib.sha256(content).hexdigest() != job["sha256"]:
            raise DamagedRunError(f"{path}: is not what was written", FRESH)
        try:
            tensors: dict[str, Tensor] = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise DamagedRunError(f"{path}: holds no weights: {error}", FRESH) from None
        return tensors

    def save(
        self,
        index: int,
        job: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        lines: Sequence[Mapping[str, Any]],
    ) -> None:
        """Begin to write a checkpoint after rounds of the cell's job of that index, a line each.

        Raises:
            StorageError: if the one before could not be written; that before it is still whole.
        """
        import safetensors.torch  # noqa: PLC0415

        self.settle()
        content = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing = self._writer.submit(self._write, index, dict(job), content, list(lines))

    def announce(self, index: int, job: Mapping[str, Any]) -> int:
        """Have the disk keep that a job is about to be carried out, before it is.

        Returns:
            How often that was written of this very job before.

        Raises:
            StorageError: if it cannot be written; then the job must not begin.
            DamagedRunError: if another job was announced in its place.
        """
        self.settle()
        with storage_errors(self.path):
            folder_below(self.path.parents[1], self.path.relative_to(self.path.parents[1]))
        path = self._announcements
        line = {"index": index, "job": json.loads(json_text(dict(job)))}
        before = [known for known in _announced(path) if known["index"] == index]
        if any(known != line for known in before):
            raise DamagedRunError(f"{path}: job {index + 1} was begun as another one", FRESH)
        fresh = not path.exists()
        append_durably(path, (json_text(line) + "\n").encode(), new=True)
        if fresh:
            with storage_errors(path):
                sync_folder(path.parent)
        return len(before)

    def settle(self) -> None:
        """Wait until what was begun is on the disk.

        Raises:
            StorageError: if it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(
        self, index: int, job: Mapping[str, Any], content: bytes, lines: Sequence[Mapping[str, Any]]
    ) -> None:
        number = self._number + 1
        name = f"weights-{number:06d}.safetensors"
        with storage_errors(self.path):  # never the run folder itself, should that be gone
            folder_below(self.path.parents[1], self.path.relative_to(self.path.parents[1]))
        write_atomically(self.path / name, content, names_too=False)
        text = "".join(json_text(line) + "\n" for line in lines)
        append_durably(self._journal, text.encode(), new=True)
        record = {**job, "weights": name, "sha256": hashlib.sha256(content).hexdigest()}
        jobs = [*self._jobs[:index], record]
        state = {"number": number, "journal_bytes": self._journal.stat().st_size, "jobs": jobs}
        path = self.path / f"state-{number:06d}.json"
        write_atomically(path, json_text(state).encode())
        self._number, self._jobs = number, jobs
        self._kept.append((path, _weights_of(state)))
        self._tidy()

    def remove(self) -> None:
        """Remove the folder: the cell is finished, or begins anew."""
        self.settle()
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None
        if self.path.exists():
            with storage_errors(self.path):
                shutil.rmtree(self.path)
        self._number, self._jobs, self._kept = 0, [], []

    def _tidy(self) -> None:
        """Remove states and weights that neither of the newest checkpoints needs."""
        old, self._kept = self._kept[:-KEPT], self._kept[-KEPT:]
        needed = set().union(*(names for _, names in self._kept))
        with storage_errors(self.path):
            for path, names in old:
                path.unlink(missing_ok=True)
                for name in names - needed:
                    (self.path / name).unlink(missing_ok=True)

    def _read(self, path: Path) -> Saved:
        state = _object(path)
        try:
            number, length, jobs = int(state["number"]), int(state["journal_bytes"]), state["jobs"]
            for job in jobs:
                _ = (job["name"], job["rounds_done"], job["weights"], job["sha256"])
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DamagedRunError(f"{path}: lacks or misstates {error}", FRESH) from error
        return Saved(number, jobs, self._lines(length))

    def _lines(self, length: int) -> list[Mapping[str, Any]]:
        """Return the journal up to a length and cut off what lies behind."""
        content = self._journal.read_bytes() if self._journal.exists() else b""
        if len(content) < length:
            raise DamagedRunError(
                f"{self._journal}: has {len(content)} bytes, expected {length}", FRESH
            )
        if len(content) > length:
            with storage_errors(self._journal), self._journal.open("r+b") as stream:
                stream.truncate(length)
        lines = []
        for number, text in enumerate(content[:length].splitlines(), 1):
            try:
                line = json.loads(text)
                _ = (line["job"], line["session"], line["segments"], line["values"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                where = f"{self._journal}, line {number}"
                raise DamagedRunError(f"{where}: is not what was written: {error}", FRESH) from None
            lines.append(line)
        return lines


def _announced(path: Path) -> list[dict[str, Any]]:
    """Return what was announced; a torn last line was never acted on and is cut off."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with storage_errors(path):
            os.truncate(path, len(whole))
    try:
        known = [json.loads(line) for line in whole.splitlines()]
        return [{"index": each["index"], "job": each["job"]} for each in known]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DamagedRunError(f"{path}: is not what was written: {error}", FRESH) from None


def _object(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedRunError(f"{path}: cannot be read: {error}", FRESH) from error
    if not isinstance(state, dict):
        raise DamagedRunError(f"{path}: is no JSON object", FRESH)
    return state


def _weights_of(state: Mapping[str, Any]) -> set[str]:
    """Return the names of the weights a state needs, never a path that leads elsewhere."""
    return {Path(str(job["weights"])).name for job in state["jobs"]}
