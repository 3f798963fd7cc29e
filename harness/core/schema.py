"""Describe every column of every result file in one table.

The writer (`harness.run_folder.results`), the reader (`analysis.core.loading`) and the reference page are driven by
this module, so a column cannot exist in one and be unknown to another. It imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from devices.plain_numbers import plain_float, plain_int
from harness.core.clean_text import clean

SCHEMA_VERSION = 6
OLDEST_SCHEMA_VERSION = 1
"""Columns are only ever appended, so runs from this version on can be read."""

SHARED = "shared"
"""Flag of a phase that was measured in another cell, whose job this cell asked for too."""

BOOLEANS = {"true": True, "false": False}
"""How a truth value is written."""

SERVER_PHASES = ("likeness", "group", "search", "stitch", "tune", "match")
"""What a server does beside adding up: comparing parts of models, building others of them."""

PHASES = (
    "idle", "warm-up", "train", "affinity", "aggregate", "evaluate", "communicate", "cool-down",
    "lost", "infer", "distil", *SERVER_PHASES, "partition", "learn", "unlearn", "repeat",
)  # fmt: skip

DEVICE_PHASES = (
    "start-up", "idle", "communicate", "train", "affinity", "distil", "partition", "learn",
    "unlearn", "aggregate", "evaluate", "repeat",
)  # fmt: skip
"""What the time of a device in a fleet is divided into, without gaps."""

COST_PHASES = (
    "train", "affinity", "aggregate", "communicate", "distil", *SERVER_PHASES, "partition", "learn",
    "unlearn",
)  # fmt: skip
"""Phases a method is charged for; evaluation and idling are kept apart."""


FORMATS = {"s": ".2f", "J": ".1f", "W": ".2f", "%": ".2f", "°C": ".1f", "B": ",d", "images": ",.0f"}
"""Unit → how people are shown a number of it, as Python's format strings say."""


MOST = {"s": 1e10, "°C": 1e4, "%": 1e12, "W": 1e9}
"""Unit → the largest number that can be meant, either side of zero: 1e10 s are three centuries."""

MOST_NUMBER = 1e100
"""Of all other units: sums and squares of it are still numbers."""

MOST_WHOLE = 2**53
MOST_LETTERS = 20_000
"""Of a text; those that name a method, cell, job or run have MOST_NAME."""

MOST_NAME = 255
LEFT_OF_A_NAME = 240
NAMES = ("run_id", "cell", "method", "job", "device", "task", "metric", "tasks", "rail", "phase")


@dataclass(frozen=True)
class Column:
    """Describe one column: its name carries the unit, `meaning` is one sentence for people.

    Runs of a schema version before `since` lack it; it then reads as empty. Files hold numbers in
    full precision; `format` is how people are shown them, by default that of the unit or the type.
    """

    name: str
    type: Literal["str", "int", "float", "bool"]
    unit: str
    meaning: str
    since: int = 1
    format: str = ""

    def __post_init__(self) -> None:
        """Fill in the format of the unit or of the type."""
        by_type = {"float": ".4f", "int": "d"}.get(self.type, "")
        usual = FORMATS.get(self.unit, by_type) if by_type else ""
        object.__setattr__(self, "format", self.format or usual)

    def show(self, value: object) -> str:
        """Return a value of the column for people; "" for a missing one.

        Raises:
            ValueError: if it is not of the column's type.
        """
        if value is None:
            return ""
        if self.type == "bool":
            return "yes" if value else "no"
        return format(value, self.format) if self.format else str(value)

    def value(self, text: str) -> str | float | bool | None:
        """Return what a field says: None where it says nothing, "" for empty text.

        Control characters are spelt out.

        Raises:
            ValueError: if it is not of the column's type, or beyond what can be meant.
        """
        if self.type == "str":
            if len(text) > self.most:
                raise ValueError(f"{len(text)} letters")
            return clean(text, keep="\n\t")
        if not text:
            return None
        if self.type == "bool":
            if text not in BOOLEANS:
                raise ValueError(f"'{text}' is no bool")
            return BOOLEANS[text]
        number = plain_int(text) if self.type == "int" else plain_float(text)
        if abs(number) > self.most and number not in (math.inf, -math.inf):
            raise ValueError(f"'{text}' is beyond {self.most:g}")
        return number

    @property
    def most(self) -> float:
        """Return how many letters a text may have, or how far from 0 a number may be."""
        if self.type == "str":
            return MOST_NAME if self.name in NAMES else MOST_LETTERS
        return MOST_WHOLE if self.type == "int" else MOST.get(self.unit, MOST_NUMBER)


def as_name(text: str) -> str:
    """Return text that a column of names holds and gives back as it is.

    Of text that is too long the beginning stays, and a digest tells it from others of that
    beginning; control characters and what is no UTF-8 are spelt out.
    """
    name = clean(text.encode("utf-8", "backslashreplace").decode(), keep="\n\t")
    if len(name) <= MOST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[:LEFT_OF_A_NAME]}… {digest}"


def sessions_of(manifest: Mapping[str, Any]) -> list[Any]:
    """Return what a manifest tells of the sessions of its run; before version 4 they were `sittings`."""
    found = manifest.get("sessions", manifest.get("sittings"))
    return found if isinstance(found, list) else []


def version_problem(version: object) -> tuple[str, str] | None:
    """Return what is wrong with a schema version and what to do; None if it can be read."""
    if isinstance(version, bool) or not isinstance(version, int):
        return (
            f"schema_version is {version!r}, not a whole number",
            "Give a folder written by harness.run.",
        )
    if version > SCHEMA_VERSION:
        return (
            f"schema version {version} is newer than the {SCHEMA_VERSION} known here",
            "Update the tool to the version that wrote the run.",
        )
    if version < OLDEST_SCHEMA_VERSION:
        return (
            f"schema version {version} is older than {OLDEST_SCHEMA_VERSION}, the oldest known here",
            "Read the run with the version of the tool that wrote it.",
        )
    return None


CELLS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "One method × seed × repeat of the run; names its trace and affinity files."),
    Column("device", "str", "", "Device the run was asked to answer for."),
    Column("host_matches_device", "bool", "", "True if the host that trained is that device."),
    Column("method", "str", "", "Method with its parameters, as typed on the command line."),
    Column("tasks", "str", "", "Task letters of the task set."),
    Column("seed", "int", "", "Seed of initial weights, client choice and batch order."),
    Column("repeat", "int", "", "Repeat of the measurement with the same seed."),
    Column("rounds", "int", "rounds", "Rounds every task was trained for."),
    Column("clients", "int", "clients", "Clients N of the federation."),
    Column("clients_per_round", "int", "clients", "Clients K that train in one round."),
    Column("groups", "str", "", "Final split: groups of task letters joined by |."),
    Column("total_loss", "float", "", "Sum over tasks of the last global test loss."),
    Column("unseen_total_loss", "float", "", "The same on buildings no client owns."),
    Column("delta_mtl", "float", "%", "Mean over tasks of the relative loss reduction against independent, same seed; positive is better."),
    Column("time_s", "float", "s", "Seconds measured on the host in the charged phases (training, affinity, aggregation); evaluation is not in it."),
    Column("time_model_s", "float", "s", "Modelled seconds of the same work on the named device: the host's timing of each part (manifest: host_timing) carried over by the profile's rates, to within time_model.factor of the manifest; empty if the host is that device."),
    Column("energy_j", "float", "J", "Joules measured by a meter of the host in the charged phases; empty without a valid measurement."),
    Column("energy_net_j", "float", "J", "energy_j minus time_s times the idle power: the mean of what was measured before the first and after the last cell, of the first alone if the run was broken off."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j from resolution, sampling and window edges. Of sampled power it is conditional: it holds if power between two readings stays between what they show, or swings often enough for readings at random moments to meet its levels; fewer than 32 readings widen it up to what the device can draw."),
    Column("energy_model_j", "float", "J", "Modelled joules: the profile's power model applied to the same work, on another device than the host to within time_model.factor of the manifest. Never a measurement."),
    Column("energy_meter", "str", "", "Meter that produced energy_j."),
    Column("energy_scope", "str", "", "What the meter sees: package, module, board, wall."),
    Column("energy_kind", "str", "", "counter (difference of an accumulating sensor) or sampled (integral of power)."),
    Column("energy_reason", "str", "", "Why energy_j is empty."),
    Column("peak_memory_bytes", "int", "B", "Peak resident memory of the training process during the cell; what earlier cells of the run left allocated is in it."),
    Column("upload_bytes", "int", "B", "Bytes all clients would send to the server."),
    Column("download_bytes", "int", "B", "Bytes the server would send to all clients."),
    Column("encoder_passes", "int", "images", "Images through forward and backward of an encoder in training steps."),
    Column("decoder_passes", "int", "images", "Images through forward and backward of decoders in training steps."),
    Column("status", "str", "", "done, failed or interrupted."),
    Column("reason", "str", "", "Why the cell is not done."),
    Column("delta_metric", "float", "%", "Mean over tasks of the mean over the task's measures of the relative gain against independent, same seed; positive is better; empty if a measure of independent is 0.", since=2),
    Column("energy_net_error_j", "float", "J", "Bound on the error of energy_net_j: that of energy_j, that of the idle power, and half its change from before to after; empty if there was no second look at it.", since=2),
    Column("flags", "str", "", "What made the cell's conditions different, joined by +: resumed, warm-start, throttled, under-voltage, swapped, foreign-load, stolen-time, clock-step, slept, paused, and others, gpu-… those of the card that trains; empty if nothing was noticed.", since=2),
    Column("interruptions", "int", "", "How often the cell was broken off and gone on with; rounds that were broken off are measured anew.", since=2),
    Column("look_ahead_encoder_forwards", "float", "images", "Images through an encoder in look-aheads beside the training steps, a backward counted as two forwards.", since=2),
    Column("look_ahead_decoder_forwards", "float", "images", "The same for decoders.", since=2),
    Column("time_predicted_s", "float", "s", "Seconds the counted passes of training and look-aheads would take at the speed of encoder and decoders, each timed on this host when the run began (manifest: calibration).", since=2),
    Column("shared_jobs", "str", "", "With --share-jobs: rounds of jobs that another method of the seed had trained alike, as job:first-last<cell, joined by +. Time, energy, passes and bytes of the row contain them, from the one measurement; peak memory is then also that of the other cell.", since=3),
    Column("batch_size", "int", "images", "Images per training step, as trained; fewer than asked for if memory was short (manifest: step).", since=3),
    Column("step", "str", "", "How training steps were executed: precision, memory layout and optimizer, joined by +.", since=3),
    Column("workload", "str", "", "What was trained (harness.list workloads).", since=4),
    Column("objective", "str", "", "Name of the value that methods of the workload are judged by.", since=4),
    Column("objective_value", "float", "", "That value.", since=4),
    Column("objective_better", "str", "", "lower or higher: in which direction it is better.", since=4),
    Column("energy_delay_js", "float", "J·s", "energy_j times time_s: less is better in both.", since=4),
    Column("energy_per_sample_j", "float", "J", "energy_j over the samples worked on, where what ran said how many.", since=4),
    Column("cpu_utilisation", "float", "", "Share of all cores' time in which they were busy, by the kernel's ticks, from the cell's start to its end, whoever kept them busy.", since=4),
    Column("gpu_utilisation", "float", "", "The same of GPUs, mean of what their driver said once a second.", since=4),
    Column("network_received_bytes", "int", "B", "Bytes that network interfaces received meanwhile, by the kernel's counters, whoever asked for them; upload_bytes and download_bytes are counted, not measured.", since=4),
    Column("network_sent_bytes", "int", "B", "Bytes that they sent.", since=4),
    Column("peak_gpu_memory_bytes", "int", "B", "Most memory of the GPU that training held at once, spare blocks of PyTorch's allocator included; what the driver keeps for the process itself is not in it. Empty where a processor trains. On a Jetson GPU and processor share one memory: add peak_memory_bytes.", since=4),
    Column("split_sure", "float", "", "How sure a split by affinity is: share of 200 bootstrap samples, of rounds and of clients, in which the mean affinity gives the same groups; below 0.8 the split is a coin toss. Of a hierarchical split the first one. Empty if nothing was split by affinity, or fewer than two clients measured.", since=5),
)  # fmt: skip

WORK = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell that was charged for the work."),
    Column("job", "str", "", "Job it was done for."),
    Column("kind", "str", "", "What was counted: forward PART (samples × forward-equivalents through a part of a model), trained KIND (samples through forward and backward), bytes moved (memory traffic of aggregation)."),
    Column("amount", "float", "", "How much."),
    Column("unit", "str", "", "Unit of the amount."),
)  # fmt: skip

COMPONENTS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell the row belongs to."),
    Column("job", "str", "", "Federated job; empty for other workloads."),
    Column("phase", "str", "", "Phase; empty for the whole cell."),
    Column("component", "str", "", "What the meter covers, as processor or wall."),
    Column("meter", "str", "", "Meter that was read."),
    Column("rail", "str", "", "Channel of the meter, by its own name."),
    Column("role", "str", "", "total: added up; part: inside one; witness: a meter beside."),
    Column("energy_j", "float", "J", "Measured joules; empty without a valid measurement."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j."),
    Column("reason", "str", "", "Why energy_j is empty."),
)  # fmt: skip

METRICS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell the value belongs to."),
    Column("round", "int", "rounds", "Rounds finished when the value was taken; a split job goes on counting from its merged start."),
    Column("job", "str", "", "Federated job: the task letters it trains."),
    Column("task", "str", "", "Task letter; empty if the value is not of one task."),
    Column("phase", "str", "", "Phase that produced the value."),
    Column("metric", "str", "", "train_loss, validation_loss, test_loss, test_unseen_loss, mean_predictor_loss, median_predictor_loss, learning_rate, serves (1: this job serves the task in the end), linear_signs_alike and linear_over_exact (share of signs and ratio of sizes of linear look-aheads to exact ones of the same client, pairs of unlike tasks), or a measure of the task on the test images; with unseen_ before it, on buildings no client owns."),
    Column("value", "float", "", "The value."),
    Column("unit", "str", "", "Unit of the value; empty for a pure number."),
)  # fmt: skip

PHASE_ROWS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell the phase belongs to; empty for phases of the whole run."),
    Column("job", "str", "", "Federated job: the task letters it trains."),
    Column("round", "int", "rounds", "Round index from 0; empty outside rounds."),
    Column("client", "str", "", "Client that worked; empty for the server's own work."),
    Column("phase", "str", "", "One of " + ", ".join(PHASES) + "; lost is work that was broken off and done anew, up to the last moment known; infer is a window of inference; repeat is the same request again on a copy of the state, because once is too short for the meter."),
    Column("start_s", "float", "s", "Start on the monotonic clock, 0 at the start of the run."),
    Column("end_s", "float", "s", "End on the same clock."),
    Column("time_s", "float", "s", "end_s minus start_s."),
    Column("cpu_s", "float", "s", "Processor seconds of the training process, all threads."),
    Column("time_model_s", "float", "s", "Modelled seconds of this work on the named device; empty if the host is that device."),
    Column("energy_j", "float", "J", "Measured joules; empty without a valid measurement."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j, conditional as in cells.csv."),
    Column("energy_model_j", "float", "J", "Modelled joules; never a measurement."),
    Column("flags", "str", "", "What spoilt or limits the figure, joined by +: gap, wrap, reset, few-samples (sampled power: fewer than 32 readings in and around the window, so the bound allows for peaks up to the device's limit), partial, impossible (a reading no such device can draw was dropped), unsteady (power swings faster than it is read); shared: measured in another cell and charged to this one too, so do not add it to that cell's."),
)  # fmt: skip

DEVICES = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell the stretch belongs to; empty for the start of a device's worker."),
    Column("job", "str", "", "Federated job: the task letters it trains."),
    Column("round", "int", "rounds", "Round index from 0; empty outside rounds."),
    Column("device", "str", "", "Name of the device, as its node gave it."),
    Column("client", "int", "", "Client that was trained; empty otherwise."),
    Column("phase", "str", "", "One of " + ", ".join(DEVICE_PHASES) + "; communicate is the time from the start of Flower's program on the device to its end, without the training within."),
    Column("start_s", "float", "s", "Start in the run's own time, by the device's wall clock; the joules do not depend on it."),
    Column("end_s", "float", "s", "End in the same time."),
    Column("time_s", "float", "s", "Seconds by the device's own clock."),
    Column("cpu_s", "float", "s", "Processor seconds of the device's worker; 0 for idle and communicate, which are not its work."),
    Column("time_model_s", "float", "s", "Modelled seconds of this work on the device asked for; empty if the board is that device."),
    Column("energy_j", "float", "J", "Joules measured by the device's own meter; empty without a valid measurement."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j, conditional as in cells.csv."),
    Column("energy_model_j", "float", "J", "Modelled joules; never a measurement."),
    Column("energy_meter", "str", "", "Meter that produced energy_j."),
    Column("energy_scope", "str", "", "What the meter sees: package, module, board, wall."),
    Column("energy_kind", "str", "", "counter or sampled."),
    Column("energy_reason", "str", "", "Why energy_j is empty."),
    Column("peak_memory_bytes", "int", "B", "Peak resident memory of the device's worker up to its report."),
    Column("temperature_c", "float", "°C", "Hottest temperature of the device when it reported."),
    Column("fate", "str", "", "What became of the update: used, late (came after the round was closed; its joules count), missing, refused, lost (done anew after the server was stopped; not charged)."),
    Column("flags", "str", "", "What spoilt or limits the figure, joined by +, as in phases.csv."),
    Column("peak_gpu_memory_bytes", "int", "B", "Most memory of its GPU that training of this client held at once, as in cells.csv; empty where the device's processor trains.", since=6),
)  # fmt: skip

TRACE = (
    Column("t_s", "float", "s", "Time on the monotonic clock, 0 at the start of the run."),
    Column("rail", "str", "", "Channel of the meter, by its own name."),
    Column("power_w", "float", "W", "Power; for a counter the mean since the sample before."),
    Column(
        "energy_j",
        "float",
        "J",
        "Unwrapped counter since the first sample; empty for sampled power.",
    ),
)

CONDITIONS = (
    Column("t_s", "float", "s", "Time on the same clock: start of the cell, end of each round, end of the cell."),
    Column("temperature_c", "float", "°C", "Hottest plausible temperature of the host; empty if it shows none."),
    Column("flags", "str", "", "What had slowed or disturbed the host since the cell began, joined by +; words as in cells.csv."),
    Column("gpu_temperature_c", "float", "°C", "Temperature of the NVIDIA card that trains; empty where none does, or its driver does not tell. On a Jetson it is among those of the host.", since=6),
)  # fmt: skip

AFFINITY_ROUNDS = (
    Column("round", "int", "rounds", "Round index from 0."),
    Column("recipient", "str", "", "Task j whose loss is observed."),
    Column("source", "str", "", "Task i whose gradient step is tried."),
    Column(
        "mean",
        "float",
        "",
        "Mean of Z[i→j] in the round: over a client's look-aheads first, then over clients.",
        format=".2e",
    ),
    Column("std", "float", "", "Standard deviation over clients; empty for one client.",
           format=".2e"),
    Column("count", "int", "", "Look-aheads of all clients that went into the mean."),
)  # fmt: skip

AFFINITY_CLIENTS = (
    Column("round", "int", "rounds", "Round index from 0."),
    Column("client", "int", "", "Client that measured."),
    Column("recipient", "str", "", "Task j whose loss is observed."),
    Column("source", "str", "", "Task i whose gradient step is tried."),
    Column(
        "mean", "float", "", "Mean of Z[i→j] over the client's look-aheads of the round.",
        format=".2e",
    ),
    Column("count", "int", "", "Look-aheads that went into the mean."),
)  # fmt: skip

AFFINITY_CHECK = (
    Column("round", "int", "rounds", "Round index from 0."),
    Column("client", "int", "", "Client whose look-aheads were taken in both ways."),
    Column("recipient", "str", "", "Task j whose loss is observed."),
    Column("source", "str", "", "Task i whose gradient step is tried."),
    Column("exact", "float", "", "Mean of Z[i→j] over its look-aheads, the step tried.",
           format=".2e"),
    Column("linear", "float", "", "Mean of the same look-aheads foretold by inner products.",
           format=".2e"),
)  # fmt: skip

INFERENCE = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell of training whose models answer."),
    Column("device", "str", "", "Device that inference was asked to answer for."),
    Column("host_matches_device", "bool", "", "True if the host that measured is that device."),
    Column("method", "str", "", "Method that trained the models."),
    Column("seed", "int", "", "Learning seed."),
    Column("repeat", "int", "", "Repeat whose weights are used; those of all repeats are the same."),
    Column("job", "str", "", "The one model that was measured, by its job; empty for a complete answer: every image goes through one model after another until all tasks are answered."),
    Column("tasks", "str", "", "Letters of the tasks that are answered."),
    Column("models", "int", "", "Models that an image goes through."),
    Column("runtime", "str", "", "onnxruntime, or torch as it comes (eager)."),
    Column("precision", "str", "", "fp32, or int8 by static quantisation."),
    Column("provider", "str", "", "Execution provider: cpu, xnnpack, cuda, tensorrt."),
    Column("scenario", "str", "", "single-stream or offline, defined as MLPerf Inference does: one query of one image after another; or all images at once, in batches."),
    Column("threads", "int", "", "Processor threads of the runtime."),
    Column("batch_size", "int", "images", "Images that go through a model at once; 1 in single-stream."),
    Column("queries", "int", "", "Queries in the window: of one image in single-stream, of one batch offline."),
    Column("images", "int", "images", "Images answered in the window."),
    Column("start_s", "float", "s", "Start of the window on the time of inference/phases.csv."),
    Column("time_s", "float", "s", "Length of the window; the warm-up before it is not in it."),
    Column("latency_mean_s", "float", "s", "Mean latency of a query; empty offline, as are the percentiles."),
    Column("latency_p50_s", "float", "s", "Median latency (nearest rank)."),
    Column("latency_p90_s", "float", "s", "90th percentile, by which MLPerf judges single-stream; empty below 10 queries."),
    Column("latency_p95_s", "float", "s", "95th percentile; empty below 20 queries."),
    Column("latency_p99_s", "float", "s", "99th percentile; empty below 100 queries."),
    Column("throughput_images_per_s", "float", "images/s", "Images answered by the time they took."),
    Column("time_model_per_image_s", "float", "s", "Modelled seconds of an image on the named device, a third of a training step's; empty if the host is that device, and for what the profile says nothing about (int8, fewer threads, graphics processors)."),
    Column("energy_j", "float", "J", "Joules measured by a meter of the host in the window; empty without a valid measurement."),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j, conditional as in cells.csv."),
    Column("energy_net_j", "float", "J", "energy_j minus time_s times the idle power measured before and after."),
    Column("energy_net_error_j", "float", "J", "Bound on the error of energy_net_j; empty if there was no second look at idle power."),
    Column("energy_model_j", "float", "J", "Modelled joules of the window's work; never a measurement; empty for what the profile says nothing about."),
    Column("energy_per_image_j", "float", "J", "energy_j by images: joules of a complete answer where job is empty."),
    Column("energy_net_per_image_j", "float", "J", "energy_net_j by images."),
    Column("energy_model_per_image_j", "float", "J", "energy_model_j by images."),
    Column("energy_meter", "str", "", "Meter that produced energy_j."),
    Column("energy_scope", "str", "", "What the meter sees: package, module, board, wall."),
    Column("energy_kind", "str", "", "counter or sampled."),
    Column("energy_reason", "str", "", "Why energy_j is empty."),
    Column("energy_flags", "str", "", "What spoilt or limits energy_j, as in phases.csv."),
    Column("total_loss", "float", "", "Sum over the tasks of the test loss of these answers."),
    Column("model_bytes", "int", "B", "Size of the files of the models."),
    Column("peak_memory_bytes", "int", "B", "Peak resident memory of a process that only answers with these models, runtime included."),
    Column("peak_memory_models_bytes", "int", "B", "Of that what came after the runtime was loaded: models and their working memory."),
    Column("flags", "str", "", "What made the conditions different, as in cells.csv."),
    Column("status", "str", "", "done or failed."),
    Column("reason", "str", "", "Why it failed."),
)  # fmt: skip

INFERENCE_METRICS = (
    Column("run_id", "str", "", "Run folder this row belongs to."),
    Column("cell", "str", "", "Cell of training whose models answer."),
    Column("job", "str", "", "Model, by its job."),
    Column("task", "str", "", "Task letter."),
    Column("runtime", "str", "", "onnxruntime or torch."),
    Column("precision", "str", "", "fp32 or int8."),
    Column("provider", "str", "", "Execution provider."),
    Column("metric", "str", "", "test_loss, a measure of the task on the test images, or max_abs_error: the largest absolute difference from what torch answers in fp32."),
    Column("value", "float", "", "The value."),
    Column("unit", "str", "", "Unit of the value; empty for a pure number."),
)  # fmt: skip

FILES: dict[str, tuple[Column, ...]] = {
    "cells.csv": CELLS,
    "metrics.csv": METRICS,
    "phases.csv": PHASE_ROWS,
    "work.csv": WORK,
    "components.csv": COMPONENTS,
    "devices.csv": DEVICES,
    "traces/<cell>.csv.gz": TRACE,
    "conditions/<cell>.csv": CONDITIONS,
    "affinity/<cell>_rounds.csv": AFFINITY_ROUNDS,
    "affinity/<cell>_clients.csv": AFFINITY_CLIENTS,
    "affinity/<cell>_check.csv": AFFINITY_CHECK,
    "inference.csv": INFERENCE,
    "inference/metrics.csv": INFERENCE_METRICS,
}
