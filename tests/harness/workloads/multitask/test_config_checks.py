"""Values that are possible one by one may be impossible together."""

import pytest

from harness.core.errors import HarnessError
from harness.workloads.multitask.config import make_multitask_config


def test_all_impossible_combinations_are_named_at_once() -> None:
    """More splits than tasks, R0 > R, K > N and a wrong letter come in one error, exit 2."""
    with pytest.raises(HarnessError) as raised:
        make_multitask_config(
            {
                "tasks": "sdx",
                "methods": ("mas:splits=4", "mas:merge_rounds=30"),
                "rounds": 5,
                "clients": 4,
                "clients_per_round": 5,
            }
        )

    text = str(raised.value)
    assert all(word in text for word in ("'x'", "4 splits", "30 merged rounds", "5 clients per"))
    assert raised.value.exit_status == 2
