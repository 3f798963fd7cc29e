"""Write a tree of what was read on a host, from which the same questions can be answered elsewhere.

The tree has files under their own paths and, in `bin/`, scripts that repeat what programs said. The
patterns are a complete list: nothing else leaves the host, and serial numbers are cut out.
"""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from devices.programs import Answer, Programs

LARGEST_FILE_BYTES = 256 * 1024

PATTERNS = (
    ".dockerenv",
    ".flatpak-info",
    "etc/nv_tegra_release",
    "etc/nvpmodel.conf",
    "proc/1/cgroup",
    "proc/1/environ",
    "proc/2/comm",
    "proc/cpuinfo",
    "proc/device-tree/compatible",
    "proc/device-tree/model",
    "proc/driver/nvidia/version",
    "proc/meminfo",
    "proc/self/mountinfo",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/perf_event_paranoid",
    "proc/version",
    "run/.containerenv",
    "run/host/container-manager",
    "run/secrets/kubernetes.io/serviceaccount/namespace",
    "run/systemd/container",
    "sys/bus/event_source/devices/power/*",
    "sys/bus/event_source/devices/power/events/*",
    "sys/bus/i2c/drivers/ina*/*-*/hwmon/hwmon*/*",
    "sys/bus/i2c/drivers/ina*/*-*/iio:device*/*",
    "sys/bus/pci/devices/*/class",
    "sys/bus/pci/devices/*/vendor",
    "sys/class/devfreq/*/*_freq",
    "sys/class/dmi/id/bios_vendor",
    "sys/class/dmi/id/board_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/hwmon/hwmon*/*",
    "sys/class/power_supply/*/*",
    "sys/class/powercap/*/*",
    "sys/class/thermal/cooling_device*/cur_state",
    "sys/class/thermal/cooling_device*/type",
    "sys/class/thermal/thermal_zone*/temp",
    "sys/class/thermal/thermal_zone*/type",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/devices/soc0/machine",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_*",
    "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*",
    "sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/present",
    "sys/fs/cgroup/cgroup.type",
    "sys/hypervisor/type",
    "var/lib/nvpmodel/status",
)
"""What is taken along, as patterns under the root."""

QUESTIONS = (
    ("vcgencmd", "pmic_read_adc"),
    ("vcgencmd", "measure_temp"),
    ("tegrastats", "--interval", "1000"),
)
"""What is asked besides what was asked already: programs that meters read by themselves."""


def dump_tree(root: Path, folder: Path, programs: Programs) -> int:
    """Write the tree of a host into a folder and return the number of files.

    A file that exists but may not be read becomes one that may not be read there either.

    Raises:
        OSError: The folder cannot be written.
    """
    count = 0
    for path in _files(root):
        count += _copy(path, folder / path.relative_to(root))
    for question in QUESTIONS:
        programs.ask(*question)
    for name, text in _scripts(programs.answers).items():
        script = folder / "bin" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
        count += 1
    return count


def _files(root: Path) -> Iterator[Path]:
    for pattern in PATTERNS:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                yield path


def _copy(source: Path, target: Path) -> int:
    """Copy one small file; return 1 if something was written."""
    forbidden = False
    content = b""
    try:
        with source.open("rb") as stream:
            content = stream.read(LARGEST_FILE_BYTES)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            return 0  # a sensor that is off, or an attribute that can only be written
        forbidden = True
    target.parent.mkdir(parents=True, exist_ok=True)
    private = _PRIVATE.get(source.name, _without_serial_numbers)
    target.write_bytes(private(content))
    if forbidden:
        target.chmod(0o000)
    return 1


def _without_serial_numbers(content: bytes) -> bytes:
    """Blank out the serial numbers of /proc/cpuinfo and of power supplies."""
    pattern = rb"(?m)^((?:POWER_SUPPLY_)?SERIAL(?:_NUMBER)?\s*[:=]\s*).*$"
    return re.sub(pattern, rb"\1removed", content, flags=re.IGNORECASE)


def _container_variables(content: bytes) -> bytes:
    """Keep of an environment only the variables that say what runs the container."""
    kept = [v for v in content.split(b"\0") if v.startswith(b"container=")]
    if b"\0KUBERNETES_SERVICE_HOST=" in b"\0" + content:
        kept.append(b"KUBERNETES_SERVICE_HOST=removed")
    return b"".join(variable + b"\0" for variable in kept)


def _system_mounts(content: bytes) -> bytes:
    """Keep the mounts that show a container; without users' names, servers and their addresses."""
    kept = []
    for line in content.splitlines(keepends=True):
        fields, dash, rest = line.partition(b" - ")
        kind = rest.partition(b" ")[0]
        options = rest.rstrip(b"\n").rpartition(b" ")[2]
        place = (fields.split() + [b""] * 5)[4]
        if place in _SHOWN_MOUNTS or place.startswith((b"/sys/", b"/proc/")):
            told = options if kind.startswith((b"overlay", b"cgroup", b"aufs")) else b"rw"
            kept.append(fields + dash + kind + b" none " + told + b"\n")
    return re.sub(rb"/home/[^/ ,:]+", b"/home/user", b"".join(kept))


_SHOWN_MOUNTS = (b"/", b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf")
_PRIVATE = {"environ": _container_variables, "mountinfo": _system_mounts}


def _scripts(answers: Mapping[tuple[str, ...], Answer]) -> dict[str, str]:
    """Return a shell script for every program, which answers as it did."""
    cases: dict[str, list[str]] = {}
    for (name, *arguments), answer in answers.items():
        cases.setdefault(name, []).append(_case(arguments, answer))
    return {
        name: "#!/bin/sh\n" + 'case "$*" in\n' + "".join(parts) + "esac\nexit 1\n"
        for name, parts in cases.items()
    }


def _case(arguments: list[str], answer: Answer) -> str:
    """Return one branch; a program that went on and on does so again, whatever it is asked."""
    text = answer.text
    if answer.status is None:  # it was stopped, maybe in the middle of a line
        text = text[: text.rfind("\n") + 1]
    say = f"printf %s {shlex.quote(text)}"
    if answer.status is None:
        return f"*) while {say}; do sleep 1; done ;;\n"
    if answer.errors:
        say += f"; printf %s {shlex.quote(answer.errors)} >&2"
    return f"{shlex.quote(' '.join(arguments))}) {say}; exit {answer.status} ;;\n"
