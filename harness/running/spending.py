"""Say what a run has taken so far, for the limits that it was given."""

from __future__ import annotations

import math

from harness.running.cell import RunContext
from harness.running.limits import Spent


class SpentMeter:
    """Say what a run has taken since its start, by the meter if there is one, else by the model."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._modelled_j = 0.0
        self._segments = 0

    def spent(self) -> Spent:
        """Return joules of all phases so far, idling and tests included."""
        streams = self._context.session.streams(0.0)
        if streams is not None:
            totals = [s for s in streams.streams if s.rail.role == "total" and len(s)]
            return Spent(math.fsum(s.curve_j[-1] for s in totals), measured=True)
        fresh = self._context.session.log.segments[self._segments :]
        self._segments += len(fresh)
        figures = (self._context.accountant.figures(segment, None) for segment in fresh)
        self._modelled_j += math.fsum(f.energy_model_j for f in figures)
        return Spent(self._modelled_j, measured=False)
