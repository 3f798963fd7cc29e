"""Kill runs at random moments, inside writing too: the same command ends with the same numbers."""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from harness.run_folder import results
from tests.harness.run_folder.conftest import CONSTANT_20_W, learned, manifest, only, rows

SYNCS_OF_A_LIFE = 60


def killed_while_writing(moment: int, rng: random.Random):
    """Return what makes a process die in its n-th write, with part of the last line on the disk."""

    def prepare() -> None:
        plain = results._sync
        left = [moment]

        def sync(stream) -> None:
            left[0] -= 1
            if left[0] == 0:
                stream.flush()
                path = Path(f"/proc/self/fd/{stream.fileno()}")
                content = path.read_bytes()
                begin = content.rfind(b"\n", 0, -1) + 1
                os.truncate(path, rng.randint(begin, len(content)))
                os.kill(os.getpid(), signal.SIGKILL)
            plain(stream)

        results._sync = sync

    return prepare


def nothing() -> None:
    """Prepare no end: the parent kills."""


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.whole)])
def test_kills_change_no_number(runner, undisturbed, tmp_path, kills) -> None:
    """However often and wherever a run is killed, it ends with the values of an undisturbed one."""
    rng = random.Random(5)
    expected = learned(undisturbed)
    died = run = 0
    while died < kills:
        run += 1
        out = tmp_path / str(run)
        while not _is_done(out):
            torn = rng.random() < 0.6
            moment = rng.randint(1, SYNCS_OF_A_LIFE)
            prepare = killed_while_writing(moment, rng) if torn else nothing
            died += runner.doomed(out, prepare, None if torn else rng.uniform(0.0, 1.0))
        found = learned(only(out))
        assert _rows_apart(found["values"], expected["values"]) == ([], [])  # names them
        assert found == expected
        _times_add_up(only(out))


def _rows_apart(one: list, other: list) -> tuple[list, list]:
    """Return what each has more of than the other."""
    counts = Counter(one), Counter(other)
    return list((counts[0] - counts[1]).elements()), list((counts[1] - counts[0]).elements())


def _is_done(out) -> bool:
    return any(out.glob("[0-9]*")) and manifest(only(out))["status"] == "done"


def _times_add_up(folder) -> None:
    """Every row's time is the sum of its charged phases, each of which is there once."""
    phases = rows(folder, "phases")
    for row in rows(folder, "cells"):
        own = [p for p in phases if p["cell"] == row["cell"]]
        charged = [p for p in own if p["phase"] in ("train", "affinity", "aggregate")]
        assert sum(float(p["time_s"]) for p in charged) == pytest.approx(float(row["time_s"]))
        trained = {(p["job"], p["round"], p["client"]) for p in own if p["phase"] == "train"}
        assert len(trained) == {"independent": 12, "mas:splits=2": 2 + 8}[row["method"]]
        assert len({(p["start_s"], p["end_s"]) for p in own}) == len(own)


def test_a_killed_run_keeps_measured_rounds_and_bills_no_other(runner, tmp_path) -> None:
    """At 20 W joules are 20 times the charged seconds; what was lost stands beside, uncharged."""
    settings = {"meter": CONSTANT_20_W, "methods": ("independent",), "rounds": 6, "rate_hz": 50.0}
    rng = random.Random(1)
    assert runner.doomed(tmp_path, killed_while_writing(28, rng), None, **settings)
    assert not runner.doomed(tmp_path, nothing, 600.0, **settings)

    folder = only(tmp_path)
    (row,) = rows(folder, "cells")
    lost = [p for p in rows(folder, "phases") if p["phase"] == "lost"]
    assert float(row["energy_j"]) == pytest.approx(20.0 * float(row["time_s"]), rel=1e-3)
    assert row["interruptions"] == "1"
    assert "resumed" in row["flags"].split("+")
    assert lost
    assert all(p["cell"] == row["cell"] for p in lost)
    assert len(manifest(folder)["sessions"]) == 2
    assert not (folder / "samples").exists()
