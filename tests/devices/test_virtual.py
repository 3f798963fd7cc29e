"""Containers are told by the signs that each runtime leaves, machines by theirs."""

import pytest

from devices.container import Recipe, recipe
from devices.virtual import find_runtime, find_virtualisation

CPU = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme\n"


def mount(inside, place, kind, options="rw"):
    return f"501 480 0:60 {inside} {place} rw,relatime - {kind} none {options}\n"


def layers(folder):
    return mount("/", "/", "overlay", f"rw,lowerdir={folder}/1/fs,upperdir={folder}/2/fs")


def write(root, files):
    for name, text in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CONTAINERS = {
    "docker's file": ("docker", {".dockerenv": ""}),
    "docker, version 1": ("docker", {"proc/1/cgroup": "4:cpu:/docker/0123abcd\n"}),
    "docker without its file": ("docker", {
        "proc/1/cgroup": "0::/\n", "proc/self/mountinfo": layers("/var/lib/docker/overlay2")}),
    "docker on another disk": ("docker", {"proc/self/mountinfo": layers("/ssd/overlay2")}),
    "docker on btrfs": ("docker", {"proc/self/mountinfo":
        mount("/@/docker/containers/0a/hostname", "/etc/hostname", "btrfs")}),
    "docker's group in a namespace": ("docker", {"proc/self/mountinfo":
        mount("/docker/0a", "/sys/fs/cgroup/memory", "cgroup", "rw,memory")}),
    "podman": ("podman", {"run/.containerenv": 'engine="podman-4.9"\n'}),
    "podman, by its layers": ("podman", {"proc/self/mountinfo":
        layers("/home/u/.local/share/containers/storage/overlay")}),
    "pod": ("kubernetes", {"run/secrets/kubernetes.io/serviceaccount/": ""}),
    "pod of old images": ("kubernetes", {"var/run/secrets/kubernetes.io/serviceaccount/": ""}),
    "pod without account": ("kubernetes", {"proc/1/environ": "A=b\0KUBERNETES_SERVICE_HOST=::1\0"}),
    "pod, version 1": ("kubernetes", {"proc/1/cgroup": "3:cpu:/kubepods/burstable/pod1/2\n"}),
    "pod, by a file": ("kubernetes", {"proc/self/mountinfo":
        mount("/var/lib/kubelet/pods/1/etc-hosts", "/etc/hosts", "ext4")}),
    "k3s": ("kubernetes", {"proc/self/mountinfo":
        layers("/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs")}),
    "containerd alone": ("docker", {"proc/self/mountinfo":
        layers("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots")}),
    "buildkit": ("docker", {"proc/self/mountinfo": layers("/var/lib/buildkit/runc-overlayfs")}),
    "lxc": ("lxc", {"run/systemd/container": "lxc\n", "proc/1/cgroup": "0::/init.scope\n"}),
    "lxc without systemd": ("lxc", {"proc/1/environ": "container=lxc\0TERM=linux\0"}),
    "lxd": ("lxc", {"dev/lxd/sock": ""}),
    "lxc, version 1": ("lxc", {"proc/1/cgroup": "9:memory:/lxc/box/init.scope\n"}),
    "nspawn": ("nspawn", {"run/systemd/container": "systemd-nspawn\n"}),
    "nspawn, newer": ("nspawn", {"run/host/container-manager": "systemd-nspawn\n"}),
    "apptainer": ("docker", {".singularity.d/": ""}),
    "own control groups": ("docker", {
        "proc/1/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.type": "domain\n"}),
    "layers and no kernel threads": ("docker", {
        "proc/1/cgroup": "0::/\n", "proc/self/mountinfo": layers("/data/x")}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(tmp_path, name):
    """Each runtime is seen without the files that others leave, and called by its name."""
    runtime, files = CONTAINERS[name]
    root = write(tmp_path, {"proc/cpuinfo": CPU, **files})
    kind, sign = find_virtualisation(root)
    assert kind == "container"
    assert sign
    assert find_runtime(root) == runtime
    assert recipe(root) == Recipe(runtime)


BARE = {
    "systemd": {"proc/1/cgroup": "0::/init.scope\n", "sys/fs/cgroup/cgroup.procs": "1\n"},
    "another init": {"proc/1/cgroup": "0::/\n", "proc/2/comm": "kthreadd\n"},
    "host of containers": {
        "proc/1/cgroup": "0::/init.scope\n",
        "proc/self/cgroup": "0::/system.slice/docker.service\n",
        "proc/self/mountinfo": mount("/", "/", "ext4") + mount(
            "/", "/var/lib/docker/overlay2/1/merged", "overlay", "rw,lowerdir=/var/lib/docker/x")
        + mount("/", "/sys/fs/cgroup", "cgroup2"),
    },
    "protected card of a Pi": {
        "proc/1/cgroup": "0::/init.scope\n",
        "proc/self/mountinfo": mount("/", "/", "overlay", "rw,lowerdir=/lower,upperdir=/upper/x"),
    },
    "router": {
        "proc/1/cgroup": "0::/\n", "proc/2/comm": "kthreadd\n",
        "proc/self/mountinfo": mount("/", "/", "overlay", "rw,lowerdir=/,upperdir=/overlay/upper"),
    },
    "cloud's bare machine": {
        "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
        "sys/class/dmi/id/product_name": "m7g.metal\n",
    },
    "a variable in somebody's shell": {"proc/self/environ": "container=mine\0"},
}  # fmt: skip


@pytest.mark.parametrize("name", BARE)
def test_bare_machines(tmp_path, name):
    """What a host of containers, a live system or another init shows is no container."""
    root = write(tmp_path, {"proc/cpuinfo": CPU, **BARE[name]})
    assert find_virtualisation(root) == ("", "")
    assert recipe(root) is None


MACHINES = {
    "WSL 2": {"proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n",
              "run/systemd/container": "wsl\n", "proc/1/cgroup": "0::/init.scope\n"},
    "Docker Desktop on Arm": {"proc/sys/kernel/osrelease": "6.6.31-linuxkit\n", ".dockerenv": ""},
    "QEMU on Arm": {"proc/device-tree/compatible": "linux,dummy-virt\0"},
    "cloud on Arm": {"sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
                     "sys/class/dmi/id/product_name": "m7g.large\n"},
    "Xen": {"sys/hypervisor/type": "xen\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_machines(tmp_path, name):
    """A virtual machine is one even where systemd calls it a container, or one runs inside it."""
    assert find_virtualisation(write(tmp_path, MACHINES[name]))[0] == "vm"
