"""Check that the cost computed from a method's jobs is what the engine does while it trains."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from harness.federated.observer import SilentObserver
from harness.records.work import Work
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.cost import (
    Calibration,
    JobCost,
    Load,
    job_cost,
    method_cost,
    part_bytes,
)
from harness.workloads.multitask.methods.parameters import UNLIKE
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.planning.plan import planned_jobs
from harness.workloads.multitask.protocol import PROTOCOLS, REPAIRED
from harness.workloads.multitask.rounds import Draw, epoch_batches
from harness.workloads.multitask.training.joining import AveragedMomentum

MOVING = AveragedMomentum()

METHODS = [
    *registry.METHODS, "mas:affinity=linear,affinity_every=1,affinity_rounds=1",
    "mas:hierarchical=yes,splits=3,merge_rounds=1", "mas-plus:pays=no,affinity=exact",
    "tag:momentum=yes,affinity_rounds=2", "mas-plus:affinity=projected", "db-mtl:at=features",
    "famo:again=no,travels=no", "cagrad:at=features", "mas:affinity=projected",
    "mas:affinity=proximal", "mas-plus:affinity=proximal",
]  # fmt: skip


class _Engine:
    """Train for real and keep the jobs, and the work of each phase they are charged for."""

    def __init__(self, source, architecture, federation, seed: int) -> None:
        self._engine = LocalEngine(source, architecture, federation, seed, self._Heard())
        self.heard = self._engine._observer
        self.outcomes: list[Outcome] = []

    class _Heard(SilentObserver):
        def __init__(self) -> None:
            self.by_phase: dict[str, Work] = {}
            self.visits: dict[str, int] = {}
            self._open: list[str] = []

        @contextmanager
        def phase(self, name, *, round_index=None, client=None):
            self._open.append(name)
            self.visits[name] = self.visits.get(name, 0) + 1
            yield
            self._open.pop()

        def work(self, done: Work) -> None:
            name = self._open[-1]
            self.by_phase[name] = self.by_phase.get(name, Work()) + done

    def run(self, job: Job) -> Outcome:
        self.outcomes.append(self._engine.run(job))
        return self.outcomes[-1]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("text", METHODS)
def test_cost_is_what_the_engine_reports(
    text: str, protocol: str, tiny_source, tiny_architecture, federation
) -> None:
    """Passes, look-aheads and bytes of every method are equal, to the last one, for clients of
    unequal size; a visit to phase affinity is a look-ahead, one to train a client's round.
    """
    rules = PROTOCOLS[protocol]
    training = replace(federation.training, protocol=rules)
    engine = _Engine(tiny_source, tiny_architecture, replace(federation, training=training), 3)
    unlike = text in registry.METHODS and registry.METHODS[text].clients == UNLIKE
    kinds = ("sd", "n") * 2 if unlike else ()
    setting = Setting("sdn", 3, clients=4, seed=3, protocol=rules, client_tasks=kinds)
    carry_out(registry.parse(text).schedule(setting), engine)
    load = Load(tiny_source.sizes["train"], Draw(4, 2, 3, rules), training.epochs,
                training.batch_size, training.look_ahead_every)  # fmt: skip
    # the first job with a whole model knows the bytes of every part
    whole = {t: o for o in engine.outcomes for t in o.job.tasks}
    sizes = {}
    for task, outcome in whole.items():
        sizes |= part_bytes(outcome.weights, task)

    cost = method_cost([outcome.job for outcome in engine.outcomes], load, sizes)

    trained = engine.heard.by_phase["train"]
    assert cost.training == trained
    assert cost.client_rounds == engine.heard.visits["train"]
    assert cost.rounds == sum(outcome.job.rounds for outcome in engine.outcomes)
    ahead = engine.heard.by_phase.get("affinity", Work())
    assert cost.looking_ahead.forwards == ahead.forwards
    assert cost.look_aheads == engine.heard.visits.get("affinity", 0)
    traffic = [outcome.traffic for outcome in engine.outcomes]
    up, down = (sum(getattr(t, f"{way}load_bytes") for t in traffic) for way in ("up", "down"))
    assert (cost.upload_bytes, cost.download_bytes) == (up, down)
    sent = sum(
        o.job.rounds * o.job.per_round(2) * o.weights.bytes
        for o in engine.outcomes
        if o.job.travels
    )
    assert (down >= 2.5 * sent) if text == "scaffold" else (down == sent)
    assert (sent == 0) == (text == "standalone")


@pytest.mark.parametrize(
    ("text", "encoder", "decoders"),
    [("independent", 5 * 10, 50), ("all-in-one", 10, 50), ("mas:splits=2,merge_rounds=3", 17, 50),
     ("mas:splits=5,merge_rounds=3", 3 + 5 * 7, 50), ("standalone", 2 * 10, 100),
     ("random-split:splits=3,merge_rounds=4", 4 + 3 * 6, 50),
     ("mas:hierarchical=yes,splits=3,merge_rounds=4", 4 + 2 * 3 + 3 * 3, 50)],
)  # fmt: skip
def test_cost_formulas_in_units_of_a_round(text: str, encoder: int, decoders: int) -> None:
    """With equal clients, K of N a round and one image a client: the formulas of `list methods`."""
    setting = Setting("sdnkt", 10, clients=8)
    load = Load((1,) * 8, Draw(8, 4, 0), 1, 2, 10)

    cost = method_cost(planned_jobs(registry.parse(text), setting), load)

    assert cost.training.passes("encoder") == 4 * encoder
    assert cost.training.passes("decoders") == 4 * decoders


def test_bytes_are_the_model_down_and_up_for_every_client_and_round() -> None:
    """3 rounds × 2 clients × (encoder + decoders) each way; a client alone sends nothing."""
    load = Load((4,) * 4, Draw(4, 2, 0), 1, 2, 10)
    sizes = {"encoder": 1000, "s": 10, "d": 1}

    assert job_cost(Job("sd", 3), load, sizes).upload_bytes == 3 * 2 * 1011
    assert job_cost(Job("d", 3), load, sizes).download_bytes == 3 * 2 * 1001
    assert job_cost(Job("sd", 3, clients=(2,)), load, sizes).upload_bytes == 0


def test_predicted_seconds_price_every_pass() -> None:
    """One merged step of 8 images, n = 2, and its exact look-ahead, E = 2 s and D = 1 s a forward:
    training 3·8·(2 + 2); look-ahead: encoder 2(n − 1) + n = 4 forwards, each decoder n = 2.
    """
    cost = job_cost(Job("sd", 1, measure_affinity=True), Load((8,), Draw(1, 1, 0), 1, 8, 10))

    assert Calibration({"encoder": 2.0, "s": 1.0, "d": 1.0}).time_s(cost.work) == 3 * 8 * 4 + 8 * (
        4 * 2 + 2 * 2 * 1
    )
    record = cost.record()
    assert record["look_aheads"] == 1
    assert record["look_ahead_encoder_forwards"] == 32
    assert record["look_ahead_decoder_forwards"] == 32
    assert record["encoder_passes"] == 8
    assert JobCost().record()["look_ahead_encoder_forwards"] == 0


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 8])
def test_batches_on_paper_are_those_that_are_read(images: int, rest: bool, make_source) -> None:
    """Sizes of an epoch's batches as computed and as clients see them."""
    import numpy as np  # noqa: PLC0415

    from harness.workloads.multitask.training.batches import ClientBatches  # noqa: PLC0415

    batches = ClientBatches(make_source((images,)), "train", 0, "d")
    seen = [len(x) for x, _ in batches.epoch(3, np.random.default_rng(0), rest=rest)]

    assert epoch_batches(images, 3, rest=rest) == seen


def test_paper_draws_the_clients_that_train() -> None:
    """A draw depends on seed, round and population as it does in the engine, and on no job."""
    draw = Draw(9, 4, 5, REPAIRED)

    assert draw.chosen(Job("sd", 9), 3) == draw.chosen(Job("n", 4, first_round=2), 3)
    assert set(draw.chosen(Job("s", 9, clients=(1, 7)), 0)) == {1, 7}


def test_bytes_of_velocities_are_foretold(tiny_source, tiny_architecture, federation) -> None:
    """Each client gets and sends a velocity of every parameter beside the model."""
    engine = _Engine(tiny_source, tiny_architecture, replace(federation, joining=MOVING), 3)
    outcome = engine.run(Job("sd", 2))
    load = Load(tiny_source.sizes["train"], Draw(4, 2, 3), 1, 2, 10, joining=MOVING)
    cost = job_cost(outcome.job, load, part_bytes(outcome.weights, "sd"))
    traffic = outcome.traffic
    assert (cost.upload_bytes, cost.download_bytes) == (
        traffic.upload_bytes, traffic.download_bytes,
    )  # fmt: skip
