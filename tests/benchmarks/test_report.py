"""The made-up runs that the report is timed on are runs the report can read."""

from __future__ import annotations

from analysis.core.loading import load_runs
from analysis.core.pooling import pool
from tests.benchmarks.report import METHODS, Size, write_runs


def test_made_up_runs_load_and_pool_by_device(tmp_path):
    """Four runs of two devices are two series with four seeds each; every cell has its samples."""
    folders = write_runs(tmp_path, Size("small", runs=4, devices=2, samples_per_cell=5))
    series = pool(load_runs(folders))
    assert [run.manifest.device_name for run in series] == ["board-0", "board-1"]
    for run in series:
        assert run.notes == ()
        assert len(run.done) == 4 * len(METHODS)
        assert all(len(run.trace(cell)) == 5 for cell in run.done["cell"])
