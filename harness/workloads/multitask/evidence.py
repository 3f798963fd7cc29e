"""Recompute what multi-task runs derive: losses and gains from metrics.csv, bytes from rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.core.errors import HarnessError
from harness.evidence.derived_cells import Counted, counted, modelled, predicted
from harness.evidence.intact import weight_bytes
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Claim, Contradiction, contradiction, total
from harness.evidence.tables import Row
from harness.workloads.multitask.affinity_evidence import affinity_contradictions
from harness.workloads.multitask.exchange.server import STATISTICS
from harness.workloads.multitask.job import tasks_named
from harness.workloads.multitask.methods.registry import METHODS, parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.training.joining import SERVERS, STEPS_BYTES
from harness.workloads.multitask.work import ENCODER, training
from harness.workloads.multitask.workload import WORKLOAD
from models.multitask.measures import BY_NAME, UNSEEN
from models.multitask.measures import MEASURES as TASK_MEASURES
from models.multitask.weighting import CARRIED

CARRYING = ("uncertainty", "famo", "db-mtl")
"""Methods of which something travels beside the model."""

Model = tuple[str, int]
"""A job and the rounds it has finished."""


@dataclass
class RecomputedStanding:
    """Hold where a cell stands by its metrics: by task the losses and measures of what serves it.

    `missing` names tasks that nothing in metrics.csv stands for.
    """

    losses: dict[str, float] = field(default_factory=dict)
    unseen: dict[str, float] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: str = ""


def contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield losses, gains and bytes that the other files of the run contradict."""
    standings, work = _standings(run), counted(run)
    looking = {str(phase["cell"]) for phase in run.phases if phase["phase"] == "affinity"}
    yield from _settings(run)
    for row in run.done:
        cell = str(row["cell"])
        for claim in (
            *_losses(row, standings[cell]),
            *_objective(row),
            *_passes(row, work.get(cell, {}), looked=cell in looking),
            *predicted(run, row, work.get(cell, {})),
            *modelled(run, row, work.get(cell, {})),
            *_gains(row, standings, run.done),
        ):
            yield from contradiction(cell, claim)
        if standings[cell].missing and row["total_loss"] is not None:
            text = f"metrics.csv has no test loss of task {', '.join(standings[cell].missing)}"
            yield "total_loss", cell, f"{text}, so total_loss rests on nothing"
    yield from _traffic(run)
    yield from affinity_contradictions(run)


def _settings(run: RunFiles) -> Iterator[Contradiction]:
    """Yield what the configuration, the jobs that serve and the units of measures contradict."""
    config = run.section("config")
    serving: dict[str, set[str]] = defaultdict(set)
    for row in run.tables["metrics.csv"].rows:
        if row["metric"] == "serves":
            serving[str(row["cell"])].add("".join(sorted(tasks_named(str(row["job"])))))
        yield from _unit(row)
    for row in run.cells:
        cell = str(row["cell"])
        for column in ("tasks", "rounds", "clients", "clients_per_round"):
            stated, asked = row[column], config.get(column)
            if stated not in (None, "") and asked is not None and stated != asked:
                text = f"{column} is {stated} in cells.csv, the configuration says {asked}"
                yield column, cell, text
        groups = {"".join(sorted(group)) for group in str(row["groups"]).split("|")}
        if serving.get(cell) and row["groups"] and groups != serving[cell]:
            text = f"groups is {row['groups']} in cells.csv, in metrics.csv serve"
            yield "groups", cell, f"{text} {'|'.join(sorted(serving[cell]))}"


def _unit(row: Row) -> Iterator[Contradiction]:
    measure = BY_NAME.get(str(row["metric"]).removeprefix(UNSEEN))
    unit = measure.unit if measure else ""
    if row["unit"] != unit:
        text = f"unit of {row['metric']} is '{row['unit']}' in metrics.csv, not '{unit}'"
        yield "metrics' unit", str(row["cell"]), text


def _passes(row: Row, work: Counted, *, looked: bool) -> Iterator[Claim]:
    """Yield images through training passes, and through look-aheads: what else went forward.

    What a training pass is worth in forwards is asked of the method's rule; of an encoder only
    methods that are known here say it. Where no phase measured affinity there are no look-aheads,
    whatever training costs.
    """
    if not work:
        return
    trained = {kind: work.get(f"trained {kind}", 0.0) for kind in ("encoder", "decoders")}
    for column, kind in (("encoder_passes", "encoder"), ("decoder_passes", "decoders")):
        if row[column] is not None:
            yield column, row[column], trained[kind], "work.csv adds up to"
    forward = {k.removeprefix("forward "): n for k, n in work.items() if k.startswith("forward ")}
    encoder = forward.pop("encoder", 0.0)
    of_encoder, of_decoder = _forwards_per_pass(str(row["method"]), str(row["tasks"]))
    for kind, amount, worth, whole in (
        ("encoder", encoder, of_encoder, str(row["method"]).partition(":")[0] in METHODS),
        ("decoders", total(forward.values()), of_decoder, True),
    ):
        column = f"look_ahead_{kind.removesuffix('s')}_forwards"
        if row[column] is not None and not looked:
            yield column, row[column], 0.0, "without a look-ahead it is"
        elif row[column] is not None and whole:
            yield column, row[column], amount - worth * trained[kind], "work.csv leaves"


def _forwards_per_pass(method: str, tasks: str) -> tuple[float, float]:
    """Return the forwards that a training pass of the encoder and of a decoder is worth.

    They are those of the method's first job: all of a method's jobs train by one rule, and those
    whose rule takes a pass for each task train all tasks. Three where it cannot be asked.
    """
    try:
        job = next(parse(method).schedule(Setting(tasks, 2)), None)
    except HarnessError:
        job = None
    if job is None:
        return 3.0, 3.0
    worth = training(job.tasks, 1, job.local).forwards
    return worth[ENCODER], worth[job.tasks[0]]


def _objective(row: Row) -> Iterator[Claim]:
    stated, loss = row.get("objective_value"), row["total_loss"]
    if stated is not None and loss is not None:
        yield "objective_value", stated, loss, "total_loss is"


def _losses(row: Row, own: RecomputedStanding) -> Iterator[Claim]:
    for column, losses in (("total_loss", own.losses), ("unseen_total_loss", own.unseen)):
        if row[column] is not None and losses and losses.keys() == set(str(row["tasks"])):
            yield column, row[column], total(losses.values()), "metrics.csv adds up to"


def _gains(
    row: Row, standings: Mapping[str, RecomputedStanding], done: Iterable[Row]
) -> Iterator[Claim]:
    """Yield the gains over the reference of the same seed and repeat.

    Of several reference cells (parameters of it) the one that agrees best counts.
    """
    own = standings[str(row["cell"])]
    references = [
        standings[str(other["cell"])]
        for other in done
        if str(other["method"]).split(":")[0] == WORKLOAD.reference
        and (other["seed"], other["repeat"]) == (row["seed"], row["repeat"])
    ]
    for column, gain in (("delta_mtl", _loss_gain), ("delta_metric", _measure_gain)):
        found = [x for reference in references if (x := gain(own, reference)) is not None]
        if row[column] is not None and found:
            stated = float(row[column])
            best = min(found, key=lambda value: abs(value - stated))
            yield column, stated, best, "metrics.csv gives"


def _loss_gain(own: RecomputedStanding, reference: RecomputedStanding) -> float | None:
    """Return the mean relative loss reduction over tasks in percent."""
    if not own.losses or own.losses.keys() != reference.losses.keys():
        return None
    if not all(reference.losses.values()):
        return None
    ratios = [own.losses[task] / reference.losses[task] for task in own.losses]
    return 100.0 * (1.0 - total(ratios) / len(ratios))


def _measure_gain(own: RecomputedStanding, reference: RecomputedStanding) -> float | None:
    """Return the mean over tasks of the mean signed relative gain of their measures in percent."""
    if not own.measures or own.measures.keys() != reference.measures.keys():
        return None
    means = []
    for task, values in own.measures.items():
        signs = {m.name: 1 if m.better == "higher" else -1 for m in TASK_MEASURES[task]}
        base = reference.measures[task]
        if not values or any(not base.get(name) for name in values):
            return None
        gains = [signs[name] * (value / base[name] - 1.0) for name, value in values.items()]
        means.append(total(gains) / len(gains))
    return 100.0 * total(means) / len(means)


def _standings(run: RunFiles) -> Mapping[str, RecomputedStanding]:
    """Return where every cell stands by the rows of the jobs that serve its tasks in the end."""
    serving = _serving(run)
    values: dict[tuple[str, str], dict[Model, dict[str, float]]] = defaultdict(dict)
    for cell, task, model, row in _of_tasks(run):
        if model in serving.get((cell, task), ()):
            own = values[cell, task].setdefault(model, {})
            own[str(row["metric"])] = float(row["value"])
    found: dict[str, RecomputedStanding] = defaultdict(RecomputedStanding)
    for row in run.done:
        cell = str(row["cell"])
        for task in str(row["tasks"]):
            known = values.get((cell, task), {})
            of_jobs = [known.get(model, {}) for model in serving.get((cell, task), ())]
            _stand(found[cell], task, of_jobs)
    return found


def _of_tasks(run: RunFiles) -> Iterator[tuple[str, str, Model, Row]]:
    """Yield cell, task and model of the rows that are of a task."""
    for row in run.tables["metrics.csv"].rows:
        if row["task"] and row["value"] is not None and row["round"] is not None:
            yield str(row["cell"]), str(row["task"]), (str(row["job"]), int(row["round"])), row


def _serving(run: RunFiles) -> Mapping[tuple[str, str], list[Model]]:
    """Return which models serve a cell's task: no more of what may be millions of rows is kept."""
    said: dict[tuple[str, str], list[Model]] = defaultdict(list)
    last: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for cell, task, (job, done), row in _of_tasks(run):
        if row["metric"] == "serves":
            said[cell, task].append((job, done))
        else:
            last[cell, task][job] = max(done, last[cell, task].get(job, done))
    groups = {str(row["cell"]): str(row["groups"]) for row in run.done}
    for (cell, task), jobs in last.items():
        if (cell, task) not in said and cell in groups:
            said[cell, task] = _of_split(groups[cell], jobs.items())
    return said


def _of_split(groups: str, known: Iterable[Model]) -> list[Model]:
    """Return the last model of each final group, for files that do not say what serves a task."""
    final = {tuple(sorted(group)) for group in groups.split("|")}
    last: dict[str, Model] = {}
    for job, done in sorted(known, key=lambda model: model[1]):
        if tuple(sorted(job)) in final:
            last[job] = (job, done)
    return list(last.values())


def _stand(standing: RecomputedStanding, task: str, of_jobs: list[dict[str, float]]) -> None:
    """Add a task with the means over the models that serve it."""
    losses = [own["test_loss"] for own in of_jobs if "test_loss" in own]
    unseen = [own["test_unseen_loss"] for own in of_jobs if "test_unseen_loss" in own]
    if not losses or len(losses) < len(of_jobs):
        standing.missing += task
        return
    standing.losses[task] = total(losses) / len(losses)
    if len(unseen) == len(of_jobs):
        standing.unseen[task] = total(unseen) / len(unseen)
    names = [m.name for m in TASK_MEASURES.get(task, ())]
    kept = {n: [own[n] for own in of_jobs if n in own] for n in names}
    means = {n: total(own) / len(own) for n, own in kept.items() if own}
    if means:
        standing.measures[task] = means


def _traffic(run: RunFiles) -> Iterator[tuple[str, str, str]]:
    """Yield bytes that the rounds and the size of the models contradict.

    Every client that trains in a round gets the job's model and sends it back; one that trains
    alone (`sd@3`) needs no server. Sizes are known where weights are kept; cells that trained alike
    must agree whether they are or not. A fleet loses and repeats answers, so it is left out.
    """
    if run.section("fleet"):
        return
    trained: dict[str, dict[tuple[str, int, str], None]] = defaultdict(dict)
    for phase in run.phases:
        if phase["phase"] == "train" and phase["client"] and phase["round"] is not None:
            key = (str(phase["job"]), int(phase["round"]), str(phase["client"]))
            trained[str(phase["cell"])][key] = None
    own_sizes = weight_bytes(run.folder)
    plain = _by_job(weight_bytes(run.folder, without=(CARRIED,)))
    stepped = _by_job(weight_bytes(run.folder, without=(*STATISTICS, CARRIED)))
    alike: dict[object, Row] = {}
    for row in run.done:
        cell, counts = str(row["cell"]), defaultdict[str, int](int)
        for job, _, _ in trained[cell]:
            counts[job] += _travels(job)
        if not counts:
            continue
        rounds = tuple(sorted(counts.items()))
        joining = _joining(run, row)
        sizes = plain | {job: n for (of, job), n in own_sizes.items() if of == cell}
        first = alike.setdefault((rounds, joining, _carrying(row)), row)
        known = all(job in sizes or not count for job, count in rounds)
        for column, more in _BESIDE_MODELS[joining].items():
            made = sum(n * (sizes.get(job, 0) + more(stepped.get(job, 0))) for job, n in rounds)
            expected = made if known else first[column]
            if None not in (row[column], expected) and row[column] != expected:
                source = (
                    "its rounds and models make" if known else f"{first['cell']} trained alike:"
                )
                yield column, cell, f"{column} is {row[column]} in cells.csv, {source} {expected}"


_MOVING: Mapping[str, Callable[[int], int]] = {
    "upload_bytes": lambda velocity: velocity, "download_bytes": lambda velocity: velocity,
}  # fmt: skip
_BESIDE_MODELS: Mapping[str, Mapping[str, Callable[[int], int]]] = {
    "": {"upload_bytes": lambda _: 0, "download_bytes": lambda _: 0},
    "fednova": {"upload_bytes": lambda _: STEPS_BYTES, "download_bytes": lambda _: 0},
    "scaffold": {"upload_bytes": lambda variate: variate,
                 "download_bytes": lambda variate: 2 * variate},
    "averaged-momentum": _MOVING,
    "muon": _MOVING,
}  # fmt: skip
"""Bytes that a client sends and gets beside a model whose parameters take so many."""


def _joining(run: RunFiles, row: Row) -> str:
    """Return the method or the run's server, if more than models travels by it."""
    method = str(row["method"]).partition(":")[0]
    server = str(run.section("config").get("server", ""))
    own = method if method in SERVERS else server
    return own if own in _BESIDE_MODELS else ""


def _by_job(sizes: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {job: size for (_, job), size in sizes.items()}


def _carrying(row: Row) -> str:
    """Return the method if what it remembers may travel with its models, else nothing."""
    method = str(row["method"])
    return method if method.partition(":")[0] in CARRYING else ""


def _travels(job: str) -> bool:
    _, at, clients = job.partition("@")
    return not at or "+" in clients
