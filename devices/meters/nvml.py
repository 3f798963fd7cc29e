"""Read the energy counters of NVIDIA GPUs, or their sampled power where there is no counter.

Uses the vendor's binding (package nvidia-ml-py, module pynvml), imported only when asked. Volta and
newer count millijoules since the driver was loaded; before that only power can be sampled. Jetson's
integrated GPU lets NVML start and then answers every power query with "Not Supported".
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from devices.errors import DeviceError
from devices.meters.base import (
    Availability,
    Clock,
    Kind,
    Meter,
    MeterInfo,
    Rail,
    RawSample,
    ReasonCode,
    Rejected,
    read_each,
)
from devices.meters.nvml_devices import (
    LEAST_W,
    PACKAGE,
    UNKNOWN_LIMIT_W,
    Gpu,
    check_module,
    choose_gpus,
    find_gpus,
    number,
    query,
)

UPDATE_S = 0.1
"""The counter moves in steps of 20 to 100 ms (alumet, plug-in nvml)."""

OVER_LIMIT = 2.0
"""Times its limit that a GPU cannot draw for as long as a reading stands for: boards of the
generation before averaging overshot theirs by half."""

AVERAGING_S = 1.0
STALE_AFTER_S = 2.0
"""A GPU that is on never draws 0 W."""

NO_PERMISSION = "Insufficient Permissions"
"""NVML's text for NVML_ERROR_NO_PERMISSION."""

DRIVER_FIX = "load the driver: sudo modprobe nvidia && nvidia-smi"


class NvmlMeter(Meter):
    """Read every GPU that CUDA_VISIBLE_DEVICES shows, at most ten times a second.

    Options: `gpu` (UUIDs or PCI bus ids joined by +, or `all`), `kind` (counter or sampled; by
    default a counter if every GPU has one).
    """

    name = "nvml"
    trial_fix = "nvidia-smi -q -d POWER shows what the driver reads"
    option_names = ("gpu", "kind")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        module: ModuleType | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        if self.options.get("kind", "counter") not in ("counter", "sampled"):
            raise DeviceError(f"nvml: unknown kind {self.options['kind']!r}", "counter or sampled")
        self._module = module
        self._environment = os.environ if environment is None else environment
        self._nvml: ModuleType | None = None
        self._gpus: list[Gpu] = []
        self._rejected: tuple[Rejected, ...] = ()
        self._kind: Kind = "counter"

    def refusal(self) -> Availability | None:
        """Ask every GPU that counts for its energy and power; a started NVML proves nothing."""
        code: ReasonCode = "not-supported"
        try:
            nvml = self._load()
            code = "no-sensor"
            self._start(nvml)
        except DeviceError as error:
            return self.refuse(code, error.message, error.remedy)
        try:
            self._select(nvml)
        except DeviceError as error:
            denied = NO_PERMISSION in error.message
            return self.refuse(
                "permission" if denied else "not-supported", error.message, error.remedy
            )
        finally:
            self.close()
        return None

    def _load(self) -> ModuleType:
        """Get the binding; it speaks to this machine's driver, wherever `root` points."""
        if self._module is not None:
            return check_module(self._module)
        return check_module(PACKAGE.load(self.root))

    def _start(self, nvml: ModuleType) -> None:
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise DeviceError(f"NVML does not start: {error}", DRIVER_FIX) from error
        self._nvml = nvml

    def _select(self, nvml: ModuleType) -> None:
        """Choose the GPUs and the kind they have in common.

        Raises:
            DeviceError: There is no GPU, or one has neither counter nor power.
        """
        gpus, lost = find_gpus(nvml)
        if not gpus:
            raise DeviceError("NVML sees no GPU", DRIVER_FIX)
        self._gpus = choose_gpus(gpus, self.options.get("gpu", ""), self._environment)
        unwanted = "not chosen: neither CUDA_VISIBLE_DEVICES nor gpu= names it"
        others = [gpu for gpu in gpus if gpu not in self._gpus]
        self._rejected = (*(Rejected(gpu.bus_id, unwanted) for gpu in others), *lost)
        divided = [gpu for gpu in self._gpus if gpu.split and not self.options.get("gpu")]
        if divided:
            raise DeviceError(
                f"{divided[0].model} ({divided[0].bus_id}) is divided by MIG: the power of its"
                " parts is not told apart",
                f"nvml:gpu={divided[0].uuid} measures all of it, whoever uses the other parts",
            )
        wanted = self.options.get("kind")
        silent = [gpu for gpu in self._gpus if not gpu.has_counter]
        if wanted == "counter" and silent:
            raise DeviceError(f"{silent[0].model} has no energy counter", "use kind=sampled")
        if wanted != "sampled" and not silent:
            self._kind = "counter"
            return
        self._kind = "sampled"
        for gpu in self._gpus:
            if not gpu.has_power:
                raise DeviceError(
                    f"{gpu.model} ({gpu.bus_id}) tells neither energy nor power: {gpu.refusal}",
                    "on a Jetson use meter ina3221; otherwise a plug",
                )

    def open(self) -> None:
        """Start NVML and choose the GPUs.

        Raises:
            DeviceError: As `probe` says.
        """
        self.close()
        try:
            nvml = self._load()
            self._start(nvml)
            self._select(nvml)
        except DeviceError as error:
            self.close()
            raise DeviceError(f"meter nvml: {error.message}", error.remedy) from error

    def read(self) -> list[RawSample]:
        """Read every GPU once; one that does not answer gives no value."""
        return read_each(self.clock, self._gpus, self._read_value)

    def _read_value(self, gpu: Gpu) -> float | None:
        """Return joules or watts; NVML speaks in thousandths of both."""
        nvml = self._nvml
        if nvml is None:
            return None
        if self._kind == "counter":
            answer, _ = query(nvml, "nvmlDeviceGetTotalEnergyConsumption", gpu.handle)
        else:
            answer, _ = query(nvml, "nvmlDeviceGetPowerUsage", gpu.handle)
        thousandths = number(answer)
        # Asked too often, some drivers answer 0 W, which no GPU that is on draws.
        if thousandths is None or (self._kind == "sampled" and thousandths == 0.0):
            return None
        return thousandths * 1e-3

    def close(self) -> None:
        """Stop NVML."""
        if self._nvml is not None:
            # Stopped twice or by a lost driver, NVML complains; there is nothing left to release.
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._nvml = None
        self._gpus = []
        self._rejected = ()

    def describe(self) -> MeterInfo:
        """Describe one rail per GPU."""
        if not self._gpus:
            raise DeviceError("meter nvml is not open")
        averages = self._kind == "sampled" and any(gpu.averages for gpu in self._gpus)
        return MeterInfo(
            meter=self.name,
            kind=self._kind,
            scope="gpu",
            rails=tuple(self._rail(gpu) for gpu in self._gpus),
            rejected=self._rejected,
            averaging_s=AVERAGING_S if averages else 0.0,
            max_rate_hz=10.0,
            notes=self._notes(),
            least_power_w=LEAST_W * len(self._gpus),
        )

    def _rail(self, gpu: Gpu) -> Rail:
        """Describe a GPU; the counter never wraps, so a smaller value is a reset."""
        limit_w = gpu.limit_w or UNKNOWN_LIMIT_W
        if self._kind == "sampled":
            most_w = OVER_LIMIT * limit_w
            return Rail(gpu.bus_id, resolution_w=1e-3, max_power_w=most_w, min_power_w=LEAST_W)
        return Rail(
            gpu.bus_id,
            resolution_j=limit_w * UPDATE_S,
            max_power_w=OVER_LIMIT * limit_w,
            stale_after_s=STALE_AFTER_S,
        )

    def _notes(self) -> tuple[str, ...]:
        notes = [f"{gpu.bus_id}: {gpu.model}, {gpu.uuid}" for gpu in self._gpus]
        notes.append("reading wakes an idle GPU")
        if self._kind == "counter":
            notes.append(
                f"the counter moves in steps of up to {UPDATE_S:g} s: a step is bounded by the "
                "power limit"
            )
        else:
            notes.append("sampled power is within 5 % at best and misses peaks between samples")
        for gpu in self._gpus:
            if gpu.split:
                notes.append(f"{gpu.bus_id}: divided by MIG, the figure is of the whole GPU")
            if gpu.limit_w is None:
                notes.append(f"{gpu.bus_id}: limit unknown, {UNKNOWN_LIMIT_W:g} W assumed")
        return tuple(notes)
