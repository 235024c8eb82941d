"""Objects that grow are kept short by moving on: a key that had its share is followed by a fresh one.

Each client counts for itself (``k3`` is followed by ``k3.1``), so that the choices of one do not depend on
another's; an object stays within its most all the same.
"""

from __future__ import annotations

from .parameters import Parameter, Settings

_LONGEST_RESULT_BYTES = 32 * 1024
"""An object is read in one reply: with long elements it is followed by a fresh one sooner."""
_ELEMENT_OVERHEAD_BYTES = 16


def most_parameter(name: str, default: int, what: str) -> Parameter:
    """How large an object may grow, in elements."""
    return Parameter(name, default, "elements", f"when a {what} was given so many, a fresh key follows it",
                     low=1, high=2000)  # fmt: skip


class Growth:
    """Names keys by number and by how much each client put there."""

    def __init__(self, settings: Settings, most: str, clients: int) -> None:
        element_bytes = settings.count("value_bytes") + _ELEMENT_OVERHEAD_BYTES
        longest = min(settings.count(most), _LONGEST_RESULT_BYTES // element_bytes)
        self._share = max(1, longest // max(1, clients))
        self._put: dict[tuple[int, int], int] = {}

    def key(self, client: int, number: int) -> str:
        """The one this client uses now."""
        generation = self._put.get((client, number), 0) // self._share
        return f"k{number}" if generation == 0 else f"k{number}.{generation}"

    def put(self, client: int, number: int) -> None:
        """This client plans to put one element more there."""
        self._put[client, number] = self._put.get((client, number), 0) + 1
