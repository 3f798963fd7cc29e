"""Hold the configuration of runs of personalised models: data, clients, families, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from devices.errors import DeviceError
from devices.profile import Profile, find_profile, profile_names
from harness.config import RunConfig, option
from harness.core.errors import HarnessError, UsageError, unknown
from harness.workloads.personalized.methods.registry import CONTROLS, TAUGHT, ClubMethod
from models.personalized.families import FAMILIES, family_of

BY_DEVICE = "by-device"
"""Of `families`: what the profile of each client's device can train."""

DATA_NAMES = ("digits", "glyphs", "fashion-mnist")
SPLITS = ("dirichlet", "classes", "iid")
TEACHERS = "pfedclub:groups=4"

QUICK: Mapping[str, Any] = {
    "clients": 6, "clients_per_round": 6, "rounds": 2, "idle_s": 1.0,
    "methods": ("local", "smooth", "fedproto", f"{TEACHERS},candidates=2",
                f"{TEACHERS},limit=0.1,candidates=2"),
}  # fmt: skip
"""What `--quick` changes, unless the option is given too."""


@dataclass(frozen=True)
class ClubConfig(RunConfig):
    """Say what a run of personalised models trains, beside what every run says."""

    workload: str = option("personalized", "what is trained (harness.list workloads)",
                           metavar="NAME")  # fmt: skip
    methods: tuple[str, ...] = option(
        ("local", "smooth", "fedproto", "fedmd", TEACHERS, f"{TEACHERS},limit=0.1"),
        "methods to compare, with parameters as in pfedclub:groups=4,limit=0.1", metavar="LIST",
    )  # fmt: skip
    accelerator: str = option("cpu", "what trains: cpu, as the networks are small", metavar="NAME")
    data: str = option(
        "digits", "data set: " + ", ".join(DATA_NAMES) + ", or a folder of images", metavar="NAME"
    )
    images: int = option(0, "images to take; 0 is all there are")
    data_seed: int = option(1, "who owns which images is drawn by it and the learning seed")
    split: str = option("dirichlet", "how classes lie: " + ", ".join(SPLITS), metavar="NAME")
    concentration: float = option(0.5, "of the dirichlet split; small is uneven")
    classes_each: int = option(2, "classes of a client, of the split classes")
    public_share: float = option(0.08, "share of images that no client owns and all may see")
    no_public_labels: bool = option(False, "throw the labels of public images away")
    style: float = option(1.0, "how far hands of generated glyphs differ")
    families: tuple[str, ...] = option(
        ("dense", "mobile", "small", "deep", "residual", "wide"),
        "networks of the clients in turn: " + ", ".join(FAMILIES) + f"; or {BY_DEVICE}",
        metavar="LIST",
    )
    client_devices: tuple[str, ...] = option(
        (), "devices that the clients stand for, in turn (harness.list devices)", metavar="LIST"
    )
    clients: int = option(12, "clients")
    clients_per_round: int = option(12, "clients that train in a round")
    rounds: int = option(5, "rounds")
    epochs: int = option(3, "local epochs per round")
    batch_size: int = option(16, "images per training step")
    learning_rate: float = option(3e-3, "Adam's rate")
    evaluate_every: int = option(1, "rounds from one test to the next")

    least: ClassVar[Mapping[str, float]] = {
        **RunConfig.least,
        "clients": 1, "clients_per_round": 1, "rounds": 1, "epochs": 1, "batch_size": 2,
        "learning_rate": 1e-12, "evaluate_every": 1, "concentration": 1e-3, "classes_each": 2,
        "public_share": 0.0, "style": 0.0, "images": 0, "data_seed": 0,
    }  # fmt: skip
    most: ClassVar[Mapping[str, float]] = {
        **RunConfig.most,
        "clients": 10_000, "clients_per_round": 10_000, "rounds": 100_000, "epochs": 10_000,
        "batch_size": 1_000_000, "learning_rate": 1e4, "evaluate_every": 1_000_000,
        "concentration": 1e6, "classes_each": 10_000, "public_share": 0.9, "style": 10.0,
        "images": 100_000_000, "data_seed": 2**53,
    }  # fmt: skip
    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        **RunConfig.choices, "split": SPLITS, "accelerator": ("cpu",),
    }  # fmt: skip

    @classmethod
    def presets(cls, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `quick` changes, unless the option is given too."""
        return dict(QUICK) if chosen.get("quick") else {}

    def completed(self, chosen: Mapping[str, Any]) -> ClubConfig:
        """Return it with no more clients in a round than there are, and with the controls.

        What teachers teach says nothing without training alone and a teacher that knows nothing.
        """
        config = self
        if "clients_per_round" not in chosen and self.clients_per_round > self.clients:
            config = replace(config, clients_per_round=self.clients)
        names = [text.partition(":")[0] for text in self.methods]
        missing = [name for name in CONTROLS if name not in names]
        if missing and set(names) & set(TAUGHT):
            config = replace(config, methods=(*missing, *config.methods))
        return config

    def problems(self) -> list[HarnessError]:
        """Return everything that makes the configuration impossible."""
        found = super().problems()
        if self.clients_per_round > self.clients:
            text = f"{self.clients_per_round} clients per round of {self.clients} is impossible"
            found.append(UsageError(text, "Lower --clients-per-round or raise --clients."))
        found += self._family_problems()
        looks_like_a_path = "/" in self.data or Path(self.data).expanduser().is_dir()
        if self.data not in DATA_NAMES and not looks_like_a_path:
            found.append(unknown("data set", self.data, DATA_NAMES))
        return found

    def _family_problems(self) -> list[HarnessError]:
        found: list[HarnessError] = [
            unknown("device in --client-devices:", device, profile_names())
            for device in self.client_devices
            if not _is_device(device)
        ]
        if self.families == (BY_DEVICE,):
            if not self.client_devices:
                found.append(UsageError(
                    "--families by-device needs the devices of the clients",
                    "Name them: --client-devices raspberry-pi-zero-2,jetson-orin-nano",
                ))  # fmt: skip
            return found
        known = (*FAMILIES, BY_DEVICE)
        found += [unknown("family", name, known) for name in self.families if name not in FAMILIES]
        if not self.families:
            found.append(UsageError("--families is empty", f"Known: {', '.join(known)}"))
        return found

    def spec_problems(self, spec: ClubMethod) -> list[HarnessError]:
        """Return what makes the parameters of a method impossible here."""
        found: list[HarnessError] = []
        rule = spec.rule()
        if rule.labels and self.no_public_labels:
            remedy = "Leave out --no-public-labels."
            if "labels" in spec.parameters():
                remedy += f" Or train without them: {with_labels_off(spec)}"
            found.append(UsageError(
                f"{spec.text} needs labels of public images, and there are none", remedy,
            ))  # fmt: skip
        if spec.name in TAUGHT and not self._family_problems():
            groups, blocks = int(spec.parameters()["groups"]), self.fewest_blocks(spec)
            if groups > blocks:
                found.append(UsageError(
                    f"{spec.text}: {groups} groups of {blocks} blocks is impossible",
                    f"Give groups from 1 to {blocks}.",
                ))  # fmt: skip
        return found

    def fewest_blocks(self, spec: ClubMethod) -> int:
        """Return how many blocks are compared in a round at least, whoever is drawn.

        Those of all clients that train, or of the averages of their families.
        """
        families = self.client_families()
        if spec.parameters().get("average"):
            counts = sorted((families.count(name) for name in set(families)), reverse=True)
            drawn = next(n for n in range(1, len(counts) + 1)
                         if sum(counts[:n]) >= self.clients_per_round)  # fmt: skip
            sizes = sorted(len(FAMILIES[name].blocks) + 2 for name in set(families))
            return sum(sizes[:drawn])
        own = sorted(len(FAMILIES[name].blocks) + 2 for name in families)
        return sum(own[: self.clients_per_round])

    def client_profiles(self) -> tuple[Profile | None, ...]:
        """Return the profile of each client's device; None of those that stand for none."""
        if not self.client_devices:
            return (None,) * self.clients
        profiles = [find_profile(name) for name in self.client_devices]
        return tuple(profiles[i % len(profiles)] for i in range(self.clients))

    def client_families(self) -> tuple[str, ...]:
        """Return the family of each client."""
        if self.families == (BY_DEVICE,):
            return tuple(family_of(p.compute.flop_per_s) for p in self.client_profiles() if p)
        return tuple(self.families[i % len(self.families)] for i in range(self.clients))


def _is_device(name: str) -> bool:
    try:
        find_profile(name)
    except DeviceError:
        return False
    return True


def with_labels_off(spec: ClubMethod) -> str:
    """Return a method as typed without labels."""
    name, _, rest = spec.text.partition(":")
    pieces = [p for p in rest.split(",") if p and not p.startswith("labels=")]
    return f"{name}:{','.join([*pieces, 'labels=no'])}"
