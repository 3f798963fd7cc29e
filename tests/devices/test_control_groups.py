"""Quotas and limits of every group above the process bind, in both versions and any nesting."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.control_groups import free_memory_bytes, quota_cores
from devices.host import detect, usable_cores
from tests.devices.test_virtual import mount, write

EIGHT = {"sys/devices/system/cpu/online": "0-7\n"}
V2 = "sys/fs/cgroup"
SCOPE = "/user.slice/user-1000.slice/session-2.scope"
POD = "/kubepods/burstable/pod1/c2"
MB = 1 << 20

CORES = {
    "no limit": (8, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}),
    "version 2": (2, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "200000 100000\n"}),
    "default period": (3, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "300000\n"}),
    "scope": (2, {"proc/self/cgroup": f"0::{SCOPE}\n", f"{V2}{SCOPE}/cpu.max": "200000 100000\n"}),
    "slice above a scope": (1, {
        "proc/self/cgroup": f"0::{SCOPE}\n", f"{V2}{SCOPE}/cpu.max": "400000 100000\n",
        f"{V2}/user.slice/user-1000.slice/cpu.max": "100000 100000\n",
        f"{V2}/user.slice/cpu.max": "max 100000\n"}),
    "a neighbour's limit": (8, {
        "proc/self/cgroup": "0::/user.slice\n", f"{V2}/user.slice/cpu.max": "max 100000\n",
        f"{V2}/system.slice/cpu.max": "100000 100000\n"}),
    "part of a core above whole ones": (2, {
        "proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "250000 100000\n"}),
    "less than a core": (1, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "50000 100000\n"}),
    "rounded by its runtime": (2, {
        "proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "199999 100000\n"}),
    "more than there is": (8, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "900000 100000\n"}),
    "version 1": (2, {
        "proc/self/cgroup": "4:cpu,cpuacct:/\n", f"{V2}/cpu/cpu.cfs_quota_us": "200000\n",
        f"{V2}/cpu/cpu.cfs_period_us": "100000\n"}),
    "version 1 without limit": (8, {
        "proc/self/cgroup": "4:cpu,cpuacct:/\n", f"{V2}/cpu/cpu.cfs_quota_us": "-1\n",
        f"{V2}/cpu/cpu.cfs_period_us": "100000\n"}),
    "version 1 under both names": (3, {
        "proc/self/cgroup": "4:cpu,cpuacct:/docker/1\n",
        f"{V2}/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
        f"{V2}/cpu,cpuacct/cpu.cfs_period_us": "50000\n"}),
    "version 1, nested": (1, {
        "proc/self/cgroup": f"11:memory:{POD}\n3:cpuacct,cpu:{POD}\n",
        f"{V2}/cpu{POD}/cpu.cfs_quota_us": "400000\n",
        f"{V2}/cpu{POD}/cpu.cfs_period_us": "100000\n",
        f"{V2}/cpu/kubepods/burstable/pod1/cpu.cfs_quota_us": "100000\n",
        f"{V2}/cpu/kubepods/burstable/pod1/cpu.cfs_period_us": "100000\n"}),
    "version 1, as the host names it": (2, {
        "proc/self/cgroup": f"3:cpu,cpuacct:{POD}\n",
        "proc/self/mountinfo": mount(POD, "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
        f"{V2}/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        f"{V2}/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}),
    "hybrid": (2, {
        "proc/self/cgroup": "4:cpu,cpuacct:/x\n0::/x\n", f"{V2}/unified/x/cgroup.procs": "1\n",
        f"{V2}/cpu/x/cpu.cfs_quota_us": "200000\n", f"{V2}/cpu/x/cpu.cfs_period_us": "100000\n"}),
    "mounted elsewhere": (2, {
        "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": mount("/", "/cg", "cgroup2"),
        "cg/a/cpu.max": "200000 100000\n"}),
    "mount that another covers": (1, {
        "proc/self/cgroup": "1:cpu:/\n0::/\n",
        "proc/self/mountinfo": mount("/", "/sys/fs/cgroup/unified", "cgroup2"),
        f"{V2}/cpu.max": "100000 100000\n"}),
    "outside of its namespace": (2, {
        "proc/self/cgroup": "0::/../../b\n", f"{V2}/cpu.max": "200000 100000\n"}),
    "cpuset, version 2": (2, {
        "proc/self/cgroup": "0::/\n", f"{V2}/cpuset.cpus.effective": "2,5\n"}),
    "cpuset, version 1": (3, {
        "proc/self/cgroup": "7:cpuset:/a\n", f"{V2}/cpuset/a/cpuset.cpus": "1-3\n"}),
    "affinity": (4, {"proc/self/status": "Name:\tx\nCpus_allowed_list:\t4-7\n"}),
    "nonsense": (8, {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "a b\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CORES)
def test_cores_of_a_tree(tmp_path, name):
    """Threads are the whole cores that the tightest of all groups pays for, at least one."""
    cores, files = CORES[name]
    root = write(tmp_path, {**EIGHT, **files})
    assert usable_cores(root) == cores
    assert detect(root, arch="x86_64").cores_usable == cores


MEMORY = {
    "no limit": (None, {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n"}),
    "version 2": (600, {
        "proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{1000 * MB}\n",
        f"{V2}/memory.current": f"{400 * MB}\n"}),
    "high": (100, {
        "proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{1000 * MB}\n",
        f"{V2}/memory.high": f"{500 * MB}\n", f"{V2}/memory.current": f"{400 * MB}\n"}),
    "idle cache is given back": (900, {
        "proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{1000 * MB}\n",
        f"{V2}/memory.current": f"{400 * MB}\n",
        f"{V2}/memory.stat": f"anon 5\nfile {350 * MB}\ninactive_file {300 * MB}\n"}),
    "slice above a scope": (50, {
        "proc/self/cgroup": f"0::{SCOPE}\n", f"{V2}{SCOPE}/memory.max": f"{1000 * MB}\n",
        f"{V2}{SCOPE}/memory.current": f"{10 * MB}\n",
        f"{V2}/user.slice/memory.max": f"{300 * MB}\n",
        f"{V2}/user.slice/memory.current": f"{250 * MB}\n"}),
    "version 1": (600, {
        "proc/self/cgroup": "9:memory:/docker/1\n",
        f"{V2}/memory/memory.limit_in_bytes": f"{1000 * MB}\n",
        f"{V2}/memory/memory.usage_in_bytes": f"{400 * MB}\n"}),
    "version 1 without limit": (None, {
        "proc/self/cgroup": "9:memory:/\n",
        f"{V2}/memory/memory.limit_in_bytes": "9223372036854771712\n",
        f"{V2}/memory/memory.usage_in_bytes": f"{400 * MB}\n"}),
    "version 1, a limit above that is not mounted": (300, {
        "proc/self/cgroup": "9:memory:/\n",
        f"{V2}/memory/memory.limit_in_bytes": "9223372036854771712\n",
        f"{V2}/memory/memory.usage_in_bytes": f"{400 * MB}\n",
        f"{V2}/memory/memory.stat":
            f"hierarchical_memory_limit {500 * MB}\ntotal_inactive_file {200 * MB}\n"}),
    "used up": (0, {
        "proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{100 * MB}\n",
        f"{V2}/memory.current": f"{101 * MB}\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMORY)
def test_free_memory_of_a_tree(tmp_path, name):
    """What is left is the least that any group leaves; idle file cache counts as left."""
    left, files = MEMORY[name]
    assert free_memory_bytes(write(tmp_path, files)) == (None if left is None else left * MB)


@given(st.lists(st.one_of(st.none(), st.integers(1, 2000)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_tightest_of_a_chain(tmp_path_factory, hundredths):
    """Of groups one in another, each with a quota or none, the smallest quota counts."""
    root = tmp_path_factory.mktemp("chain")
    path, files = "", {}
    for depth, share in enumerate(hundredths):
        path += f"/g{depth}"
        files[f"{V2}{path}/cpu.max"] = "max 100000" if share is None else f"{share * 1000} 100000"
    write(root, {**files, "proc/self/cgroup": f"0::{path}\n"})
    known = [share / 100 for share in hundredths if share is not None]
    assert quota_cores(root) == (pytest.approx(min(known)) if known else None)


@given(st.binary(max_size=60), st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_any_content_is_survived(tmp_path_factory, groups, limit):
    """Whatever the files hold, there is at least one core and no negative memory."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-groups"
    files = {"proc/self/cgroup": b"0::" + groups, f"{V2}/cpu.max": limit,
             f"{V2}/memory.max": limit, "proc/self/mountinfo": groups}  # fmt: skip
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert usable_cores(root) >= 1
    assert (free_memory_bytes(root) or 0) >= 0
