"""A run takes the cores and memory that its container or slice leaves it, on any tree."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from devices.profile import find_profile
from harness.core.errors import HarnessError
from harness.running.target import resolve_target
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.planning.batch_fit import free_bytes

TREE = {
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\n",
    "proc/meminfo": "MemTotal: 64000000 kB\nMemAvailable: 60000000 kB\n",
    "sys/devices/system/cpu/online": "0-15\n",
    "proc/self/cgroup": "5:cpu,cpuacct:/a/b\n6:memory:/a/b\n",
    "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "350000\n",
    "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "2000000000\n",
    "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": "500000000\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_threads_and_batch_follow_the_control_groups(root):
    """Three and a half of sixteen cores are three threads; what memory is left is the group's."""
    target = resolve_target(make_multitask_config({"meter": "none", "accelerator": "cpu"}), root)
    assert (target.profile.name, target.cores, target.threads) == ("x86", 3, 3)
    assert free_bytes(target, root) == 1_500_000_000


def test_more_threads_than_the_quota_are_refused_with_its_name(root):
    """Who asks for four is told what pays for three and a half."""
    config = make_multitask_config({"meter": "none", "accelerator": "cpu", "threads": 4})
    with pytest.raises(HarnessError) as caught:
        resolve_target(config, root)
    assert "there are 3 cores" in caught.value.message
    assert "3.5 cores" in caught.value.remedy


def test_another_device_is_kept_within_the_quota_too(root):
    """A Nano of four cores, played where three can be used, trains with three."""
    target = resolve_target(make_multitask_config({"meter": "none", "device": "jetson-nano"}), root)
    assert (target.matches, target.threads) == (False, 3)
    nano = SimpleNamespace(matches=False, profile=find_profile("jetson-nano"))
    assert free_bytes(nano, root) == 1_500_000_000


@pytest.mark.parametrize(
    ("typed", "runs"),
    [
        ("jetson-orin-nano:gpu,jetson-orin-nano:cpu", ("orin-nano:gpu", "orin-nano:cpu")),
        ("jetson-orin-nano:gpu,cpu", ("orin-nano:gpu", "orin-nano:cpu")),
        ("raspberry-pi-5, jetson-orin-nano", ("raspberry-pi-5", "orin-nano")),
    ],
)
def test_several_devices_by_comma_are_told_what_to_type(root, typed, runs):
    with pytest.raises(HarnessError, match="a run answers for one device") as caught:
        resolve_target(make_multitask_config({"meter": "none", "device": typed}), root)
    typed_runs = caught.value.remedy.split("; ")
    assert len(typed_runs) == len(runs) + 1
    assert all(part.endswith(run) for part, run in zip(typed_runs, runs, strict=False))
    assert typed_runs[-1] == "python -m harness.compare RUN RUN"


CONFINED = """
import os, threading, types
from harness.running.target import confine
over = threading.Event()
threading.Thread(target=over.wait, daemon=True).start()  # as libraries have threads by then
profile = types.SimpleNamespace(memory_bytes=8 << 30)
confine(types.SimpleNamespace(matches=False, cores=1, profile=profile))
print([len(os.sched_getaffinity(int(task))) for task in os.listdir("/proc/self/task")])
"""


def test_every_thread_is_kept_within_the_cores_of_another_device():
    """Those that were there before, too: torch has its own once steps were timed."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[1, 1]\n"
