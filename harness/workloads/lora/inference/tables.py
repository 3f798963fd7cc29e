"""Describe the columns of answers.csv: what answering costs, by form of the model."""

from __future__ import annotations

from harness.core.schema import Column

FILE = "answers.csv"

ANSWERS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell of training whose adapters answer."),
    Column("method", "str", "", "Method that trained them."),
    Column("seed", "int", "", "Learning seed."),
    Column("form", "str", "", "base, worn (base and adapter, factor by factor), merged, onnx."),
    Column("rank", "int", "", "Rank of the worn adapter; empty for other forms."),
    Column("lost_share", "float", "", "Share of the update that an adapter of that rank lacks."),
    Column("threads", "int", "", "Processor threads."),
    Column("queries", "int", "", "Prompts answered in the window, one after another."),
    Column("tokens", "int", "tokens", "Tokens generated in the window."),
    Column("time_s", "float", "s", "Length of the window; the warm-up before is not in it."),
    Column(
        "tokens_per_s",
        "float",
        "tokens/s",
        "tokens by time_s. Every token reads its row anew: no key-value cache.",
    ),
    Column("latency_p50_s", "float", "s", "Median time to a whole answer."),
    Column("energy_j", "float", "J", "Joules measured in the window; empty without a meter."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j."),
    Column("energy_model_j", "float", "J", "Modelled joules of the window; no measurement."),
    Column("energy_per_token_j", "float", "J", "energy_j by tokens."),
    Column("energy_model_per_token_j", "float", "J", "energy_model_j by tokens."),
    Column("energy_meter", "str", "", "Meter that produced energy_j."),
    Column("energy_reason", "str", "", "Why energy_j is empty."),
    Column("exact_match", "float", "", "Share of held-out answers of the clients that are right."),
    Column("model_bytes", "int", "B", "Bytes of what a device keeps to answer."),
    Column("status", "str", "", "done or left-out."),
    Column("reason", "str", "", "Why it is left out."),
)
