"""Read and check `manifest.json`, the facts that every number of a run depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_object
from harness.core.schema import version_problem
from harness.evidence.yardstick import Yardstick, yardstick
from harness.workloads.registry import DEFAULT

REQUIRED = ("run_id", "quick", "command", "created", "device", "host", "data", "config")


@dataclass(frozen=True)
class Manifest:
    """Hold the manifest as read, with the facts the reports need as typed properties."""

    raw: Mapping[str, object]

    @property
    def run_id(self) -> str:
        """Return the name the run gave itself."""
        return str(self.raw["run_id"])

    @property
    def workload(self) -> str:
        """Return what was trained; runs before schema 4 knew one workload."""
        return str(self.raw.get("workload", DEFAULT))

    @property
    def yardstick(self) -> Yardstick:
        """Return what methods are judged by, and which of them the others are compared with."""
        return yardstick(self.raw)

    @property
    def quick(self) -> bool:
        """Tell whether the run is a quick one, which no publication may use."""
        return self.raw["quick"] is True

    @property
    def command(self) -> str:
        """Return the command line that made the run."""
        return str(self.raw["command"])

    @property
    def created(self) -> str:
        """Return the wall-clock time at which the run began, as written."""
        return str(self.raw["created"])

    @property
    def device_name(self) -> str:
        """Return the short name of the device the run answers for."""
        return self.text("device", "name")

    @property
    def device_title(self) -> str:
        """Return the device's name for people; the short name if it has none."""
        return self.text("device", "title") or self.device_name

    @property
    def accelerator(self) -> str:
        """Return which of the device's accelerators it is, cpu or gpu; empty in older runs."""
        return self.text("device", "accelerator")

    @property
    def host_description(self) -> str:
        """Return what the training host is, in words."""
        return self.text("host", "description") or "another host"

    @property
    def host_matches_device(self) -> bool:
        """Tell whether the host that trained is the named device."""
        return self.section("host").get("matches_device") is True

    @property
    def data_checksum(self) -> str:
        """Return the checksum of the data set, or an empty string."""
        return self.text("data", "checksum")

    @property
    def meter(self) -> Mapping[str, object] | None:
        """Return the meter's facts, or None if nothing measured energy."""
        return self.section("meter") or None

    @property
    def meter_reason(self) -> str:
        """Return why there is no meter, in words."""
        value = self.raw.get("meter_reason")
        return "" if value is None else str(value)

    @property
    def energy_model(self) -> Mapping[str, object] | None:
        """Return the facts of the power model, or None if the profile has none."""
        return self.section("energy_model") or None

    @property
    def model_interval(self) -> str:
        """Return how far off figures of a modelled device may be; empty if the run does not say."""
        return self.text("time_model", "interval")

    def section(self, name: str) -> Mapping[str, object]:
        """Return one object of the manifest, empty if it is absent or null."""
        value = self.raw.get(name)
        return value if isinstance(value, dict) else {}

    def text(self, section: str, key: str) -> str:
        """Return one value of a section as text, empty if it is absent or null."""
        value = self.section(section).get(key)
        return "" if value is None else str(value)

    def merge_rounds(self, method: str) -> int | None:
        """Return after how many rounds a method split the merged model, or None if it never did."""
        merge = self.section("merge").get(method)
        rounds = merge.get("merge_rounds") if isinstance(merge, dict) else None
        return rounds if isinstance(rounds, int) and not isinstance(rounds, bool) else None


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a run folder.

    Raises:
        DamagedRunError: if it is absent, is not JSON, lacks a fact, or is of another version.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise DamagedRunError(f"{path}: missing", "Give the folder of a finished or stopped run.")
    raw = read_object(path)
    _check_version(path, raw.get("schema_version"))
    missing = [key for key in REQUIRED if key not in raw]
    if missing:
        raise DamagedRunError(
            f"{path}: lacks {', '.join(missing)}", "Restore the file from a copy of the run."
        )
    return Manifest(raw)


def _check_version(path: Path, version: object) -> None:
    problem = version_problem(version)
    if problem is not None:
        raise DamagedRunError(f"{path}: {problem[0]}", problem[1])
