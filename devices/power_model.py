"""Model energy from a profile's power figures. A modelled figure is never a measurement."""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import DeviceError
from devices.profile import Profile
from devices.profile_figures import Power


@dataclass(frozen=True)
class PowerModel:
    """Model a device's power as idle power plus a share that grows with processor use.

    Attributes:
        idle_w: Power of the idle device.
        full_load_w: Power with all cores busy.
        cores: Cores that make up full load.
        source: Where both figures come from.
    """

    idle_w: float
    full_load_w: float
    cores: int
    source: str

    @classmethod
    def of_gpu(cls, power: Power) -> PowerModel:
        """Take the figures of a board or computer whose GPU trains.

        One core is busy as long as the GPU is: it issues the work and waits for it.
        """
        source = f"idle: {power.idle_source}; full load: {power.full_load_source}"
        return cls(power.idle_w, power.full_load_w, 1, source)

    @classmethod
    def from_profile(cls, profile: Profile, cores: int | None = None) -> PowerModel:
        """Take the figures of a profile.

        Args:
            profile: Profile of the device.
            cores: Cores of the actual host where they differ from the profile's, as on x86.

        Raises:
            DeviceError: The number of cores is not positive.
        """
        count = profile.cores if cores is None else cores
        if count < 1:
            raise DeviceError(f"{count} cores cannot be loaded")
        power = profile.power
        source = f"idle: {power.idle_source}; full load: {power.full_load_source}"
        return cls(power.idle_w, power.full_load_w, count, source)

    def energy_on_host_j(self, time_s: float, cpu_s: float) -> float:
        """Return modelled joules of work that ran on the device itself.

        Args:
            time_s: Seconds that passed.
            cpu_s: Processor seconds used, summed over threads.
        """
        busy_cores_s = cpu_s / self.cores
        if (
            self.cores == 1
        ):  # where a GPU works, other cores may feed it: it is at full load at most
            busy_cores_s = min(busy_cores_s, time_s)
        return self.idle_w * time_s + (self.full_load_w - self.idle_w) * busy_cores_s

    def energy_elsewhere_j(self, time_model_s: float) -> float:
        """Return modelled joules of a device that would compute at full load for this long."""
        return self.full_load_w * time_model_s
