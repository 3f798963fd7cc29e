"""A Lightning Trainer's callback measures what it does, also what breaks off."""

import pytest

pytest.importorskip("lightning")

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from harness.adapters.lightning import EnergyCallback

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_example_measures_epochs_evaluations_and_samples(example, table, capsys):
    folder = example("lightning_trainer.py")
    names = [row["phase"] for row in table(folder, "phases")]
    assert names.count("epoch") == 3
    assert names.count("fit") == 1
    fit = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("fit"))
    assert fit.split()[1:3] == ["1", "192.0"]  # three epochs of 64 samples


class Broken(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, number):
        raise KeyError("broken")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_an_error_ends_the_session_and_passes_on(tmp_path, table):
    energy = EnergyCallback(meter="none", out=tmp_path)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[energy],
    )  # fmt: skip
    with pytest.raises(KeyError):
        trainer.fit(Broken(), DataLoader(torch.zeros(4, 1)))
    assert energy.session.phases["fit"].entries == 1
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    (cell,) = table(folder, "cells")
    assert (cell["status"], cell["reason"]) == ("failed", "KeyError: 'broken'")
