"""Flower's clients tell what they spent; the server writes it down and invents nothing."""

import math
import pickle
import sys
import time

import pytest

if sys.version_info < (3, 11):
    pytest.skip("Flower needs Python 3.11", allow_module_level=True)
pytest.importorskip("flwr")

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, FedMedian

from harness.adapters.flower import RECORD, EnergyMod, measured_strategy
from harness.adapters.flower_server import summed
from harness.evidence.judging import judge

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def asked(kind="train", node=1):
    """Return a message to a client."""
    content = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({"lr": 0.1})})
    return Message(content, dst_node_id=node, message_type=kind)


def context(**config):
    return Context(1, 1, config, RecordDict(), {})


def app_of(mod, metrics=None, error=None, seconds=0.1):
    """Return an app that sleeps and answers."""
    app = ClientApp(mods=[mod])

    def answer(message, context):
        time.sleep(seconds)
        if error is not None:
            raise error
        found = RecordDict({"metrics": MetricRecord(metrics or {"num-examples": 4})})
        return Message(found, reply_to=message)

    for register in (app.train(), app.train("twice"), app.evaluate(), app.query()):
        register(answer)
    return app


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """Be a program that a SuperLink or SuperNode started."""
    from flwr.supercore.task_identity import TaskIdentity  # noqa: PLC0415

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.mark.parametrize("kind", ["train", "evaluate", "train.twice"])
def test_a_reply_holds_seconds_joules_and_bytes(kind):
    mod = EnergyMod("simulated:high_w=10", rate_hz=50)
    app = app_of(mod)
    reply = app(asked(kind), context())
    metrics = reply.content["metrics"]
    assert metrics["num-examples"] == 4
    assert 0.1 <= metrics["time_s"] < 5.0
    assert metrics["energy_j"] == pytest.approx(
        10.0 * metrics["time_s"], abs=metrics["energy_error_j"]
    )
    assert metrics["received_bytes"] == sum(r.count_bytes() for r in asked().content.values())
    assert metrics["sent_bytes"] > 0
    told = reply.content[RECORD]
    assert (told["energy_meter"], told["energy_kind"]) == ("simulated", "counter")
    assert reply.content[RECORD].count_bytes() > 0  # as Flower's own mods count


def test_what_is_not_known_is_not_a_number_and_not_0():
    reply = app_of(EnergyMod("none"), seconds=0)(asked(), context())
    assert math.isnan(reply.content["metrics"]["energy_j"])
    assert reply.content["metrics"]["energy_model_j"] >= 0
    assert "no meter was asked for" in reply.content[RECORD]["energy_reason"]


def test_a_node_s_configuration_names_its_meter():
    reply = app_of(EnergyMod(), seconds=0)(asked(), context(meter="simulated"))
    assert reply.content[RECORD]["energy_meter"] == "simulated"


def test_queries_and_own_metrics_stay_as_they_are():
    app = app_of(EnergyMod("none"), {"num-examples": 4, "time_s": 7.0}, seconds=0)
    assert app(asked("query"), context()).content.keys() == {"metrics"}
    assert app(asked(), context()).content["metrics"]["time_s"] == 7.0


def test_an_app_s_error_passes_on_and_the_next_message_is_measured():
    mod = EnergyMod("simulated")
    with pytest.raises(KeyError):
        app_of(mod, error=KeyError("x"), seconds=0)(asked(), context())
    assert RECORD in app_of(mod, seconds=0)(asked(), context()).content


def test_a_mod_travels_to_other_processes():
    mod = EnergyMod("simulated", rate_hz=20)
    app_of(mod, seconds=0)(asked(), context())
    assert RECORD in app_of(pickle.loads(pickle.dumps(mod)), seconds=0)(asked(), context()).content


@pytest.mark.parametrize("kind", [FedAvg, FedMedian])
def test_any_strategy_aggregates_the_metrics(kind):
    replies = []
    for examples in (1, 3):
        app = app_of(EnergyMod("simulated", rate_hz=50), {"num-examples": examples}, seconds=0.02)
        reply = app(asked(), context())
        reply.content["arrays"] = ArrayRecord({})
        replies.append(reply)
    joules = [reply.content["metrics"]["energy_j"] for reply in replies]
    _, metrics = measured_strategy(kind()).aggregate_train(1, replies)
    assert metrics["energy_j"] == pytest.approx((joules[0] + 3 * joules[1]) / 4)


def told(**changes):
    """Return what one reply tells."""
    usual = {
        "start_s": 0.0, "end_s": 1.0, "host": "a", "energy_j": 5.0, "energy_error_j": 0.1,
        "energy_reason": "", "flags": "",
    }  # fmt: skip
    return {**usual, **changes}


def test_clients_of_two_hosts_add_up_and_of_one_host_at_once_do_not():
    later = told(start_s=1.0, end_s=2.0)
    assert summed([told(), later]).energy_j == 10.0
    assert summed([told(), told(host="b")]).energy_j == 10.0
    both = summed([told(), told(start_s=0.5, end_s=3.0)])
    assert both.energy_j is None
    assert "same time" in both.reason


def test_a_client_without_joules_leaves_no_sum():
    found = summed([told(), told(host="b", energy_j=None, energy_reason="no meter")])
    assert (found.energy_j, found.reason) == (None, "no meter")


@pytest.mark.filterwarnings("ignore")
def test_the_example_s_server_writes_a_run_folder(example, table):
    folder = example("flower_app.py")
    rows = table(folder, "devices")
    assert len(rows) == 9  # three clients, three rounds
    assert {row["round"] for row in rows} == {"0", "1", "2"}
    (cell,) = table(folder, "cells")
    assert (cell["status"], cell["rounds"], cell["clients"]) == ("done", "3", "3")
    assert float(cell["energy_j"]) == pytest.approx(
        10.0 * float(cell["time_s"]), abs=float(cell["energy_error_j"])
    )
    assert int(cell["upload_bytes"]) > 9 * 8 * 8  # nine models of eight doubles
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text.replace(cell["energy_j"], f"{cell['energy_j']}9"))
    assert not [f for f in judge(folder).findings if f.code == "sums"]  # the same to 1e-6
    (folder / "cells.csv").write_text(text.replace(cell["energy_j"], "1000.0"))
    assert [f.level for f in judge(folder).findings if f.code == "sums"] == ["damaged"]


def test_a_client_that_fails_or_does_not_measure_empties_the_sum(tmp_path):
    class Deaf(FedAvg):
        def start(self, grid):
            plain = app_of(lambda m, c, call: call(m, c), seconds=0)(asked(), context())
            plain.content["arrays"] = ArrayRecord({})
            self.aggregate_train(1, [plain])
            return "over"

    assert measured_strategy(Deaf(), out=tmp_path).start(None) == "over"
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    assert "does not measure itself" in (folder / "cells.csv").read_text()
