"""Train a small job and print the SHA-256 of its weights; run by a test in fresh processes."""

import hashlib
import importlib.util
from pathlib import Path

from harness.federated.observer import SilentObserver
from harness.workloads.multitask.federation import Federation, LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.training.client import LocalTraining
from models.multitask.registry import architecture

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[3] / "conftest.py")
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
settings = Federation(2, 0.05, 2, LocalTraining(1, 2))
source = tiny.TinySource()
outcome = LocalEngine(source, architecture("small"), settings, 0, SilentObserver()).run(
    Job("sdn", 2, measure_affinity=True)
)
digest = hashlib.sha256()
for name, tensor in sorted(outcome.weights.tensors.items()):
    digest.update(name.encode() + tensor.numpy().tobytes())
digest.update(outcome.affinity.mean.tobytes())
print(digest.hexdigest())
