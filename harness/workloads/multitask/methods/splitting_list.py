"""List the methods that train tasks in groups: parameters, cost, source."""

from __future__ import annotations

from harness.workloads.multitask.affinity.rule import MODES
from harness.workloads.multitask.methods.joining_list import CAUTION, SHARE
from harness.workloads.multitask.methods.measuring import MomentumParameter
from harness.workloads.multitask.methods.parameters import Method, Parameter
from harness.workloads.multitask.training.descent import OPTIMIZERS, SCHEDULES

SPLITS = Parameter(
    "splits", int, 2, "groups to split into", least=1, most="tasks", noun="splits"
)  # fmt: skip
MERGE_ROUNDS = Parameter(
    "merge_rounds", int, None, "merged rounds R0; 30 % of all rounds",
    least=1, most="rounds", noun="merged rounds", record="go_on",
)  # fmt: skip
MERGE_ROUNDS_OR_NONE = Parameter(
    "merge_rounds", int, None, "merged rounds R0, 0 for groups from scratch; 30 % of all rounds",
    least=0, most="rounds", noun="merged rounds",
)  # fmt: skip


def _measuring(
    most: str, rounds: str, default: int | None = None, mode: str = "exact"
) -> tuple[Parameter, ...]:
    """Return the parameters that say how affinity is measured."""
    return (
        Parameter(
            "sure", float, None,
            "measure ever more often, until this share of bootstrap samples gives one split",
            least=0.0, below=1.0, record="measuring",
        ),
        Parameter(
            "affinity_rounds", int, default, rounds,
            least=1, most=most, noun="affinity rounds", record="measuring",
        ),
        Parameter(
            "affinity", str, mode,
            "exact tries steps; linear: gradients; projected: fits; proximal: a step in parts",
            choices=MODES, record="measuring",
        ),
        Parameter(
            "affinity_every", int, None, "batches between look-aheads; as --look-ahead-every",
            least=1, record="measuring",
        ),
        MomentumParameter(
            "momentum", bool, False, "look ahead along the optimizer's momentum too",
            record="measuring",
        ),
    )  # fmt: skip


SPLITTING = (
    Method(
        "mas",
        "harness.workloads.multitask.methods.mas:mas",
        "merge all tasks, split them by affinity, go on with each group",
        "R0·(E + n·D)·(1 + o) + Σ over groups g of (R − R0)·(E + |g|·D); hierarchical:"
        " Σ over groups g of their rounds·(E + |g|·D), ·(1 + o) while more splits follow",
        "Zhuang et al., ICCV 2023",
        (
            SPLITS,
            MERGE_ROUNDS,
            Parameter("exact", bool, True, "exactly that many groups, not at most"),
            Parameter(
                "init", str, "encoder+decoders", "what a group takes from the merged model",
                choices=("encoder+decoders", "encoder", "scratch"), record="go_on",
            ),
            Parameter(
                "lr", str, "continue", "learning rate after the split",
                choices=("continue", "restart"), record="go_on",
            ),
            Parameter(
                "hierarchical", bool, False,
                "split in two, then the worst group again after as many rounds, till splits",
            ),
            *_measuring("merge_rounds", "rounds that measure affinity; all merged ones"),
        ),
        choice="harness.workloads.multitask.methods.mas:choice",
    ),
    Method(
        "mas-plus",
        "harness.workloads.multitask.methods.mas_plus:mas_plus",
        "mas with equal pull of all tasks, Nesterov steps, and only as many groups as pay",
        "R0·(E + n·D)·(1 + o) + Σ over groups g of (R − R0)·(E + |g|·D), often one group",
        "this project; docs/mas-plus.md has what each part brings",
        (
            Parameter(
                "splits", int, 3, "most groups, or with pays=no just as many",
                least=1, most="tasks", noun="splits", record="how_many",
            ),
            Parameter(
                "pays", bool, True, "as many groups as lower losses most for their cost",
                record="how_many",
            ),
            Parameter(
                "decoder_cost", float, 0.2, "cost of a decoder over that of the encoder",
                least=0.0, record="how_many",
            ),
            Parameter(
                "balance", bool, True, "scale gradients at the encoder to the largest",
                record="pull",
            ),
            Parameter(
                "detail", float, 1.0,
                "with balance, pull of tasks of fine structure (k, t, a) over the others'",
                least=0.0, record="pull", needs="balance",
            ),
            Parameter(
                "logs", bool, False, "with balance, descend log losses, as DB-MTL does",
                record="pull", needs="balance",
            ),
            Parameter(
                "effort", float, 1.0, "share of the run's rounds that is trained",
                least=0.01, highest=1.0,
            ),
            Parameter(
                "optimizer", str, "nesterov", "kind of momentum",
                choices=OPTIMIZERS, record="descent",
            ),
            Parameter(
                "schedule", str, "hold", "how the learning rate falls",
                choices=SCHEDULES, record="descent",
            ),
            Parameter(
                "factor", float, 1.0, "by what the run's learning rate is multiplied",
                least=1e-12, highest=1e4, record="descent",
            ),
            MERGE_ROUNDS,
            *_measuring("merge_rounds", "rounds that measure affinity", 2, "linear"),
        ),
        choice="harness.workloads.multitask.methods.mas_plus:choice",
    ),
    Method(
        "mas-together",
        "harness.workloads.multitask.methods.mas_together:mas_together",
        "as mas, but after the split encoders go on exchanging a step that none suffers from",
        "as mas; the exchange is the server's work",
        "this project; the exchange is that of Lu et al., CVPR 2024 (FedHCA²)",
        (
            SPLITS,
            CAUTION,
            SHARE,
            MERGE_ROUNDS,
            *_measuring("merge_rounds", "rounds that measure affinity; all merged ones"),
        ),
        choice="harness.workloads.multitask.methods.mas_together:choice",
    ),
    Method(
        "tag",
        "harness.workloads.multitask.methods.tag:tag",
        "merge to the end with affinity, then train overlapping groups from scratch",
        "R·(E + n·D)·(1 + o) + Σ over groups g of R·(E + |g|·D); a group of all tasks is free",
        "Fifty et al., NeurIPS 2021",
        (SPLITS, *_measuring("rounds", "rounds that measure affinity; all of them")),
        choice="harness.workloads.multitask.methods.tag:choice",
    ),
    Method(
        "hoa",
        "harness.workloads.multitask.methods.hoa:hoa",
        "train all singles and pairs, predict groups by validation loss, train the larger ones",
        "n·R·(E + D) + n(n − 1)/2·R·(E + 2·D) + Σ over groups g of 3 or more of R·(E + |g|·D)",
        "Standley et al., ICML 2020",
        (SPLITS,),
    ),
    Method(
        "random-split",
        "harness.workloads.multitask.methods.random_split:random_split",
        "as mas, but with a random partition and no affinity",
        "R0·(E + n·D) + Σ over groups g of (R − R0)·(E + |g|·D)",
        "no paper: the split that chance gives, drawn by the seed",
        (SPLITS, MERGE_ROUNDS_OR_NONE),
    ),
    Method(
        "best-split",
        "harness.workloads.multitask.methods.oracles:best_partition",
        "oracle: train every group, take the partition with the least validation loss",
        "R0·(E + n·D) + Σ over all groups g of any partition of (R − R0)·(E + |g|·D)",
        "Zhuang et al., ICCV 2023 (ablation); charged for all it trains",
        (SPLITS, MERGE_ROUNDS_OR_NONE),
    ),
    Method(
        "worst-split",
        "harness.workloads.multitask.methods.oracles:worst_partition",
        "oracle: train every group, take the partition with the greatest validation loss",
        "R0·(E + n·D) + Σ over all groups g of any partition of (R − R0)·(E + |g|·D)",
        "Zhuang et al., ICCV 2023 (ablation); charged for all it trains",
        (SPLITS, MERGE_ROUNDS_OR_NONE),
    ),
)  # fmt: skip
"""In the order in which they are listed."""
