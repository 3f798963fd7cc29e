"""Turn jobs into plain values for JSON."""

from __future__ import annotations

from typing import Any

from harness.workloads.lora.job import FineTuning


class LoraCodec:
    """Keep jobs; implements `harness.workloads.base.Codec`."""

    @staticmethod
    def job(job: FineTuning) -> dict[str, Any]:
        """Return what makes a job the job it is."""
        return {
            "name": job.name,
            "first_round": job.first_round,
            "last_round": job.last_round,
            "method": job.method,
            "learning_rate": job.learning_rate,
            "parameters": dict(job.parameters),
        }

    @staticmethod
    def measured(found: Any) -> Any:  # noqa: ANN401
        """Return it: clients measure nothing beside."""
        return found

    @staticmethod
    def read_measured(plain: Any) -> Any:  # noqa: ANN401
        """Return it."""
        return plain
