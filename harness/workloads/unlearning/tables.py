"""Describe the tables that only unlearning runs have: a row per request, and a row per scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.schema import Column

REQUESTS_FILE = "requests/<cell>.csv"
SUMMARY_FILE = "unlearning.csv"

REQUESTS: tuple[Column, ...] = (
    Column("cell", "str", "", "Cell that answered."),
    Column("board", "int", "", "Board of a fleet, from 0; empty on one device."),
    Column("scenario", "str", "", "batch: many users at once; stream: one request after another. Each begins with the model as prepared."),
    Column("request", "int", "", "Number of the request in its scenario, from 1."),
    Column("users", "str", "", "Who is forgotten, by their names in the data."),
    Column("user_count", "int", "", "How many they are."),
    Column("status", "str", "", "done, or refused: nothing was changed and nothing is charged."),
    Column("reason", "str", "", "Why it was refused."),
    Column("shards_touched", "int", "", "Models that were changed."),
    Column("time_s", "float", "s", "Seconds of answering it once: window_s by one and the repeats.", format=".4f"),
    Column("energy_j", "float", "J", "Measured joules of answering it once; empty without a meter, or with a window that is too short for one.", format=".3f"),
    Column("energy_error_j", "float", "J", "Bound on the error of energy_j.", format=".3f"),
    Column("energy_reason", "str", "", "Why energy_j is empty."),
    Column("energy_model_j", "float", "J", "Modelled joules of answering it once, over the same window; never a measurement. Runs before this was so have those of the first time alone.", format=".3f"),
    Column("window_s", "float", "s", "Seconds of answering it once and of all repeats."),
    Column("window_energy_j", "float", "J", "Measured joules of that window, however short it is.", format=".3f"),
    Column("window_energy_error_j", "float", "J", "Bound on the error of window_energy_j.", format=".3f"),
    Column("repeats", "int", "", "Times it was answered again on the state before, so that the meter could see it; not charged to the cell."),
    Column("begun_before", "int", "", "Times it was begun and broken off before, as by a power cut; each time it was done anew as a whole."),
    Column("ndcg_20", "float", "", "NDCG@20 of those who stay, after it."),
)  # fmt: skip

SUMMARY: tuple[Column, ...] = (
    Column("cell", "str", "", "Cell."),
    Column("board", "int", "", "Board of a fleet, from 0; empty on one device."),
    Column("method", "str", "", "Method as typed."),
    Column("seed", "int", "", "Seed of data, weights and choice of users."),
    Column("repeat", "int", "", "Repeat of the measurement."),
    Column("scenario", "str", "", "batch or stream."),
    Column("who", "str", "", "Who asked: random, core (most active), edge (least active), or file."),
    Column("guarantee", "str", "", "exact: the result is that of training without the users (of shards: given the partition, which they had a part in); approximate: nothing is promised."),
    Column("completeness", "str", "", "What may be said of it: exact, or whether an attack succeeds."),
    Column("requests", "int", "", "Requests answered."),
    Column("refused", "int", "", "Requests refused."),
    Column("users_forgotten", "int", "", "Users forgotten in all."),
    Column("batch_size", "float", "users", "Users of a request, on average.", format=".1f"),
    Column("shards_touched", "float", "", "Models changed by a request, on average.", format=".2f"),
    Column("setup_time_s", "float", "s", "Seconds of being ready: partition, pre-training for it, and learning."),
    Column("setup_energy_j", "float", "J", "Measured joules of being ready."),
    Column("setup_energy_error_j", "float", "J", "Bound on the error of setup_energy_j."),
    Column("setup_energy_model_j", "float", "J", "Modelled joules of being ready."),
    Column("request_time_s", "float", "s", "Mean seconds of a request.", format=".4f"),
    Column("request_time_p95_s", "float", "s", "95th percentile by nearest rank; of fewer than 20 requests that is the longest.", format=".4f"),
    Column("longest_wait_s", "float", "s", "Wait of the last request if all came at once.", format=".4f"),
    Column("request_energy_j", "float", "J", "Mean measured joules of a request, over the windows of all.", format=".3f"),
    Column("request_energy_error_j", "float", "J", "Bound on its error.", format=".3f"),
    Column("request_energy_p95_j", "float", "J", "95th percentile by nearest rank of requests that were measured each alone; empty if one was not.", format=".3f"),
    Column("request_energy_reason", "str", "", "Why request_energy_j is empty."),
    Column("request_energy_model_j", "float", "J", "Mean modelled joules of a request, over the same windows as its seconds.", format=".3f"),
    Column("cost_basis", "str", "", "What the next two compare: measured energy, or time where one of both has none."),
    Column("ratio_to_retrain", "float", "", "Cost of a request against training anew, same seed and scenario.", format=".4f"),
    Column("break_even_requests", "float", "", "Requests from which on being ready has paid against training anew; inf: never.", format=".1f"),
    Column("ndcg_20_before", "float", "", "NDCG@20 of all users before any request."),
    Column("ndcg_20", "float", "", "NDCG@20 (ideal cut at 20) of those who stay, after the last request."),
    Column("recall_20", "float", "", "Recall@20 of the same."),
    Column("hit_20", "float", "", "Share of them with a hit among 20."),
    Column("a_igf", "float", "", "NDCG@20 of the 5 % most active who stay less that of the others."),
    Column("shard_gf", "float", "", "Variance over shards of their mean NDCG@20.", format=".6f"),
    Column("mia_user", "float", "", "Chance that a deleted user's trained pair outscores a held-out one, by the model's own scores; 0.5: cannot be told."),
    Column("mia_user_low", "float", "", "Lower end of its 95 % bootstrap interval over users."),
    Column("mia_user_high", "float", "", "Upper end."),
    Column("mia_item", "float", "", "The same by a vector fitted to half of a user's items: what the items still know; the mean over users."),
    Column("mia_item_low", "float", "", "Lower end of its 95 % bootstrap interval over users."),
    Column("mia_item_high", "float", "", "Upper end."),
    Column("mia_user_before", "float", "", "mia_user before any request."),
    Column("mia_item_before", "float", "", "mia_item before any request."),
    Column("agreement", "float", "", "Share of the top 20 in common with training anew."),
    Column("agreement_floor", "float", "", "The same of two trainings anew that differ in their random numbers: no method can be asked for more."),
    Column("stored_bytes", "int", "B", "Vectors and weights that are kept to answer users and the next request."),
    Column("orphan_items", "int", "", "Items that nobody who stays has trained; they are ranked as they began."),
    Column("users_without_test", "int", "", "Users who stay, and are in no mean as nothing of theirs was held out."),
)  # fmt: skip

FILES: Mapping[str, Sequence[Column]] = {REQUESTS_FILE: REQUESTS, SUMMARY_FILE: SUMMARY}
