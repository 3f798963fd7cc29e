"""List the methods that join clients and their models otherwise: parameters, cost, source."""

from __future__ import annotations

from harness.workloads.multitask.methods.parameters import UNLIKE, Method, Parameter

ADAPTIVE = (
    Parameter("rate", float, 0.01, "the server's rate", least=1e-12),
    Parameter("first", float, 0.9, "decay of the mean change", least=0.0, below=1.0),
    Parameter("second", float, 0.99, "decay of its square", least=0.0, below=1.0),
    Parameter("floor", float, 1e-3, "added to the root of the square", least=1e-12),
)
CAUTION = Parameter(
    "caution", float, 0.4, "how far the common step may turn from the mean", least=0.0, below=1.0
)
SHARE = Parameter(
    "share", float, 0.1, "share of the common step to begin with; it is learnt",
    least=0.0, highest=1.0,
)  # fmt: skip
JOINING = (
    Method(
        "fedprox",
        "harness.workloads.multitask.methods.fedprox:fedprox",
        "all-in-one with clients held near the global model",
        "R·(E + n·D)",
        "Li et al., MLSys 2020",
        (Parameter("mu", float, 0.01, "weight of the proximal term", least=0.0),),
    ),
    Method(
        "fedavgm",
        "harness.workloads.multitask.methods.servers:fedavgm",
        "all-in-one with a server that keeps the momentum of the mean change",
        "R·(E + n·D)",
        "Hsu et al., 2019",
        (
            Parameter("rate", float, 1.0, "the server's rate", least=1e-12),
            Parameter("momentum", float, 0.9, "the server's momentum", least=0.0, below=1.0),
        ),
    ),
    Method(
        "fedadam",
        "harness.workloads.multitask.methods.servers:fedadam",
        "all-in-one with a server that steps as Adam does",
        "R·(E + n·D)",
        "Reddi et al., ICLR 2021",
        ADAPTIVE,
    ),
    Method(
        "fedyogi",
        "harness.workloads.multitask.methods.servers:fedyogi",
        "all-in-one with a server that steps as Yogi does",
        "R·(E + n·D)",
        "Reddi et al., ICLR 2021",
        ADAPTIVE,
    ),
    Method(
        "fednova",
        "harness.workloads.multitask.methods.servers:fednova",
        "all-in-one with changes averaged per step, for clients of unlike numbers of steps",
        "R·(E + n·D)",
        "Wang et al., NeurIPS 2020",
    ),
    Method(
        "scaffold",
        "harness.workloads.multitask.methods.servers:scaffold",
        "all-in-one with control variates, which travel too",
        "R·(E + n·D), three models down and two up",
        "Karimireddy et al., ICML 2020",
    ),
    Method(
        "standalone",
        "harness.workloads.multitask.methods.standalone:standalone",
        "no federation: every client alone, all tasks merged; mean over clients",
        "(N/K)·R·(E + n·D), nothing is sent",
        "Zhuang et al., ICCV 2023",
    ),
    Method(
        "apart",
        "harness.workloads.multitask.methods.unlike_clients:apart",
        "clients of the same tasks train one model, and nothing is exchanged between kinds",
        "Σ over kinds of clients g of R·(E + |g|·D)",
        "no paper: what every exchange between unlike clients has to beat",
        clients=UNLIKE,
    ),
    Method(
        "mat-fl",
        "harness.workloads.multitask.methods.unlike_clients:mat_fl",
        "as apart, with encoders mixed by how alike they have become",
        "as apart; the mixing is the server's work",
        "Cai et al., CVPR workshops 2023 (MaT-FL)",
        (Parameter("threshold", float, 0.0, "added to every cosine", least=-1.0),),
        UNLIKE,
    ),
    Method(
        "fedhca2",
        "harness.workloads.multitask.methods.unlike_clients:fedhca2",
        "as apart, with a step that none suffers from and attention among decoders",
        "as apart; the exchange is the server's work",
        "Lu et al., CVPR 2024 (FedHCA²)",
        (CAUTION, SHARE),
        UNLIKE,
    ),
)  # fmt: skip
"""In the order in which they are listed."""
