"""List the methods that weigh tasks while one model learns them all: parameters, cost, source.

Defaults are those of the papers' own code, or of LibMTL where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.workloads.multitask.methods.parameters import ANY, Method, Parameter, Value
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.methods.weights import WeightsParameter
from models.multitask.weighting import AT

_WHERE = "harness.workloads.multitask.methods.weighing:"
_PLAIN = "R·(E + n·D)"
_APART = "R·(E·(1 + 2·n)/3 + n·D); at=features R·(E + n·D)"
_AT = Parameter(
    "at", str, AT[0], "gradients of all encoder weights, or cheap ones at its output", choices=AT
)
_TRAVELS = Parameter(
    "travels", bool, True, "what it remembers goes with the model, not from round to round"
)


@dataclass(frozen=True)
class SmoothingParameter(Parameter):
    """Describe the smoothing of gradients, which needs those of the parameters."""

    def problem(
        self, value: Value, values: Mapping[str, Value], setting: Setting, where: str
    ) -> UsageError | None:
        """Return that gradients at the features, of other images every step, have no mean."""
        if value and values.get("at") == "features":
            return UsageError(
                f"{where}: gradients at the features are of other images in every step, so that"
                " their mean says nothing",
                "Give beta=0, or at=parameters.",
            )
        return super().problem(value, values, setting, where)


@dataclass(frozen=True)
class TriesParameter(Parameter):
    """Describe how many weights are tried, of which there is one kind for a single task."""

    def problem(
        self, value: Value, values: Mapping[str, Value], setting: Setting, where: str
    ) -> UsageError | None:
        """Return that a single task has no weights to tune."""
        if len(setting.tasks) == 1:
            return UsageError(
                f"{where}: a single task has no weights to tune", "Give --tasks two or more."
            )
        return super().problem(value, values, setting, where)


def _gram(name: str, meaning: str, source: str, *more: Parameter) -> Method:
    schedule = name.replace("-", "_")
    return Method(
        name, _WHERE + schedule, f"all-in-one with {meaning}", _APART, source, (_AT, *more)
    )


ALL_IN_ONE = Method(
    "all-in-one",
    _WHERE + "fixed",
    "one job for all tasks, merged to the end",
    _PLAIN,
    "Zhuang et al., ICCV 2023",
    (WeightsParameter("weights", str, None, "weights of task losses, scaled to sum to n; else 1"),),
    clients=ANY,
)

WEIGHING: tuple[Method, ...] = (
    Method(
        "gradnorm",
        "harness.workloads.multitask.methods.gradnorm:gradnorm",
        "all-in-one with task weights that even out training rates, per client and round",
        _PLAIN,
        "Chen et al., ICML 2018",
        (
            Parameter("alpha", float, 1.5, "how strongly slow tasks are favoured", least=0.0),
            Parameter(
                "step", float, 0.025, "share of itself by which a weight moves per batch",
                least=0.0, below=1.0,
            ),
        ),
    ),
    Method(
        "pcgrad",
        "harness.workloads.multitask.methods.pcgrad:pcgrad",
        "all-in-one with conflicting encoder gradients projected",
        "R·(E·(1 + 2·n)/3 + n·D)",
        "Yu et al., NeurIPS 2020",
    ),
    Method(
        "tuned-weights",
        _WHERE + "tuned",
        "all-in-one with the fixed weights of least validation loss, charged for all it tries",
        "tries·R·(E + n·D)",
        "random search: Bergstra and Bengio, JMLR 2012; what specialised rules have to beat:"
        " arXiv 2505.10347",
        (
            TriesParameter(
                "tries", int, 6, "weights that are tried, equal ones first", least=1, highest=1000
            ),
            Parameter("span", float, 4.0, "weights are drawn between 1/span and span", least=1.0,
                      highest=1e6),
        ),
    ),
    Method(
        "uncertainty",
        _WHERE + "uncertainty",
        "all-in-one with a learnt variance for every task's loss",
        _PLAIN + "; n numbers travel too",
        "Kendall et al., CVPR 2018",
        (Parameter("rate", float, 0.025, "rate of the logarithms of variances", least=0.0),),
    ),
    Method(
        "famo",
        _WHERE + "famo",
        "all-in-one with weights that let all losses fall at one pace",
        "R·(E + n·D)·4/3; again=no R·(E + n·D); 3·n + 1 numbers travel too",
        "Liu et al., NeurIPS 2023",
        (
            Parameter("rate", float, 0.025, "rate of Adam for the logits", least=0.0),
            Parameter("decay", float, 0.01, "decay of the logits", least=0.0),
            Parameter("most_norm", float, 1.0, "most norm at the encoder; 0 cuts none", least=0.0),
            Parameter("again", bool, True, "losses after a step from its batch, not from the next"),
            _TRAVELS,
        ),
    ),
    Method(
        "db-mtl",
        _WHERE + "db_mtl",
        "all-in-one with log losses and smoothed gradients of one length",
        _APART + "; n encoders' gradients travel too",
        "Lin et al., 2023 (arXiv 2308.12029)",
        (
            _AT,
            SmoothingParameter(
                "beta", float, None, "share of the mean gradient; 0.9, at the features 0",
                least=0.0, below=1.0,
            ),
            Parameter("sigma", float, 0.0, "beta falls as 1/step to this power", least=0.0),
            Parameter("logs", bool, True, "train on the logarithms of losses"),
            _TRAVELS,
        ),
    ),
    _gram(
        "cagrad", "steps that improve the worst task most, near the mean gradient",
        "Liu et al., NeurIPS 2021",
        Parameter("c", float, 0.4, "how far from the mean, of its length", least=0.0, below=1.0),
    ),
    _gram(
        "aligned-mtl", "principal components of the gradients made equally long",
        "Senushkin et al., CVPR 2023",
    ),
    _gram(
        "nash-mtl", "the Nash bargaining solution of its tasks", "Navon et al., ICML 2022",
        Parameter("most_norm", float, 1.0, "most norm at the encoder; 0 cuts none", least=0.0),
    ),
    _gram(
        "fairgrad", "steps that are alpha-fair to its tasks", "Ban and Ji, ICML 2024",
        Parameter("alpha", float, 1.0, "fairness, above 0: 1 proportional, more is closer to equal",
                  least=0.05, below=20.0),
    ),
    _gram("imtl-g", "steps that project alike on all gradients", "Liu et al., ICLR 2021"),
    _gram(
        "mgda", "the shortest convex combination of gradients",
        "Désidéri, 2012; Sener and Koltun, NeurIPS 2018",
    ),
)  # fmt: skip
