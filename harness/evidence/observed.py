"""List the columns that nothing can be recomputed of: what was measured, counted or decided.

Every other column of every file is recomputed, or compared with what else the run says of it, by
`python -m harness.check`; a changed one is named even where checksums were made to fit. What stands
here is under the checksums of a finished run alone, and under their signature in a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping

CONDITIONS_SEEN = ("flags", "peak_memory_bytes")

OBSERVED: Mapping[str, frozenset[str]] = {
    "cells.csv": frozenset((
        *CONDITIONS_SEEN, "peak_gpu_memory_bytes", "status", "reason", "interruptions",
        "cpu_utilisation",
        "gpu_utilisation", "network_received_bytes", "network_sent_bytes", "energy_per_sample_j",
    )),
    "metrics.csv": frozenset(("round", "job", "task", "phase", "metric", "value")),
    "phases.csv": frozenset(("job", "round", "client", "start_s", "end_s", "cpu_s", "flags")),
    "work.csv": frozenset(("job",)),
    "components.csv": frozenset(("component", "meter", "rail", "role", "reason", "job", "phase")),
    "devices.csv": frozenset((
        "peak_memory_bytes", "peak_gpu_memory_bytes", "temperature_c", "fate",
    )),
    "traces/<cell>.csv.gz": frozenset(("t_s", "rail")),
    "conditions/<cell>.csv": frozenset(("t_s", "temperature_c", "flags", "gpu_temperature_c")),
    "affinity/<cell>_rounds.csv": frozenset(),
    "affinity/<cell>_clients.csv": frozenset(("client",)),
    "affinity/<cell>_check.csv": frozenset(),
    "inference.csv": frozenset((
        *CONDITIONS_SEEN, "runtime", "precision", "provider", "scenario", "threads", "queries",
        *(f"latency_p{p}_s" for p in (50, 90)), "peak_memory_models_bytes",
        "energy_meter", "energy_scope", "energy_kind", "status", "reason", "models",
    )),
    "inference/metrics.csv": frozenset((
        "job", "task", "runtime", "precision", "provider", "metric", "value", "unit",
    )),
}  # fmt: skip
"""File → columns that were observed."""
