"""Measure what work costs on this host: phases on one clock, meters, idle power, cost. No torch."""

from harness.measurement.session import Measurement, measured, phase

__all__ = ["Measurement", "measured", "phase"]
