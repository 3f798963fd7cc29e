"""Control: the teacher is a network of the client's own family, trained on public labels alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.federated.prefixed import over, under
from harness.workloads.personalized.client import ClientSide
from harness.workloads.personalized.federation import ClubSetup, Tensors, of_client, state_of
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from harness.workloads.personalized.methods.teaching import (
    PATH,
    TEACHER,
    path_of,
    sent_teacher,
    taught,
    teacher_bytes,
    teacher_logits,
)
from harness.workloads.personalized.server.tuning import train_labelled
from models.personalized.assembly import BlockName


@dataclass(frozen=True)
class KdPublic(ClubRule):
    """Learn from a teacher that saw no client: made once, sent when a client is next drawn."""

    weight: float = 0.2
    pretrain: int = 15
    labels = True
    server_public = True

    def sent(self, federation: ClubSetup, state: Tensors, client: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the client's teacher, if it is made, and how often the client has trained."""
        own = under(state, of_client(client))
        return {"rounds": own["rounds"], **sent_teacher(own)}

    def sent_bytes(self, federation: ClubSetup, sent: Tensors, client: int) -> int:  # noqa: ARG002
        """Return the bytes of the teacher when it first travels: the client keeps it."""
        return teacher_bytes(sent) if int(sent["rounds"]) == 1 else 0

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train with the teacher's logits beside the labels."""
        teacher = teacher_logits(side) if self.weight else None
        if teacher is None:
            side.fit()
        else:
            side.fit(taught(teacher, self.weight))
        return {}

    def serve(self, side: ServerSide) -> dict[str, Tensor]:
        """Train a teacher for each family that has none."""
        changed: dict[str, Tensor] = {}
        made: dict[str, dict[str, Tensor]] = {}
        for client in side.active:
            own = of_client(client)
            if own + PATH in side.state:
                continue
            family = side.family(client)
            if family not in made:
                made[family] = self._teacher(side, client)
            changed |= over(own, made[family])
        return changed

    def _teacher(self, side: ServerSide, client: int) -> dict[str, Tensor]:
        fed, family = side.federation, side.family(client)
        net = fed.fresh(side.rule.shapes(fed, client), f"teacher {family}")
        with side.observer.phase("tune"):
            train_labelled(side, net, family, self.pretrain)
        blocks = len(net.blocks)
        path = path_of([BlockName(-1, family, index) for index in range(blocks)])
        return {**over(TEACHER, state_of(net)), PATH: path.to(torch.int64)}
