"""A small federation on a part of the digits."""

from types import SimpleNamespace

import pytest

from harness.federated.engine import RoundsEngine
from harness.federated.observer import SilentObserver
from harness.workloads.personalized.data.clubs import DataSettings, open_data
from harness.workloads.personalized.data.split import Division
from harness.workloads.personalized.federation import ClubSetup, TrainingSettings
from harness.workloads.personalized.job import ClubJob
from harness.workloads.personalized.rounds import ClubFederation

FAMILIES = ("tiny", "mobile", "dense", "small")


def small_club(seed=0, clients=4, **changes):
    division = Division(clients, public_share=0.36)
    return open_data(DataSettings("digits", division, keep=290, **changes)).club(seed)


def small_federation(seed=0, families=FAMILIES, per_round=None, **changes):
    club = small_club(seed, len(families), **changes)
    training = TrainingSettings(epochs=1, batch_size=16, learning_rate=3e-3)
    return ClubSetup(club, families, per_round or len(families), training, seed)


@pytest.fixture
def train():
    """Return what runs a method for two rounds and gives its outcome."""

    def run(method, rounds=2, federation=None, observer=None):
        fed = federation or small_federation()
        engine = RoundsEngine(ClubFederation(fed, 1), fed.seed, observer or SilentObserver())
        return engine.run(ClubJob(method, rounds))

    return run


@pytest.fixture
def small():
    """Return what makes small data and federations."""
    return SimpleNamespace(club=small_club, federation=small_federation)
