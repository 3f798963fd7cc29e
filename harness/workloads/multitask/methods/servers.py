"""All-in-one training with servers that do more than average."""

from __future__ import annotations

from harness.federated.server_rules import Adaptive, Additive, Momentum
from harness.workloads.multitask.methods.all_in_one import all_in_one
from harness.workloads.multitask.methods.schedule import Schedule, Setting
from harness.workloads.multitask.training.joining import Controlled, Normalised


def fedavgm(setting: Setting, *, rate: float, momentum: float) -> Schedule:
    """Let the server keep the momentum of the mean change."""
    return all_in_one(setting, joining=Momentum(rate, momentum))


def fedadam(
    setting: Setting, *, rate: float, first: float, second: float, floor: float
) -> Schedule:
    """Let the server step as Adam does, the mean change in place of a gradient."""
    return all_in_one(setting, joining=Adaptive(rate, first, second, floor))


def fedyogi(
    setting: Setting, *, rate: float, first: float, second: float, floor: float
) -> Schedule:
    """Let the server step as Yogi does, the mean change in place of a gradient."""
    return all_in_one(setting, joining=Additive(rate, first, second, floor))


def fednova(setting: Setting) -> Schedule:
    """Average what clients changed per step they took."""
    return all_in_one(setting, joining=Normalised())


def scaffold(setting: Setting) -> Schedule:
    """Correct every step by how the client's gradient differs from all clients'."""
    return all_in_one(setting, joining=Controlled())
