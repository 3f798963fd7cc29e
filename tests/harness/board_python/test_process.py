"""Another Python trains as this one does, and its failures are told in words."""

import os
import shutil
import signal
import sys
import venv
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.board_python import process as process_module
from harness.board_python.process import BoardProcess, usable_program
from harness.board_python.trainers import Board, BoardTrainers
from harness.core.errors import (
    BoardPythonError,
    GpuLostError,
    MemoryExceededError,
    StepRefusedError,
)
from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.trainers import RoundRequest
from harness.running.limits import Limits
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.board import MODULES
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from harness.workloads.multitask.training.copy import train_copy
from harness.workloads.multitask.training.local_rule import GradNorm, ProjectedGradients, Proximal
from harness.workloads.multitask.training.step_trial import Material, StepTrials
from harness.workloads.multitask.wire import MultitaskWire
from models.execution import parse_execution
from models.multitask.losses import named
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.tasks import SEMANTIC_CLASSES
from models.multitask.weighting import Balanced
from tests.harness.run_folder.conftest import Runner, manifest, only

TASKS = "sdn"
RULES = (
    None,
    Balanced(),
    Balanced(1.5, logs=True),
    GradNorm(1.5, 0.01),
    ProjectedGradients(),
    Proximal(0.1),
)


class FewPictures:
    """Hold two clients with pictures of noise; both a source and what is sent of it."""

    modules = MODULES
    normalisation = dict.fromkeys(TASKS, (0.0, 1.0))
    masked = False
    depth_unit_m = 1.0

    def __init__(self, size_px=32, images=9):
        self._size = (images, size_px, size_px)

    @property
    def facts(self):
        pairs = {task: [0.0, 1.0] for task in TASKS}
        return {"network": "small", "loss": "plain", "masked": False, "depth_unit_m": 1.0,
                "normalisation": pairs}  # fmt: skip

    def arrays(self, client):
        random = np.random.default_rng(client)
        return {
            "rgb": random.integers(0, 256, (*self._size, 3), np.uint8),
            "s": random.integers(0, SEMANTIC_CLASSES, self._size).astype(np.uint8),
            "d": random.random(self._size, np.float32).astype(np.float16),
            "n": random.random((*self._size, 3), np.float32).astype(np.float16),
        }

    def split(self, split, client):
        return self.arrays(client)

    def length(self, split, client):
        return self._size[0]


def request(rule=None, epochs=2, batch_size=4, clients=(0, 1), mode="exact"):
    """Ask for a round that measures affinity."""
    affinity = AffinityRule(mode)
    training = LocalTraining(
        epochs, batch_size, rule=rule, look_ahead_every=2, affinity=affinity, nesterov=True
    )
    return RoundRequest(TASKS, tuple(TASKS), 3, clients, 7, RoundSettings(training, 0.05, True))


def round_of(execution):
    training = LocalTraining(1, 4, execution=execution)
    return RoundSettings(training, 0.05, measuring=False)


def net_and_weights():
    net = build(architecture("small"), TASKS, 0, named("plain", masked=False))
    return net, Checkpoint({n: t.clone() for n, t in net.state_dict().items()})


def both_ways(board, asked, images=9):
    """Yield for each client what this process makes of it, and what the other does."""
    net, weights = net_and_weights()
    for client in asked.clients:
        order = asked.order(client)
        here = train_copy(
            net, weights, FewPictures(images=images), asked, client, order, SilentObserver()
        )
        here = replace(here, tensors={n: t.clone() for n, t in here.tensors.items()})
        board.provide(client)
        yield here, board.train(weights, asked, client, SilentObserver())


@pytest.fixture(scope="module")
def board():
    """Start this very Python once: importing PyTorch takes seconds."""
    pictures = FewPictures()
    with BoardProcess(sys.executable, pictures, 1, "auto") as other:
        yield Board(other, pictures, MultitaskWire())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_the_same_pytorch_gives_the_same_bits(rule, board, one_thread):
    """Weights, losses and affinities of two clients, under every rule; one of them in parts."""
    mode = "proximal" if isinstance(rule, Balanced) else "exact"
    for here, (answer, tensors) in both_ways(board, request(rule, mode=mode)):
        assert set(tensors) == set(here.tensors)
        for name, tensor in here.tensors.items():
            assert torch.equal(tensors[name], tensor), name
        assert answer["losses"] == here.losses
        assert answer["measured"] == MultitaskWire.measured(here.measured)
        assert answer["peak_memory_bytes"] > 50e6


def test_a_way_is_compared_there_as_it_is_here(board, one_thread):
    """To the last figure on one PyTorch; what is not fp32 is judged as such, faults are words."""
    for way in ("contiguous", "bf16", "tf32"):
        settings = round_of(parse_execution(way))
        material = Material(
            architecture("small"), FewPictures(), [1], named("plain", masked=False),
            torch.device("cpu"),
        )  # fmt: skip
        here = StepTrials(material, settings).check(settings.training.execution, "sd")
        assert board.compare(1, "sd", settings) == here
        assert bool(here.fault) == (way == "tf32" or here.cosine < here.least_cosine)


FAULTY = """
import torch

honest = torch.nn.Conv2d._conv_forward

def halved(self, images, weight, bias):
    if self.kernel_size == (2, 2) and images.is_contiguous():
        weight = torch.cat([weight[:, :, :1], 0.0 * weight[:, :, 1:]], 2)
    return honest(self, images, weight, bias)

torch.nn.Conv2d._conv_forward = halved
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return Runner(tmp_path_factory.mktemp("cache"))


@pytest.mark.whole
@pytest.mark.parametrize("broken", [False, True])
def test_a_run_asks_the_python_that_trains_about_its_way(broken, runner, tmp_path):
    """This process computes right either way; what the other one sums wrongly ends the run."""
    (tmp_path / "sitecustomize.py").write_text(FAULTY if broken else "")
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    out = tmp_path / "out"
    plan = {"board_python": str(program), "step": "contiguous", "methods": ("all-in-one",)}
    if broken:
        with pytest.raises(StepRefusedError, match=r"--step contiguous: under PyTorch .*merged"):
            runner.run(out, **plan)
        assert not list(out.glob("*"))
        return
    runner.run(out, limits=Limits(time_s=1e-9), **plan)
    told = manifest(only(out))
    assert told["step"]["execution"] == "fp32+contiguous+loop"
    assert told["step"]["checked"]["torch"] == told["accelerator"]["torch"]
    (way,) = told["step"]["checked"]["ways"]
    assert way["fault"] == ""
    assert set(way["agreement"]) == {"merged", "single"}
    assert runner.run(out, **plan).rows[0]["status"] == "done"
    assert manifest(only(out))["step"] == told["step"]


class Noted(SilentObserver):
    """Note phases and work in the order in which they come."""

    def __init__(self):
        self.heard = []

    def phase(self, name, *, round_index=None, client=None):
        self.heard.append(name)
        return super().phase(name)

    def work(self, done):
        self.heard.append(dict(done.trained))


def test_phases_and_work_reach_the_observer(board, one_thread):
    """Look-aheads are a phase of their own; images trained on add up to epochs × full batches."""
    heard = Noted()

    class Weights:
        def sent(self, weights, client):
            return weights

        def expected(self, client):
            return net_and_weights()[1].tensors

    asked = BoardTrainers(board, heard).train(Weights(), net_and_weights()[1], request())
    updates = list(asked)
    assert [update.client for update in updates] == [0, 1]
    names = [entry for entry in heard.heard if isinstance(entry, str)]
    assert names == ["train", "affinity", "affinity"] * 2  # two batches an epoch, every second
    counted = [sum(w.values()) for w in heard.heard if isinstance(w, dict) and w]
    assert sum(counted) == 2 * 2 * 8 * (1 + len(TASKS))  # clients, epochs, images; parts of the net


def bare(folder):
    """Make a Python without packages."""
    venv.create(folder / "bare", with_pip=False, symlinks=True)
    return str(folder / "bare" / "bin" / "python")


def talkative(folder):
    """Make a program that prints words where a frame is expected."""
    path = folder / "talkative"
    path.write_text(
        "#!/bin/sh\necho 'Welcome to this board, whose Python greets you'\ncat > /dev/null\n"
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("bare", "ModuleNotFoundError: No module named 'numpy'"),
        ("/bin/false", "ended with status 1"),
        ("talkative", "something else than a frame"),
    ],
)
def test_a_program_that_cannot_train_says_why(tmp_path, program, words):
    """No traceback of ours, and no process left behind."""
    text = {"bare": bare, "talkative": talkative}.get(program, lambda _: program)(tmp_path)
    with pytest.raises(BoardPythonError, match=words):
        BoardProcess(text, FewPictures(), 1, "cpu")


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(BoardPythonError, match="there is no such program"):
        usable_program(str(tmp_path / "python3.6"))


@pytest.mark.whole
@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has a GPU")
def test_a_gpu_that_is_not_there_is_told(board):
    """`cuda` is refused; `auto` takes the processor."""
    assert board.facts["name"] == "cpu"
    with pytest.raises(BoardPythonError, match="CUDA"):
        BoardProcess(sys.executable, FewPictures(), 1, "cuda")


@pytest.mark.whole
def test_one_that_is_killed_is_an_error(one_thread):
    """The last words and the signal are told."""
    pictures = FewPictures()
    with BoardProcess(sys.executable, pictures, 1, "cpu") as other:
        board = Board(other, pictures, MultitaskWire())
        os.kill(other.pid, signal.SIGKILL)
        with pytest.raises(BoardPythonError, match="signal 9"):
            board.provide(0)


def test_a_request_that_fails_leaves_the_process_usable(board, one_thread):
    """A client whose data were not sent is refused in words; another is trained."""
    with pytest.raises(BoardPythonError, match="KeyError"):
        board.train(net_and_weights()[1], request(), 5, SilentObserver())
    board.provide(0)
    assert board.train(net_and_weights()[1], request(), 0, SilentObserver())


def test_memory_that_runs_out_is_told_as_such():
    """Whatever Python calls it, so that the batch can be lowered."""
    words = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert isinstance(process_module._failure("p", words), MemoryExceededError)
    assert isinstance(process_module._failure("p", "ValueError: x"), BoardPythonError)


@pytest.mark.whole
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_gpu_that_fails_there_is_told_as_here():
    """In an answer, or in the last words of a process that CUDA has ended."""
    words = "RuntimeError: CUDA error: unspecified launch failure"
    assert isinstance(process_module._failure("python3", words), GpuLostError)
    assert type(process_module._failure("python3", "RuntimeError: shapes")) is BoardPythonError


@pytest.mark.whole
def test_a_program_may_pass_its_words_on_to_a_shell_elsewhere(tmp_path, one_thread):
    """As ssh does, which joins its words for the shell there (docs/jetson-nano.md)."""
    away = tmp_path / "away"
    away.write_text(f'#!/bin/bash\nexec bash -c "{sys.executable} $(printf \'%q \' "$@")"\n')
    away.chmod(0o755)
    pictures = FewPictures()
    with BoardProcess(usable_program(str(away)), pictures, 1, "cpu") as other:
        board = Board(other, pictures, MultitaskWire())
        board.provide(0)
        assert board.train(net_and_weights()[1], request(), 0, SilentObserver())
