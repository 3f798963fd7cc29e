"""What each method trains, sends and makes, by identities."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from harness.core.errors import UsageError
from harness.federated.observer import SilentObserver
from harness.federated.prefixed import under
from harness.federated.random_streams import random_stream
from harness.workloads.personalized.client import divergence
from harness.workloads.personalized.federation import bytes_of, of_client
from harness.workloads.personalized.job import ClubCodec, ClubJob
from harness.workloads.personalized.methods.fccl import correlation_loss
from harness.workloads.personalized.methods.registry import METHODS, parse
from harness.workloads.personalized.methods.rule import ServerSide
from harness.workloads.personalized.methods.teaching import chain_of, path_of
from harness.workloads.personalized.rounds import ClubFederation
from harness.workloads.personalized.server.tuning import nt_xent
from models.personalized.assembly import BlockName
from models.personalized.blocks import build


def models_of(outcome):
    return {n: t for n, t in outcome.weights.tensors.items() if ".model." in n and "client" in n}


def assert_alike(one, other):
    assert models_of(one).keys() == models_of(other).keys()
    for name, tensor in models_of(one).items():
        assert torch.equal(tensor, models_of(other)[name]), name
    assert one.accuracy == other.accuracy


SHORT = {
    "feddf": "feddf:steps=4", "fedmd": "fedmd:pretrain=1", "kd-public": "kd-public:pretrain=1",
    "pfedclub": "pfedclub:tune=1,candidates=2", "pfedhr": "pfedhr:tune=1",
}  # fmt: skip
"""Where the defaults take long."""


@pytest.mark.parametrize("method", [SHORT.get(name, name) for name in METHODS])
def test_every_method_trains_and_gives_the_same_bits_again(method, train, small) -> None:
    """Its state can be kept in a file after every round, though clients may have the same."""
    fed = small.federation(families=("tiny", "mobile", "dense", "tiny"))
    first, second = (train(method, federation=fed) for _ in range(2))
    assert safetensors.torch.save(dict(first.weights.tensors))
    assert_alike(first, second)
    assert set(first.accuracy) == {0, 1, 2, 3}
    for name, tensor in first.weights.tensors.items():
        assert torch.isfinite(tensor.double()).all(), name
        assert torch.equal(tensor, second.weights.tensors[name]), name
    rounds = [first.weights.tensors[f"client.{c}.rounds"].item() for c in range(4)]
    assert rounds == [2, 2, 2, 2]
    assert [r.round for r in first.rounds] == [0, 1]


@pytest.mark.parametrize("method", ["smooth", "kd-public", "pfedclub", "pfedhr"])
def test_without_weight_a_teacher_changes_no_bit(method, train) -> None:
    more = {"kd-public": ",pretrain=1", "pfedclub": ",tune=1", "pfedhr": ",tune=1"}.get(method, "")
    assert_alike(train("local"), train(f"{method}:weight=0{more}"))


def test_a_pull_without_weight_changes_no_bit(train) -> None:
    assert_alike(train("local"), train("fedproto:weight=0"))


def test_a_teacher_that_is_the_pupil_teaches_nothing() -> None:
    logits = torch.randn(8, 10, requires_grad=True)
    found = divergence(logits, logits.detach())
    found.backward()
    assert float(found.detach()) == pytest.approx(0, abs=1e-6)
    assert logits.grad.abs().max() < 1e-6


def test_divergence_is_never_negative_and_that_of_its_formula() -> None:
    one, other = torch.randn(6, 4), torch.randn(6, 4)
    p, q = torch.softmax(other, 1), torch.softmax(one, 1)
    expected = float((p * (p.log() - q.log())).sum(1).mean())
    assert float(divergence(one, other)) == pytest.approx(expected, rel=1e-5)
    assert float(divergence(-50 * one, -50 * other)) >= 0


def test_what_travels_is_what_the_method_sends(train, small) -> None:
    """Two rounds of four clients, counted from shapes."""
    fed = small.federation()
    sizes = [bytes_of(under(models_of(train("local")), f"client.{c}.model.")) for c in range(4)]
    scores = len(fed.club) * fed.club.classes * 4
    classes = [len(set(c.train_labels.tolist())) for c in fed.club.clients]
    known = len({label for c in fed.club.clients for label in c.train_labels.tolist()})
    public = 4 * (len(fed.club) * 64 + len(fed.club))
    expected = {
        "local": (0, 0), "smooth": (0, 0), "local+public": (0, public),
        "fedmd": (8 * scores, public + 4 * scores), "fccl": (8 * scores, public + 4 * scores),
        "fedproto": (2 * sum(classes) * 32 * 4, 4 * known * 32 * 4),
        "fedgh": (2 * sum(classes) * 33 * 4, 4 * 33 * fed.club.classes * 4),
        "feddf": (2 * sum(sizes), 2 * sum(sizes)), "pfedclub": (2 * sum(sizes), None),
    }  # fmt: skip
    for method, (up, down) in expected.items():
        outcome = train(SHORT.get(method, method))
        assert outcome.traffic.upload_bytes == up, method
        if down is not None:
            assert outcome.traffic.download_bytes == down, method
        by_client = [sizes for r in outcome.rounds for sizes in r.sent.values()]
        assert sum(d for d, _ in by_client) == outcome.traffic.download_bytes
        assert sum(u for _, u in by_client) == outcome.traffic.upload_bytes


def test_teachers_are_sent_when_a_client_is_next_drawn(train) -> None:
    """None in the first round; in the second the one that the first one's end made."""
    first, last = (train(SHORT["pfedclub"], rounds) for rounds in (1, 2))
    assert first.traffic.download_bytes == 0
    made = sum(bytes_of(under(first.weights.tensors, f"client.{c}.teacher.")) for c in range(4))
    assert last.traffic.download_bytes == made > 0


def test_average_of_one_family_is_the_weighted_mean(train, small) -> None:
    fed = small.federation()
    outcome = train("fedavg:family=tiny", rounds=1)
    weights = [len(c.train_labels) for c in fed.club.clients]
    for name, mean in under(outcome.weights.tensors, "shared.model.").items():
        parts = [outcome.weights.tensors[f"client.{c}.model.{name}"] for c in range(4)]
        expected = sum(w * p.double() for w, p in zip(weights, parts, strict=True)) / sum(weights)
        assert torch.allclose(mean.double(), expected, atol=1e-6)


def test_cuts_of_one_network_are_averaged_by_those_who_hold_an_entry(train) -> None:
    outcome = train("heterofl", rounds=1)
    whole = outcome.weights.tensors["shared.model.blocks.0.layer.weight"]
    held = [outcome.weights.tensors[f"client.{c}.model.blocks.0.layer.weight"] for c in range(4)]
    assert {h.shape[0] for h in held} == {8, 16}  # a quarter and a half of 32
    widest = [h for h in held if h.shape[0] == 16]
    assert torch.allclose(whole[8:16], torch.stack(widest).mean(0)[8:16], atol=1e-6)
    narrow = torch.stack([h[:8] for h in held]).mean(0)
    assert torch.allclose(whole[:8], narrow, atol=1e-6)
    assert whole.shape[0] == 32


def test_correlation_loss_is_that_of_its_formula() -> None:
    own, mean = torch.randn(20, 3), torch.randn(20, 3)
    z, m = ((x - x.mean(0)) / (x.std(0) + 1e-6) for x in (own, mean))
    expected = 0.0
    for u, v in itertools.product(range(3), repeat=2):
        c = float((z[:, u] * m[:, v]).sum()) / 20
        expected += (c - 1) ** 2 if u == v else 0.0051 * (c + 1) ** 2
    assert float(correlation_loss(own, mean)) == pytest.approx(expected, rel=1e-5)


def test_contrast_is_that_of_its_formula() -> None:
    """−log of the partner's share among all others, the mean of both sides."""
    logits = torch.randn(8, 5)
    rows = logits / logits.norm(dim=1, keepdim=True)
    total = 0.0
    for i in range(8):
        partner = (i + 4) % 8
        terms = {j: float(torch.exp(rows[i] @ rows[j] / 0.07)) for j in range(8) if j != i}
        total -= np.log(terms[partner] / sum(terms.values()))
    assert float(nt_xent(logits)) == pytest.approx(total / 8, rel=1e-4)


# teachers


@pytest.mark.parametrize("limit", [-0.5, 0.0, 0.1, 1.0])
def test_no_teacher_is_larger_than_its_limit(limit, train, small) -> None:
    """For every seed, client and round; where nothing fits there is none, and it is counted."""
    for seed in range(2):
        fed = small.federation(seed, families=("tiny", "small", "wide", "dense"))
        outcome = train(f"pfedclub:limit={limit},candidates=2,tune=0", 2, fed)
        records = [t for r in outcome.rounds for t in r.teachers]
        assert len(records) == 8
        for teacher in records:
            if teacher.teacher_parameters is None:
                assert teacher.reason
                continue
            assert teacher.teacher_parameters <= (1 + limit) * teacher.parameters
            state = under(outcome.weights.tensors, f"client.{teacher.client}.teacher.")
            last = {t.client: t for t in outcome.rounds[-1].teachers}[teacher.client]
            if teacher is last:
                size = sum(t.numel() for n, t in state.items()
                           if not n.endswith(("mean", "var", "tracked")))  # fmt: skip
                assert size == teacher.teacher_parameters


def test_a_client_for_whom_nothing_fits_trains_alone(train) -> None:
    outcome = train("pfedclub:limit=-0.999", 2)
    assert_alike(train("local"), outcome)
    assert {t.reason for r in outcome.rounds for t in r.teachers} == {
        "no candidate within the limit of size"
    }
    assert not any("teacher" in name for name in outcome.weights.tensors)


def test_an_old_teacher_goes_when_nothing_fits_any_more(small) -> None:
    """Never a larger one, and never one that was not asked for this time."""
    fed = small.federation()
    work = ClubFederation(fed, 1).open(_job("pfedclub:limit=-0.999"), 0, SilentObserver())
    state = dict(work.begin().tensors)
    state["client.1.path"] = path_of([BlockName(0, "tiny", 0)])
    state["client.1.teacher.blocks.0.layer.bias"] = torch.zeros(8)
    after = work.finished(dict(state), {1: {}, 2: {}})
    assert not any("teacher" in name or "path" in name for name in after.tensors)


def test_one_active_client_trains_alone(train, small) -> None:
    fed = small.federation(per_round=1)
    outcome = train("pfedclub", 3, fed)
    assert_alike(train("local", 3, fed), outcome)
    assert {t.reason for r in outcome.rounds for t in r.teachers} == {"no other client's blocks"}


def test_the_own_chain_wins_if_it_may_with_likeness_one(small, train) -> None:
    fed = small.federation(families=("tiny", "tiny"))
    outcome = train("pfedclub:own=yes,groups=1,candidates=200,tune=0", 4, fed)
    won = [t for r in outcome.rounds for t in r.teachers if t.own_won]
    assert won
    for teacher in won:
        assert teacher.alpha == pytest.approx(1.0, abs=1e-6)
        assert teacher.teacher_parameters == teacher.parameters
        assert teacher.stitch_parameters == 0


def test_averages_of_families_may_stand_for_their_clients(train) -> None:
    outcome = train("pfedclub:average=yes,tune=1")
    paths = [t.path for r in outcome.rounds for t in r.teachers if t.path]
    assert paths
    assert any("." in part and not part.startswith("c") for p in paths for part in p.split(">"))


def test_without_labels_stitches_are_tuned_too(train, small) -> None:
    fed = small.federation(labels=False)
    assert fed.club.public_labels is None
    outcome = train("pfedclub:labels=no,tune=1", 1, fed)
    assert any(t.alpha is not None for r in outcome.rounds for t in r.teachers)


def test_a_client_that_does_not_come_keeps_its_teacher_and_nothing_is_counted(train, small) -> None:
    """Two of four clients a round: who is not drawn gets and sends nothing, and loses nothing."""
    fed = small.federation(per_round=2)
    one, two = (train(SHORT["pfedclub"], rounds, fed) for rounds in (2, 3))
    away = sorted(set(range(4)) - set(fed.drawn(2)))
    for client in away:
        before, after = (
            {n: t for n, t in o.weights.tensors.items() if n.startswith(f"client.{client}.")}
            for o in (one, two)
        )
        assert before.keys() == after.keys()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
        assert client not in two.rounds[2].sent
    assert sorted(two.rounds[2].sent) == sorted(fed.drawn(2))


@pytest.mark.parametrize("where", ["weights", "features"])
def test_a_client_with_values_that_are_no_numbers_is_left_out_and_why(where, small) -> None:
    fed = small.federation()
    work = ClubFederation(fed, 1).open(_job("pfedclub"), 0, SilentObserver())
    state = dict(work.begin().tensors)
    name = "client.1.model.blocks.0.layer.weight"
    value = float("nan") if where == "weights" else 3e38
    state[name] = torch.full_like(state[name], value)
    side = ServerSide(fed, parse("pfedclub").rule(), state, (0, 1, 2, 3), {}, 0,
                      random_stream(0, "test"), SilentObserver())  # fmt: skip
    changed = side.rule.serve(side)
    assert list(side.left_out) == [1]
    assert "finite" in side.left_out[1]
    record = {t.client: t for t in side.teachers}[1]
    assert record.reason == side.left_out[1]
    assert not any(n.startswith("client.1.teacher") for n in changed)
    assert all("c1." not in t.path for t in side.teachers)


def test_measuring_and_tuning_leaves_clients_networks_as_they_are(small) -> None:
    """Batch norm's statistics too: the server looks at them in eval mode."""
    fed = small.federation()
    work = ClubFederation(fed, 1).open(_job("pfedclub"), 0, SilentObserver())
    state = dict(work.begin().tensors)
    before = {n: t.clone() for n, t in state.items()}
    side = ServerSide(fed, parse("pfedclub").rule(), state, (0, 1, 2, 3), {}, 0,
                      random_stream(0, "test"), SilentObserver())  # fmt: skip
    side.rule.serve(side)
    for name, tensor in before.items():
        assert torch.equal(tensor, state[name])


def test_a_path_of_unknown_blocks_is_refused() -> None:
    good = path_of([BlockName(3, "small", 1), BlockName(-1, "tiny", 3)])
    assert chain_of(good, (1, 8, 8), 10).text == "c3.2>tiny.4"
    for bad in ([[0, 99, 0]], [[0, 0, 17]], [[0, 0, -1]], [], [[0, 0]]):
        with pytest.raises(ValueError, match="unknown blocks"):
            chain_of(torch.tensor(bad), (1, 8, 8), 10)


def test_rounds_survive_the_journal_to_the_last_bit(train) -> None:
    for record in train(SHORT["pfedclub"]).rounds:
        plain = json.loads(json.dumps(ClubCodec.measured(record)))
        assert ClubCodec.read_measured(plain) == record


def test_networks_start_alike_for_every_method(small) -> None:
    fed = small.federation()
    starts = [ClubFederation(fed, 1).open(_job(m), 0, SilentObserver()).begin().tensors
              for m in ("local", "pfedclub", "fedproto")]  # fmt: skip
    for name, tensor in starts[0].items():
        assert all(torch.equal(tensor, other[name]) for other in starts[1:])
    net = build(fed.shapes("tiny"))
    net.load_state_dict(under(starts[0], of_client(0) + "model."))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pfedclub:groups=0", "1 or more"), ("pfedclub:limit=-1", "above -1"),
        ("pfedclub:weight=-0.1", "0 or more"), ("pfedclub:candidates=0", "1 or more"),
        ("pfedclub:groups=two", "whole number 1 or more"), ("pfedclub:limit=nan", "above -1"),
        ("pfedclub:labels=perhaps", "yes or no"), ("fedavg:family=smal", "small"),
        ("pfedclub:group=4", "groups"), ("pfedclb", "pfedclub"), ("pfedclub:groups", "no value"),
        ("pfedclub:groups=4,groups=5", "twice"), ("local:x=1", "x"), ("smooth:weight=inf", "0 or"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused_with_what_is_allowed(text, says) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert says in f"{caught.value.message} {caught.value.remedy}"


def _job(method):
    return ClubJob(method, 2)


def test_clients_whose_accuracy_says_nothing_are_in_no_mean_and_named(train, small) -> None:
    """One has no test images, another one class alone: both train, neither is counted."""
    fed = small.federation()
    club = fed.club
    without = replace(club.clients[0], test_images=club.clients[0].test_images[:0],
                      test_labels=club.clients[0].test_labels[:0])  # fmt: skip
    label = club.clients[1].train_labels[0]
    same = club.clients[1].train_labels == label
    alone = replace(club.clients[1], train_images=club.clients[1].train_images[same],
                    train_labels=club.clients[1].train_labels[same])  # fmt: skip
    changed = replace(club, clients=(without, alone, *club.clients[2:]))
    assert changed.counted == (2, 3)
    assert without.why_not_counted == "has no test images"
    assert alone.why_not_counted == "has one class alone"
    outcome = train(SHORT["pfedclub"], federation=replace(fed, club=changed))
    assert sorted(outcome.accuracy) == sorted(outcome.start_accuracy) == [2, 3]
    trained = [int(outcome.weights.tensors[f"client.{c}.rounds"]) for c in range(4)]
    assert trained == [2, 2, 2, 2]
