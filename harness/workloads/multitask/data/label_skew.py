"""Say how the classes of training pictures lie; plain data, so that options need no NumPy."""

from __future__ import annotations

from dataclasses import dataclass

NONE, DIRICHLET, CLASSES = "none", "dirichlet", "classes"
LABEL_SKEWS = (NONE, DIRICHLET, CLASSES)


@dataclass(frozen=True)
class LabelSkew:
    """Say how classes lie.

    Attributes:
        kind: `dirichlet` mixes of classes, or so many `classes` each.
        clients: how many.
        seed: number of the draw.
        concentration: of the Dirichlet distribution; small is uneven.
        classes_each: of a client, of the kind `classes`.
    """

    kind: str
    clients: int
    seed: int
    concentration: float = 0.5
    classes_each: int = 2

    @property
    def words(self) -> str:
        """Return what people read."""
        if self.kind == DIRICHLET:
            return f"classes as Dirichlet {self.concentration:g} draws them"
        return f"{self.classes_each} classes a client"
