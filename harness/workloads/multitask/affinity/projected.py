"""Foretell from projected gradients what training tasks together does to each of them.

Grad-TAG (Li, Sharma, Zhang, KDD 2024, 2409.06091): near the merged model a sample's output is
linear in the weights, so that training a set of tasks is a regression on its samples' gradients, of
which a random projection is enough. Here outputs are pictures, so that the loss ℓ of an image is
what is linear: ℓ + ⟨∇ℓ, Δ⟩. For each pair of tasks the step Δ is sought that brings their losses on
half of the batch nearest to 0, and looked at on the other half. Both halves change places.

The published code regresses on single outputs with labels, over a whole training set, and trains
sets of more than two. Here one batch is enough for one matrix, and pairs alone are asked for, as
everywhere in this package; the ridge, the mean squared length of the gradients, is ours too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.training.batches import Batch
from models.multitask.network import MultiTaskNet

SIZE = 256
"""Numbers that stand for a gradient."""


def projected(net: MultiTaskNet, batch: Batch, size: int = SIZE) -> Matrix:
    """Return Z on one batch: entry [j, i] is the share of j's loss that training i beside j saves.

    On the diagonal it is the share that training j alone saves. Every image passes by itself, with
    the network as it is tested, so that no statistic moves. A batch of one image says nothing: 0.
    """
    losses, gradients = image_gradients(net, batch, size)
    return pair_effects(losses, gradients)


def image_gradients(net: MultiTaskNet, batch: Batch, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return losses (tasks, images) and projected gradients (tasks, images, size) in float64."""
    images, targets = batch
    parameters = list(net.encoder.parameters())
    buckets, signs = _sketch(sum(p.numel() for p in parameters), size, net.device)
    losses = np.zeros((len(net.tasks), len(images)))
    gradients = np.zeros((*losses.shape, size))
    net.eval()
    try:
        for number in range(len(images)):
            features = net.encode(images[number : number + 1])
            for row, task in enumerate(net.tasks):
                shared = features.detach().requires_grad_()
                target = targets[task][number : number + 1]
                loss = net.loss(task, net.decode(task, shared), target)
                (at,) = torch.autograd.grad(loss, shared)
                found = torch.autograd.grad(
                    features, parameters, at, retain_graph=row + 1 < len(net.tasks)
                )
                flat = torch.cat([piece.reshape(-1) for piece in found])
                short = flat.new_zeros(size).index_add_(0, buckets, flat * signs)
                losses[row, number] = loss.item()
                gradients[row, number] = short.double().cpu().numpy()
    finally:
        net.train()
    return losses, gradients


def _sketch(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return bucket and sign of every number (Charikar et al., 2002): products stay on average."""
    generator = torch.Generator().manual_seed(0)
    buckets = torch.randint(0, size, (length,), generator=generator)
    signs = torch.randint(0, 2, (length,), generator=generator) * 2.0 - 1.0
    return buckets.to(device), signs.to(device)


def pair_effects(losses: np.ndarray, gradients: np.ndarray) -> Matrix:
    """Return Z from losses (tasks, images) and gradients (tasks, images, size)."""
    tasks, images = losses.shape
    means = losses.mean(axis=1)
    labelled = means > 0.0
    scale = np.where(labelled, means, 1.0)
    targets, slopes = losses / scale[:, None], gradients / scale[:, None, None]
    ridge = float((slopes**2).sum(axis=2).mean())
    result: Matrix = np.zeros((tasks, tasks))
    if images < 2 or ridge == 0.0:
        return result
    halves = [np.arange(images) % 2 == side for side in (0, 1)]
    for fit in halves:
        for j in np.flatnonzero(labelled).tolist():
            alone = _left(targets, slopes, [j], fit, ridge)
            result[j, j] += (targets[j, ~fit].mean() - alone) / 2.0
            for i in np.flatnonzero(labelled).tolist():
                if i != j:
                    result[j, i] += (alone - _left(targets, slopes, [j, i], fit, ridge)) / 2.0
    return result


def _left(
    targets: np.ndarray, slopes: np.ndarray, trained: list[int], fit: np.ndarray, ridge: float
) -> float:
    """Return the mean loss of the first task on images not fitted, after tasks are trained."""
    x = slopes[trained][:, fit].reshape(-1, slopes.shape[2])
    y = targets[trained][:, fit].reshape(-1)
    along = np.linalg.solve(x @ x.T + ridge * np.eye(len(y)), y)
    first = trained[0]
    return float((targets[first, ~fit] - slopes[first, ~fit] @ x.T @ along).mean())
