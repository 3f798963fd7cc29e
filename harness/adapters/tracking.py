"""Mark what a trainer's callbacks say as phases, of an own session or of whatever measures."""

from __future__ import annotations

import atexit
from typing import Any

from harness.measurement.session import Measurement, Phase, is_measured, phase


class Tracker:
    """Hold the phases that a trainer's callbacks open and close.

    In a program that is measured already, by `harness.measure` or an open `Measurement`, the phases
    land there; otherwise a session of its own lasts from `open` to `close`.

    Attributes:
        session: The last own session; its figures are there after `close`. None without one.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of Measurement
        self._options = {"rate_hz": 10.0, **options}
        self._open: dict[str, Phase] = {}
        self._own: Measurement | None = None
        self.session: Measurement | None = None

    def open(self) -> None:
        """Start a session, if nothing measures yet.

        Raises:
            HarnessError: as `Measurement` does.
        """
        if self._own is None and not is_measured():
            self._own = Measurement(**self._options).__enter__()
            atexit.register(self.close, RuntimeError("the program ended within training"))

    def begin(self, name: str, **fields: Any) -> None:  # noqa: ANN401 - what phases.csv holds
        """Begin a phase, unless it has begun."""
        if name not in self._open:
            self._open[name] = (self._own.phase if self._own else phase)(name, **fields)
            self._open[name].__enter__()

    def worked(self, name: str, samples: float | None) -> None:
        """Add samples to a phase that is open."""
        found = self._open.get(name)
        if found is not None and samples is not None:
            found.samples = (found.samples or 0.0) + samples

    def end(self, name: str) -> None:
        """End a phase, if it has begun."""
        found = self._open.pop(name, None)
        if found is not None:
            found.__exit__(None, None, None)

    def close(self, error: BaseException | None = None) -> None:
        """End all that is open; `error` is what broke the training off."""
        for name in reversed(list(self._open)):
            self.end(name)
        own, self._own = self._own, None
        if own is not None:
            own.__exit__(type(error) if error else None, error, None)
            self.session = own

    def figures(self) -> dict[str, float]:
        """Return what the last own session took, for a logger; what is not known is left out."""
        if self.session is None:
            return {}
        found = {"time_s": self.session.total.time_s}
        for name, cost in {"total": self.session.total, **self.session.phases}.items():
            known = {
                "energy_j": cost.energy_j,
                "energy_error_j": cost.error_j,
                "energy_model_j": cost.model_j,
                "energy_per_sample_j": cost.energy_per_sample_j,
            }
            prefix = "" if name == "total" else f"{name}_"
            found |= {f"{prefix}{key}": value for key, value in known.items() if value is not None}
        return found
