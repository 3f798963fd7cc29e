"""Generating stores: workers, resuming, interruption, full disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core.errors import DataError
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data import shard
from harness.workloads.multitask.data.catalogue import default_cache
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dataset import ensure_scenes, open_data
from harness.workloads.multitask.data.verify import MEMO
from tests.waiting import LIMIT_S, wait_for

ROOT = Path(__file__).parents[5]


def quiet(done, total):
    """Ignore progress."""


def contents(folder):
    """Every file of a store with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MEMO
    }


def test_two_workers_make_the_same_bytes_as_one(tmp_path, tiny_cache, tiny_config):
    """The number of processes leaves no trace in the store."""
    seen = []
    store = ensure_scenes(tiny_config, tmp_path, lambda *counts: seen.append(counts), workers=2)
    assert contents(store.path) == contents(tiny_cache / tiny_config.folder_name())
    assert seen == [(done, 28) for done in range(29)]
    assert [path.name for path in tmp_path.iterdir()] == [tiny_config.folder_name()]
    assert not multiprocessing.active_children()


def test_second_call_only_opens(tmp_path, tiny_cache, tiny_config):
    """A store in the cache is opened without any work."""
    seen = []
    store = ensure_scenes(tiny_config, tiny_cache, lambda *counts: seen.append(counts), workers=1)
    assert seen == []
    assert store.length("train", 0) == 4


class StopError(Exception):
    """Stands for anything that ends a generation early."""


def interrupted(config, cache, after):
    """Generate and stop after some images."""

    def progress(done, total):
        if done == after:
            raise StopError

    with pytest.raises(StopError):
        ensure_scenes(config, cache, progress, workers=1)
    return cache / f"{config.folder_name()}.partial"


def test_interrupted_generation_resumes(tmp_path, tiny_cache, tiny_config):
    """Finished shards are kept untouched, no half shard is left, the result is the same."""
    partial = interrupted(tiny_config, tmp_path, after=10)
    assert not (tmp_path / tiny_config.folder_name()).exists()
    finished = sorted(path.relative_to(partial).as_posix() for path in partial.glob("*/*"))
    assert finished == ["train/client_00", "train/client_01"]
    assert not list(partial.glob("tmp-*"))
    kept = (partial / "train/client_00/rgb.npy").stat().st_mtime_ns
    seen = []
    store = ensure_scenes(tiny_config, tmp_path, lambda *counts: seen.append(counts), workers=1)
    assert seen[0] == (8, 28)
    assert seen[-1] == (28, 28)
    assert (store.path / "train/client_00/rgb.npy").stat().st_mtime_ns == kept
    assert contents(store.path) == contents(tiny_cache / tiny_config.folder_name())


@pytest.mark.parametrize("damage", ["flip", "cut record", "lose record", "lose file", "staging"])
def test_resuming_makes_damaged_shards_anew(tmp_path, tiny_cache, tiny_config, damage):
    """What a crash may have left half-written is not trusted."""
    partial = interrupted(tiny_config, tmp_path, after=10)
    victim = partial / "train/client_01"
    if damage == "flip":
        content = bytearray((victim / "k.npy").read_bytes())
        content[-1] ^= 1
        (victim / "k.npy").write_bytes(content)
    elif damage == "cut record":
        (victim / "shard.json").write_text('{"files": {')
    elif damage == "lose record":
        (victim / "shard.json").unlink()
    elif damage == "lose file":
        (victim / "k.npy").unlink()
    else:
        victim.rename(partial / "tmp-train-client_01")
    seen = []
    store = ensure_scenes(tiny_config, tmp_path, lambda *counts: seen.append(counts), workers=1)
    assert seen[0] == (4, 28)
    assert contents(store.path) == contents(tiny_cache / tiny_config.folder_name())


@pytest.mark.parametrize(
    ("code", "cause"),
    [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only"), (errno.EACCES, "Permission")],
)
def test_write_errors_name_cause_and_remedy(monkeypatch, tmp_path, tiny_config, code, cause):
    """A disk that fails mid-way gives a DataError, leaves no half shard and can be resumed."""
    real = os.fsync
    written = []

    def failing(handle):
        written.append(handle)
        if len(written) > 15:
            raise OSError(code, os.strerror(code), "rgb.npy")
        real(handle)

    monkeypatch.setattr(shard.os, "fsync", failing)
    with pytest.raises(DataError, match=cause) as caught:
        ensure_scenes(tiny_config, tmp_path, quiet, workers=1)
    assert "choose" in caught.value.remedy.lower()
    assert not (tmp_path / tiny_config.folder_name()).exists()
    assert not list(tmp_path.glob("*/tmp-*"))
    monkeypatch.undo()
    assert ensure_scenes(tiny_config, tmp_path, quiet, workers=1).count("train") == 2


def test_too_small_a_disk_is_noticed_before_work(monkeypatch, tmp_path, tiny_config):
    """Needed and free megabytes are named before the first image is made."""
    usage = SimpleNamespace(total=1e9, used=1e9, free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DataError, match=r"needs 17 MB, the disk has 1 MB free"):
        ensure_scenes(tiny_config, tmp_path, pytest.fail, workers=1)


def test_cache_that_cannot_be_a_folder(tmp_path, tiny_config):
    """A cache below a plain file is refused with its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Not a directory"):
        ensure_scenes(tiny_config, tmp_path / "file" / "cache", quiet, workers=1)


def test_damaged_store_is_reported_not_replaced(tmp_path, copied_store, tiny_config):
    """A finished store that was damaged later is left for the user to look at."""
    (copied_store / "test/client_00/e.npy").unlink()
    config = MultitaskConfig(
        clients=2, images=8, unseen_buildings=1, unseen_images=4, size=16,
        cache=str(copied_store.parent),
    )  # fmt: skip
    assert config.scenes == tiny_config
    with pytest.raises(DataError, match=r"e\.npy is missing"):
        open_data(config, SimpleNamespace(making_data=quiet))
    assert copied_store.exists()


def test_store_of_other_data_under_this_name_is_refused(tmp_path, tiny_cache, tiny_config):
    """A renamed folder does not pass for what its name says."""
    other = ScenesConfig(seed=9, clients=2, images=8, unseen_buildings=1, unseen_images=4, size=16)
    shutil.copytree(tiny_cache / tiny_config.folder_name(), tmp_path / other.folder_name())
    with pytest.raises(DataError, match="'seed': 9"):
        ensure_scenes(other, tmp_path, quiet, workers=1)


def test_second_generator_waits_for_the_first(tmp_path, tiny_cache, tiny_config, capsys):
    """While one process generates, another says that it waits, writes nothing, and then opens."""
    name = tiny_config.folder_name()
    partial = tmp_path / f"{name}.partial"
    partial.mkdir()
    handle = os.open(tmp_path / f"{name}.partial.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)

    def finish() -> None:
        shutil.rmtree(partial)
        shutil.copytree(tiny_cache / name, tmp_path / name)
        os.close(handle)

    first = threading.Timer(0.3, finish)
    first.start()
    store = ensure_scenes(tiny_config, tmp_path, pytest.fail, workers=1)
    first.join()
    assert store.path == tmp_path / name
    assert "waiting for it" in capsys.readouterr().err


def test_store_finished_meanwhile_is_opened(monkeypatch, tmp_path, tiny_cache, tiny_config):
    """If the store appears while waiting for the lock it is used as it is."""
    name = tiny_config.folder_name()
    real = fcntl.flock

    def slow_lock(handle, operation):
        real(handle, operation)
        shutil.copytree(tiny_cache / name, tmp_path / name)

    monkeypatch.setattr(fcntl, "flock", slow_lock)
    store = ensure_scenes(tiny_config, tmp_path, pytest.fail, workers=1)
    assert store.path == tmp_path / name


def test_workers_must_be_positive(tmp_path, tiny_config):
    """No workers, no data."""
    with pytest.raises(DataError, match="workers = 0"):
        ensure_scenes(tiny_config, tmp_path, quiet, workers=0)


def test_killed_worker_is_noticed(tmp_path, tiny_config):
    """A worker that the kernel kills ends the generation with its exit code, not with a hang."""

    def kill_one(done, total):
        if done == 1:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(DataError, match="exit code -9") as caught:
        ensure_scenes(tiny_config, tmp_path, kill_one, workers=2)
    assert "fewer workers" in caught.value.remedy
    assert not multiprocessing.active_children()
    assert not (tmp_path / tiny_config.folder_name()).exists()


def test_errors_of_workers_arrive_whole(tmp_path, tiny_config):
    """A DataError raised in a worker reaches the caller with message and remedy."""
    blocked = tmp_path / f"{tiny_config.folder_name()}.partial"
    blocked.mkdir()
    (blocked / "train").write_text("in the way")
    with pytest.raises(DataError, match=r"File exists|Not a directory") as caught:
        ensure_scenes(tiny_config, tmp_path, quiet, workers=2)
    assert caught.value.remedy


def living(group):
    """Processes of a group that still run; dead ones nobody has collected do not count."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(status.parent.name)
    return found


def start_making(cache):
    """Begin to make more data than a test waits for, in a process group of its own."""
    options = ["--clients", "400", "--images", "8", "--size", "16", "--workers", "2"]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "harness.data",
            "make",
            "--cache",
            str(cache),
            *options,
        ],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's process table")
def test_ctrl_c_stops_all_workers_and_leaves_nothing_half_written(tmp_path):
    """After SIGINT to the process group only finished shards remain and no process lives on."""
    process = start_making(tmp_path)
    try:
        wait_for(lambda: any(tmp_path.glob("*/train/client_00/rgb.npy")), "no shard was made")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    (partial,) = tmp_path.glob("*.partial")
    assert partial.suffix == ".partial"
    shards = list(partial.glob("*/*"))
    assert shards
    assert all(len(list(path.iterdir())) == 10 for path in shards)
    assert not list(partial.glob("tmp-*"))
    wait_for(lambda: not living(process.pid), "a worker outlived its parent", 30.0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's process table")
def test_a_killed_generation_leaves_no_process_and_resumes(tmp_path):
    """After SIGKILL to the parent its workers end in silence; the next run goes on from there."""
    process = start_making(tmp_path)
    try:
        wait_for(lambda: any(tmp_path.glob("*/train/client_01/rgb.npy")), "no shard was made")
    finally:
        process.kill()
    _, errors = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in errors
    wait_for(lambda: not living(process.pid), "a worker outlived its parent", 30.0)
    (partial,) = tmp_path.glob("*.partial")  # the lock file stays where its holder was killed
    finished = {path.name for path in partial.glob("train/*")}
    config = ScenesConfig(clients=400, images=8, size=16)
    seen = []

    def stop(done, total):
        seen.append(done)
        raise StopError

    with pytest.raises(StopError):
        ensure_scenes(config, tmp_path, stop, workers=1)
    assert len(finished) * 4 == seen[0] > 0


def test_default_cache_follows_the_environment():
    """XDG_CACHE_HOME wins over the home folder."""
    assert default_cache({}, Path("/h")) == Path("/h/.cache/mas-edge-harness")
    assert default_cache({"XDG_CACHE_HOME": "/x"}, Path("/h")) == Path("/x/mas-edge-harness")
