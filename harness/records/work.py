"""Count the work of a phase, from which modelled time and energy of another device are computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Hold counted work; what is counted is the workload's to say.

    Attributes:
        forwards: samples × forward-equivalents by part of a model.
        trained: samples through forward and backward of training steps, by kind of part.
        bytes_moved: memory traffic outside of models, such as a server's averaging.
    """

    forwards: Mapping[str, float] = field(default_factory=dict)
    trained: Mapping[str, int] = field(default_factory=dict)
    bytes_moved: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            {p: self.forwards.get(p, 0.0) + other.forwards.get(p, 0.0)
             for p in {**self.forwards, **other.forwards}},
            {p: self.passes(p) + other.passes(p) for p in {**self.trained, **other.trained}},
            self.bytes_moved + other.bytes_moved,
        )  # fmt: skip

    def passes(self, kind: str) -> int:
        """Return the samples that went through training passes of a kind of part."""
        return self.trained.get(kind, 0)

    def amounts(self) -> Iterator[tuple[str, float, str]]:
        """Yield kind, amount and unit of all that was counted, as work.csv lists it."""
        for part, count in self.forwards.items():
            yield f"forward {part}", count, "samples"
        for part, count in self.trained.items():
            yield f"trained {part}", count, "samples"
        if self.bytes_moved:
            yield "bytes moved", self.bytes_moved, "B"
