"""Train a tiny regression with Lightning's Trainer and measure it: the lines marked <-.

python docs/examples/lightning_trainer.py [METER]
"""

import logging
import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from harness.adapters.lightning import EnergyCallback  # <-

METER = sys.argv[1] if sys.argv[1:] else "auto"


class Line(LightningModule):
    """Fit a line."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, number):
        """Return the squared error."""
        inputs, targets = batch
        return ((self.layer(inputs) - targets) ** 2).mean()

    def validation_step(self, batch, number):
        """Log the squared error."""
        self.log("error", self.training_step(batch, number))

    def configure_optimizers(self):
        """Return plain gradient descent."""
        return torch.optim.SGD(self.parameters(), 0.1)


def main() -> None:
    """Fit three epochs."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    data = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=8)
    energy = EnergyCallback(meter=METER, out="results")  # <-
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[energy],
    )  # fmt: skip
    trainer.fit(Line(), data, data)
    for name, cost in energy.session.phases.items():
        print(name, cost.entries, cost.samples, cost.energy_j, cost.error_j)


if __name__ == "__main__":
    main()
