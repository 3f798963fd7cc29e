"""A batch that will not fit is made smaller before anything is trained, and only then."""

from dataclasses import replace

import pytest

from harness.running.target import resolve_target
from harness.workloads.multitask.planning.batch_fit import BatchFit, fit_batch, fitted, free_bytes
from harness.workloads.multitask.planning.step_choice import StepChoice, recorded_choice
from models.execution import PLAIN
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner, SilentScreen, manifest, only, rows

MB = 1_000_000


def line(fixed: int, image: int):
    """Return a step that takes `fixed` and `image` for each image of a batch."""
    return lambda batch: fixed + batch * image


@pytest.mark.parametrize(
    ("asked", "free", "taken"),
    [
        (32, 1000 * MB, 32),  # 100 + 32 × 25 = 900 is 0.9 of 1000
        (32, 999 * MB, 16),
        (32, 300 * MB, 4),  # 100 + 8 × 25 = 300; 4 → 200 ≤ 270
        (32, 10 * MB, 2),  # nothing fits: the least there is, and training may still fail
        (6, 170 * MB, 2),  # 6 → 3 → 175; 2 → 150 ≤ 153
    ],
)
def test_the_largest_halving_that_fits_is_taken(asked: int, free: int, taken: int) -> None:
    found = fitted(asked, free, line(100 * MB, 25 * MB))
    assert found.taken == taken
    assert found.need_bytes == pytest.approx((100 + asked * 25) * MB)
    assert found.lowered == (taken < asked)


def test_noise_in_small_networks_lowers_nothing() -> None:
    """A larger batch that seems to need less has a slope of nought, not a negative one."""
    found = fitted(64, 100 * MB, lambda batch: 50 * MB - batch)
    assert (found.taken, found.image_bytes) == (64, 0.0)


def files(root, **contents: str):
    places = {"meminfo": "proc/meminfo", "limit": "sys/fs/cgroup/memory.max",
              "used": "sys/fs/cgroup/memory.current", "status": "proc/self/status"}  # fmt: skip
    for name, text in contents.items():
        path = root / places[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache"))


def test_free_memory_is_the_least_of_host_group_and_device(runner, tmp_path) -> None:
    target = resolve_target(runner.config(tmp_path))
    nano = resolve_target(runner.config(tmp_path, device="jetson-nano"))
    assert free_bytes(target, tmp_path) is None
    root = files(tmp_path, meminfo="MemTotal: 9 kB\nMemAvailable:    8000000 kB\n")
    assert free_bytes(target, root) == 8_192_000_000
    files(root, limit="max\n", used="5\n")
    assert free_bytes(target, root) == 8_192_000_000
    files(root, limit="3000000000\n", used="1000000000\n")
    assert free_bytes(target, root) == 2_000_000_000
    version_1 = root / "sys/fs/cgroup/memory/job.slice/run.scope"
    version_1.mkdir(parents=True)
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_text("9:memory:/job.slice/run.scope\n0::/\n")
    (version_1.parent / "memory.limit_in_bytes").write_text("1500000000\n")
    (version_1.parent / "memory.usage_in_bytes").write_text("700000000\n")
    assert free_bytes(target, root) == 800_000_000
    (root / "proc/self/cgroup").unlink()
    files(root, limit="9000000000\n", status="RssAnon:\t  1000000 kB\n")
    assert free_bytes(nano, root) == nano.profile.memory_bytes - 1_024_000_000


def test_a_real_step_grows_with_its_batch(runner, tmp_path, monkeypatch) -> None:
    """Measured on the real network: 64 images of 64×64 need more than none, and fit in 1 GB."""
    config = runner.config(tmp_path, size=64, batch_size=64)
    target = resolve_target(config)
    monkeypatch.setattr(
        "harness.workloads.multitask.planning.batch_fit.free_bytes", lambda *_: 1000 * MB
    )
    found = fit_batch(config, target, architecture("small"), PLAIN)
    if found.need_bytes is None:
        pytest.skip("the kernel does not tell the peak of a process")
    assert 0 < found.need_bytes < 900 * MB
    assert found.taken == 64
    kept = fit_batch(replace(config, keep_batch_size=True), target, architecture("small"), PLAIN)
    assert kept == BatchFit(64, 64, free_bytes=1000 * MB)


def test_a_run_trains_tells_and_keeps_the_smaller_batch(runner, tmp_path, monkeypatch) -> None:
    """Asked for 4, trained with 2: columns and manifest say so, and the run can go on as asked."""
    monkeypatch.setattr(
        "harness.workloads.multitask.planning.step_choice.fit_batch",
        lambda config, *_: BatchFit(config.batch_size, 2, 9e9, 1000, 1.0),
    )
    screen = SilentScreen()
    runner.run(tmp_path, batch_size=4, screen=screen)
    folder = only(tmp_path)
    assert {row["batch_size"] for row in rows(folder, "cells")} == {"2"}
    told = manifest(folder)
    assert told["config"]["batch_size"] == 4
    assert told["step"]["batch"]["asked"] == 4
    assert recorded_choice(told) == StepChoice(
        PLAIN, 1, "plain", batch=BatchFit(4, 2, 9e9, 1000, 1.0)
    )
    words = recorded_choice(told).batch.words()
    assert "batches of 2 images instead of 4" in words
    assert "--keep-batch-size" in words

    exact = tmp_path / "exact"
    runner.run(exact, batch_size=2)
    losses = [[row["total_loss"] for row in rows(f, "cells")] for f in (folder, only(exact))]
    assert losses[0] == losses[1]
