"""Let a client learn from a teacher's logits beside its labels, as pFedClub and its controls do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.federated.prefixed import under
from harness.workloads.personalized.client import Batch, ClientSide, Loss, divergence, outputs
from harness.workloads.personalized.federation import Tensors, bytes_of
from harness.workloads.personalized.work import through
from models.personalized.assembly import BlockName, Chain
from models.personalized.families import FAMILIES

TEACHER = "teacher."
PATH = "path"
_NAMES = tuple(FAMILIES)


def path_of(parts: Sequence[BlockName]) -> Tensor:
    """Return the blocks of a chain as numbers: owner, family, index of each."""
    return torch.tensor([[p.owner, _NAMES.index(p.family), p.index] for p in parts])


def chain_of(path: Tensor, image: tuple[int, ...], classes: int) -> Chain:
    """Return the chain that `path_of` wrote.

    Raises:
        ValueError: if it names no blocks of known families.
    """
    rows = path.tolist()
    if not all(len(row) == 3 and 0 <= row[1] < len(_NAMES) for row in rows) or not rows:
        raise ValueError("a teacher of unknown blocks")
    parts = tuple(BlockName(owner, _NAMES[family], index) for owner, family, index in rows)
    if any(not 0 <= p.index < len(FAMILIES[p.family].blocks) + 2 for p in parts):
        raise ValueError("a teacher of unknown blocks")
    return Chain(parts, image, classes)


def teacher_logits(side: ClientSide) -> Tensor | None:
    """Return what the teacher that was sent says of the client's own images, once a round.

    None without a teacher. Images are not augmented, so its logits hold for all epochs.
    """
    if PATH not in side.sent:
        return None
    chain = chain_of(side.sent[PATH], side.club.shape, side.club.classes)
    images = side.images.train_images
    with side.observer.phase("distil"):
        teacher = chain.empty()
        teacher.load_state_dict(under(side.sent, TEACHER))
        logits = outputs(teacher, images)
        side.observer.work(through(chain, len(images)))
    return logits


def taught(teacher: Tensor, weight: float) -> Loss:
    """Return the loss of labels and of a teacher's logits of the same images (eq. 5)."""

    def loss(batch: Batch) -> Tensor:
        kl = divergence(batch.logits, teacher[batch.chosen])
        return batch.cross_entropy() + weight * kl

    return loss


def sent_teacher(own: Tensors) -> dict[str, Tensor]:
    """Return the teacher among a client's tensors of the state, if it has one."""
    return {
        name: tensor for name, tensor in own.items() if name.startswith(TEACHER) or name == PATH
    }


def teacher_bytes(sent: Tensors) -> int:
    """Return the bytes of a teacher's weights; which blocks it is of is a few numbers more."""
    return bytes_of({name: t for name, t in sent.items() if name.startswith(TEACHER)})
