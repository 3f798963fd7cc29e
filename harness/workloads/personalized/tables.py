"""Name the tables that only runs of personalised models have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.schema import Column

CLIENTS_FILE = "personalized/<cell>_clients.csv"
TEACHERS_FILE = "personalized/<cell>_teachers.csv"
COSTS_FILE = "personalized/<cell>_costs.csv"

CLIENTS = (
    Column("client", "int", "", "Client, from 0."),
    Column("family", "str", "", "Family of its network."),
    Column("device", "str", "", "Device it stands for, or in a fleet the one that trained it; empty if it stands for none."),
    Column("parameters", "int", "", "Trained parameters of its network."),
    Column("train_images", "int", "images", "Its images for training."),
    Column("test_images", "int", "images", "Its images for tests."),
    Column("rounds_trained", "int", "rounds", "Rounds in which it was drawn."),
    Column("accuracy", "float", "", "Share of its test images named rightly after the last round, as it has trained its network itself; empty if it is not counted."),
    Column("start_accuracy", "float", "", "The same of what it would begin the next round from."),
    Column("not_counted", "str", "", "Why its accuracy is in no mean; empty if it is."),
    Column("time_s", "float", "s", "Seconds of its charged phases on the host that trained."),
    Column("cpu_s", "float", "s", "Processor seconds of these."),
    Column("energy_j", "float", "J", "Joules measured in them; empty without a valid measurement."),
    Column("time_model_s", "float", "s", "Modelled seconds of the same work on its device."),
    Column("energy_model_j", "float", "J", "Modelled joules of the same work on its device; without one on the host. Never a measurement."),
    Column("download_bytes", "int", "B", "Bytes that the method sends to it."),
    Column("upload_bytes", "int", "B", "Bytes that it sends."),
    Column("memory_model_bytes", "int", "B", "Modelled memory of its training: program, network, gradients, Adam's moments, features, teacher. Not measured."),
    Column("peak_memory_bytes", "int", "B", "Peak resident memory of the device that trained it; empty where clients share a process."),
)  # fmt: skip

TEACHERS = (
    Column("round", "int", "rounds", "Round index from 0 at whose end the teacher was made."),
    Column("client", "int", "", "Client that it is for."),
    Column("groups", "int", "", "Groups of blocks."),
    Column("searched", "int", "", "Chains of blocks that were found."),
    Column("fit", "int", "", "Of these within the limit of size, its own network left out."),
    Column("tried", "int", "", "Of these built, tuned and matched."),
    Column("reason", "str", "", "Why there is no teacher; empty if there is one."),
    Column("alpha", "float", "", "Mean cosine of its logits and the client's own on the public images."),
    Column("teacher_parameters", "int", "", "Its parameters, stitches included."),
    Column("parameters", "int", "", "Parameters of the client's own network."),
    Column("ratio", "float", "", "Teacher's by the client's parameters; growth φ is this minus 1."),
    Column("stitch_parameters", "int", "", "Parameters of its stitches."),
    Column("foreign_blocks", "int", "", "Blocks of others in it."),
    Column("own_won", "bool", "", "True if it is the client's own network."),
    Column("teacher_accuracy", "float", "", "Its accuracy on the client's test images."),
    Column("path", "str", "", "Its blocks, as c4.2>c2.3>c1.3: client, place in that client's network from 1."),
)  # fmt: skip

COSTS = (
    Column("party", "str", "", "clients or server."),
    Column("phase", "str", "", "Phase, as in phases.csv."),
    Column("time_s", "float", "s", "Seconds on the host that ran, all rounds."),
    Column("cpu_s", "float", "s", "Processor seconds."),
    Column("energy_j", "float", "J", "Measured joules; empty without a valid measurement of all of it."),
    Column("energy_model_j", "float", "J", "Modelled joules. Never a measurement."),
)  # fmt: skip

FILES: Mapping[str, Sequence[Column]] = {
    CLIENTS_FILE: CLIENTS, TEACHERS_FILE: TEACHERS, COSTS_FILE: COSTS,
}  # fmt: skip

MEASURES = {
    "accuracy": ("", "Test accuracy of a client's network, as it has trained it itself; without task: the mean over clients."),
    "start_accuracy": ("", "The same of what a client begins a round from."),
    "accuracy_worst": ("", "Least accuracy of any client after the last round."),
    "accuracy_sd_clients": ("", "Standard deviation of accuracy over clients."),
    "server_time_s": ("s", "Seconds of the server's charged phases."),
    "server_energy_j": ("J", "Joules measured in them."),
    "server_energy_model_j": ("J", "Modelled joules of them."),
    "server_memory_model_bytes": ("B", "Modelled memory of the server: program, all clients' networks and teachers, two candidates."),
    "candidates_searched": ("", "Chains of blocks that were found, all rounds."),
    "candidates_tried": ("", "Of these built, tuned and matched."),
    "teacher_ratio_mean": ("", "Mean over rounds and clients of teacher's by client's parameters."),
    "teacher_ratio_max": ("", "The largest."),
    "teacher_accuracy_mean": ("", "Mean accuracy of teachers on their clients' test images."),
    "rounds_without_teacher": ("", "Client-rounds at whose end there was no teacher."),
    "limit_violations": ("", "Teachers larger than the limit; always 0."),
    "clients_left_out": ("", "Client-rounds left out of grouping."),
    "clients_not_counted": ("", "Clients whose accuracy is in no mean."),
}  # fmt: skip


def measures_page() -> str:
    """Return the section on what `metrics.csv` holds of these runs."""
    rows = [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in MEASURES.items()]
    head = ["## Measures of personalised models", "", "Rows of `metrics.csv`; the task is a client.",
            "", "| metric | unit | meaning |", "|---|---|---|"]  # fmt: skip
    return "\n".join([*head, *rows])
