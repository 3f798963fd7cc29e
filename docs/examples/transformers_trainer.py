"""Train a tiny language model with Hugging Face's Trainer and measure it: the lines marked <-.

python docs/examples/transformers_trainer.py [METER]
"""

import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from harness.adapters.transformers import EnergyCallback  # <-

METER = sys.argv[1] if sys.argv[1:] else "auto"


def main() -> None:
    """Learn to count."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=16, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    )
    rows = [torch.arange(n, n + 8) % 16 for n in range(64)]
    data = [{"input_ids": row, "labels": row} for row in rows]
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir="model", num_train_epochs=2, per_device_train_batch_size=8,
            eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True,
            disable_tqdm=True, logging_strategy="no",
        ),
        train_dataset=data,
        eval_dataset=data[:16],
        callbacks=[EnergyCallback(meter=METER, out="results")],  # <-
    )  # fmt: skip
    trainer.train()
    last = trainer.state.log_history[-1]
    print({name: value for name, value in last.items() if "_j" in name})


if __name__ == "__main__":
    main()
