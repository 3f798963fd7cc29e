"""Make the rule of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.workloads.lora.averaging_rules import ByNorm, FactorAveraging, Frozen
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.exact_rules import Mended, Redistributing, Stacking
from harness.workloads.lora.other_rules import Alone, Pooled, Whole
from harness.workloads.lora.rules import AdapterFederation, FederatedRule

_RULES: Mapping[str, Callable[[AdapterFederation], FederatedRule]] = {
    "flora": Stacking, "fedit": FactorAveraging, "zeropad": FactorAveraging, "hetlora": ByNorm,
    "ffa-lora": Frozen, "flexlora": Redistributing, "fedex": Mended, "local": Alone,
    "central": Pooled,
}  # fmt: skip


def make_rule(method: str, federation: AdapterFederation, model: TunableModel) -> FederatedRule:
    """Return the rule of a method; `full` begins with the weights of the base."""
    if method == "full":
        weights = {n: p.detach().clone() for n, p in model.own_parameters().items()}
        return Whole(federation, weights)
    return _RULES[method](federation)
