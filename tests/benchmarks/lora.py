"""Fine-tuning beside what it cannot beat: a plain peft loop, and copying the adapters.

Processor seconds of one thread, in pairs one after the other, so that a busy machine slows both.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.workloads.lora.aggregation.adapters import LowRank, to_tensors
from harness.workloads.lora.aggregation.sums import Mean, Stack
from harness.workloads.lora.data.rows import Row, batches, collate
from harness.workloads.lora.rules import Fitting

PAIRS = 7
CLIENTS = 10
RANK = 16
SHAPES = {f"{i}.{n}": (m, 2048) for i in range(22) for n, m in (("q", 2048), ("v", 256))}
"""TinyLlama's q and v: 9 MB of adapter a client."""


def report() -> list[str]:
    """Return both tables."""
    torch.set_num_threads(1)
    lines = ["| adapters joined | over a copy (limit 3) |", "|---|---|"]
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in joining_ratios().items()]
    ratio, spread = training_ratio()
    head = "| local training | over a plain loop (limit 1.03) | pairs from, to |"
    row = f"| Llama-like, 2 layers of 256 | {ratio:.3f} | {spread} |"
    return [*lines, "", head, "|---|---|---|", row]


def joining_ratios() -> dict[str, float]:
    """Return the processor time of stacking and averaging over that of copying what they read."""
    random = torch.Generator().manual_seed(0)
    sent = [
        to_tensors(
            {name: LowRank(torch.randn(RANK, n, generator=random),
                           torch.randn(m, RANK, generator=random))
             for name, (m, n) in SHAPES.items()}
        )
        for _ in range(CLIENTS)
    ]  # fmt: skip
    into = {name: torch.empty_like(tensor) for name, tensor in sent[0].items()}

    def copy() -> None:
        for tensors in sent:
            for name, tensor in tensors.items():
                into[name].copy_(tensor)

    def stack() -> None:
        sums = Stack(SHAPES, CLIENTS * RANK, CLIENTS, 2.0, lambda s: Checkpoint(to_tensors(s)))
        for tensors in sent:
            sums.add(tensors, 1)
        sums.result()

    def mean() -> None:
        sums = Mean(into, CLIENTS, Checkpoint)
        for tensors in sent:
            sums.add(tensors, 1)
        sums.result()

    return {"stacked (FLoRA)": _ratio(stack, copy)[0], "averaged (FedIT)": _ratio(mean, copy)[0]}


def _ratio(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, str]:
    """Return the median ratio of pairs, in turn this and the other first."""
    found = []
    for pair in range(PAIRS + 1):
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        times = {id(action): _cpu_s(action) for action in (first, second)}
        found.append(times[id(ours)] / times[id(theirs)])
    kept = found[1:]  # the first pays for everything that happens once
    return median(kept), f"{min(kept):.3f} – {max(kept):.3f}"


def _cpu_s(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def training_ratio() -> tuple[float, str]:
    """Return the time of our local training over that of a plain loop on the same batches."""
    import peft  # noqa: PLC0415 - extra lm
    import transformers  # noqa: PLC0415

    from harness.workloads.lora.base.model_files import ModelFiles  # noqa: PLC0415
    from harness.workloads.lora.base.tokenizer import Tokenizer  # noqa: PLC0415
    from harness.workloads.lora.base.tunable_folder import TunableFolder  # noqa: PLC0415
    from harness.workloads.lora.training import LocalTraining, train_rows  # noqa: PLC0415

    warnings.simplefilter("ignore")
    rows = [Row(tuple(range(1, 40)), tuple(range(40, 64)), "") for _ in range(32)]

    def build() -> torch.nn.Module:
        torch.manual_seed(0)
        told = transformers.LlamaConfig(
            vocab_size=2048, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2,
        )  # fmt: skip
        return transformers.AutoModelForCausalLM.from_config(told)

    class Words:
        eos_token_id = pad_token_id = 0

        def __len__(self) -> int:
            return 2048

    with tempfile.TemporaryDirectory() as folder:
        words = Tokenizer(Words(), 2048, ModelFiles(Path(folder)))
        model = TunableFolder(build(), 2.0, ("q_proj", "v_proj"), words, dict)
    begun = {n: LowRank(torch.rand(8, i) / i, torch.zeros(o, 8)) for n, (o, i) in
             model.shapes.items()}  # fmt: skip
    training = LocalTraining(1e-3, epochs=1, batch_size=8)
    theirs = peft.get_peft_model(
        build(), peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    )

    def ours() -> None:
        model.fit(Fitting(worn=begun))
        train_rows(model, rows, 0, training, random_stream(0, "bench"), SilentObserver())

    return _ratio(ours, lambda: _plain(theirs, rows))


def _plain(model: torch.nn.Module, rows: Sequence[Row]) -> None:
    """Train as peft's own examples do: AdamW, one batch after another."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    model.train()
    for chosen in batches(rows, 8, random_stream(0, "bench")):
        batch = collate(chosen, 0)
        logits = model(input_ids=batch.inputs, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-100
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
