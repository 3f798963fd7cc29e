"""Name the units of what metrics.csv holds of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

UNITS: Mapping[str, str] = {
    "test_loss": "nat/token", "base_test_loss": "nat/token", "train_loss": "nat/token",
    "forgotten": "nat/token", "exact_match": "", "base_exact_match": "", "perplexity": "",
    "aggregation_error": "", "choice_accuracy": "", "rank": "", "update_rank": "",
    "trainable_parameters": "", "adapter_bytes": "B", "base_download_bytes": "B",
    "tokens_trained": "tokens", "tokens_padded": "tokens", "tokens_per_s": "tokens/s",
}  # fmt: skip
