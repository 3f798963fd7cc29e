"""Hold one thing of a list that people see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Item:
    """Hold one thing listed: its name, whether it can be used here, what it is or why not.

    `below` are paragraphs that people see under it; JSON has their facts in `more`. `mark` stands
    before it instead of yes or no, where there is more than that to say.
    """

    name: str
    usable: bool
    text: str
    more: dict[str, Any] = field(default_factory=dict)
    below: tuple[str, ...] = ()
    mark: str = ""

    @property
    def shown_mark(self) -> str:
        """Return the word before the name."""
        return self.mark or ("yes" if self.usable else "no")

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON shows."""
        return {"name": self.name, "usable": self.usable, "text": self.text, **self.more}
