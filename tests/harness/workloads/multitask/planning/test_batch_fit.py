"""A batch that will not fit is made smaller before anything is trained, and only then."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from harness.core.errors import MemoryExceededError
from harness.measurement.memory import memory_errors
from harness.running.target import resolve_target
from harness.workloads.multitask.planning.batch_fit import (
    BatchFit,
    fit_batch,
    fitted,
    free_bytes,
    tried,
)
from harness.workloads.multitask.planning.step_choice import StepChoice, recorded_choice
from models.execution import PLAIN
from models.multitask.registry import architecture
from tests.harness.run_folder.conftest import Runner, SilentScreen, manifest, only, rows
from tests.harness.running.test_gpu_memory import Allocator

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
        "harness.workloads.multitask.planning.training_setup.fit_batch",
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


def step_on(allocator: Allocator, fixed: int, image: int, held: list[int]):
    """Return a step that takes and frees memory of a GPU, growing with the batch."""

    def step(config, *_):
        held.append(config.batch_size)
        need = fixed + config.batch_size * image
        try:
            allocator.take(need)
        except RuntimeError as error:
            raise torch.cuda.OutOfMemoryError(str(error)) from None
        allocator.free(need)

    return step


def gpu_target(target, *, shared: bool):
    kind = SimpleNamespace(kind="gpu", kind_here="gpu", is_gpu=True, shared_memory=shared)
    return replace(target, accelerator=kind)


@pytest.fixture
def on_gpu(runner, tmp_path, monkeypatch):
    """Fit a batch of 32 on a GPU whose steps take 100 MB and 25 MB an image; return both."""

    def fit(gpu_free: int, host_free: int = 64_000 * MB, *, shared=False, surplus=0, **changes):
        config = runner.config(tmp_path, batch_size=32, **changes)
        allocator, steps = Allocator(80_000 * MB, gpu_free), []
        step = step_on(allocator, 100 * MB, 25 * MB, steps)

        def larger(config, *more):  # beyond a straight line, as a kernel's workspace is
            step(replace(config, batch_size=config.batch_size), *more)
            if config.batch_size > 8 and surplus:
                allocator.take(surplus)
                allocator.free(surplus)

        module = "harness.workloads.multitask.planning.batch_fit"
        monkeypatch.setattr(f"{module}._measured_steps", larger)
        monkeypatch.setattr(f"{module}.gpu_allocator", lambda _: allocator)
        monkeypatch.setattr(f"{module}.free_bytes", lambda *_: host_free)
        target = gpu_target(resolve_target(config), shared=shared)
        return fit_batch(config, target, architecture("small"), PLAIN), steps

    return fit


def test_on_a_gpu_its_own_memory_counts_and_the_hosts_does_not(on_gpu) -> None:
    """100 + 32 × 25 = 900 MB is nine tenths of 1000; a host with 10 MB free changes nothing."""
    found, steps = on_gpu(1000 * MB, host_free=10 * MB)
    assert (found.taken, found.memory, found.free_bytes) == (32, "gpu", 1000 * MB)
    assert found.need_bytes == pytest.approx(900 * MB)
    assert steps == [2, 3, 32]
    found, _ = on_gpu(999 * MB)
    assert (found.taken, found.burst) == (16, None)
    assert "would need 900 MB on the GPU, and 999 MB are free" in found.words()


def test_shared_memory_is_the_less_of_what_both_sides_have(on_gpu) -> None:
    """On a Jetson what the GPU takes the processor lacks: 500 MB there allow 8 images, 300 MB."""
    found, _ = on_gpu(8000 * MB, host_free=500 * MB, shared=True)
    assert (found.taken, found.memory, found.free_bytes) == (8, "shared", 500 * MB)
    assert "in what GPU and processor share" in found.words()
    found, _ = on_gpu(500 * MB, host_free=8000 * MB, shared=True)
    assert (found.taken, found.free_bytes) == (8, 500 * MB)


def test_a_batch_that_finds_no_memory_when_it_is_tried_is_halved_once_for_all(on_gpu) -> None:
    """The forecast says 32, but with a surplus of 950 MB only 8 find memory: tried from the top."""
    found, steps = on_gpu(1000 * MB, surplus=1950 * MB)
    assert (found.taken, found.burst) == (8, 16)
    assert steps == [2, 3, 32, 16, 8]
    assert found.words() == (
        "batches of 8 images instead of 32, for all methods: a step of 16 found no memory on the"
        " GPU. --keep-batch-size trains as asked"
    )
    told = {"step": StepChoice(PLAIN, 1, "plain", batch=found).as_dict()}
    assert recorded_choice(told).batch == found


def test_without_memory_for_the_smallest_batch_it_ends_in_words(on_gpu) -> None:
    with pytest.raises(MemoryExceededError, match="Lower --batch-size"), memory_errors():
        on_gpu(1 * MB)


def test_a_kept_batch_is_not_tried(on_gpu) -> None:
    found, steps = on_gpu(1 * MB, keep_batch_size=True)
    assert (found.taken, steps) == (32, [])


def test_another_error_of_a_tried_step_is_not_taken_for_memory() -> None:
    def step(_):
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="assert"):
        tried(BatchFit(32, 32), step, lambda: None)
