"""What is said of one weaker guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Guarantee:
    """`why` is a sentence. `details` are numbers to go with it, of operations or nanoseconds."""

    status: Literal["holds", "violated", "unknown"]
    why: str
    details: Mapping[str, int] = field(default_factory=dict)
    operations: tuple[int, ...] = ()
    """Indexes of those that show a violation."""

    def to_json(self) -> dict[str, object]:
        """As `details.guarantees` of a line has it."""
        shown: dict[str, object] = {"status": self.status, "why": self.why, **self.details}
        return shown | ({"operations": list(self.operations)} if self.operations else {})
