"""What replication costs one client: latency of the replicated service over that of the same, unreplicated.

All servers stand by at once and one client asks each of them in turn, a few operations at a time
(A B C A B C …), so that whatever else the machine does hits all of them alike. A ratio is one of medians.
The paper's numbers are from its table of the micro-benchmark (OSDI '99, section 7.2): requests and replies
of the kilobytes named, a service that does nothing, and a baseline without any cryptography.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from load import LoadGenerator
from servers import Servers, make_cluster, replicas, unreplicated
from unreplicated import NoKeys

from pbft_node.core.services.null import zeros

KIB = 1024
SHAPES = (("0/0", 0, 0), ("4/0", 4 * KIB, 0), ("0/4", 0, 4 * KIB))
"""(argument/result in KiB, bytes of the argument, of the result)."""
PAPER_ORDERED = {"0/0": 4.1, "4/0": 3.1, "0/4": 1.7}
PAPER_READS = {"0/0": 2.0, "4/0": 1.5, "0/4": 1.3}
OPERATIONS_AT_A_TIME = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to measure. ``baseline``: the subject it is compared with, None for a baseline."""

    name: str
    settings: dict[str, object]
    baseline: str | None
    crypto: bool = True
    read: bool = False


OPEN = "unreplicated, no crypto"
SUBJECTS = (
    Subject(OPEN, {}, None, crypto=False),
    Subject("unreplicated, signed requests", {}, None),
    Subject("unreplicated, MACs", {"client_auth": "mac"}, None),
    Subject("hybrid", {}, "unreplicated, signed requests"),
    Subject("client_auth mac", {"client_auth": "mac"}, "unreplicated, MACs"),
    Subject("hybrid, fast reads", {"reads": "fast"}, "unreplicated, signed requests", read=True),
    Subject("mac, fast reads", {"client_auth": "mac", "reads": "fast"}, "unreplicated, MACs", read=True),
)


class Arena:
    """All servers, up and answering, with their clients."""

    def __init__(self, stack: ExitStack, subjects: tuple[Subject, ...]) -> None:
        self._generators: dict[tuple[str, str], LoadGenerator] = {}
        self.samples: dict[tuple[str, str], list[int]] = {}
        for subject in subjects:
            self._open(stack, subject)

    def _open(self, stack: ExitStack, subject: Subject) -> None:
        cluster = make_cluster(**subject.settings)
        alone = subject.baseline is None
        servers: Servers = stack.enter_context(
            unreplicated(cluster, crypto=subject.crypto) if alone else replicas(cluster)
        )
        generator = LoadGenerator(
            servers,
            1,
            b"",
            needed=1 if alone else None,
            keys=None if subject.crypto else NoKeys(),
            **({"read_only": True} if subject.read else {}),
        )
        stack.callback(generator.close)
        generator.wait_ready(answering=1 if alone else cluster.n)
        for shape, _, _ in SHAPES:
            self._generators[subject.name, shape] = generator
            self.samples[subject.name, shape] = []

    def round(self) -> None:
        """A few operations of each shape at each subject."""
        for shape, argument, result in SHAPES:
            for (name, its_shape), generator in self._generators.items():
                if its_shape == shape:
                    generator.operation = zeros(result, argument)
                    load = generator.run(operations=OPERATIONS_AT_A_TIME, patience=10)
                    self.samples[name, shape] += load.latencies_ns


def run(quick: bool, subjects: tuple[Subject, ...] = SUBJECTS) -> list[dict[str, object]]:
    """A row per subject and shape."""
    with ExitStack() as stack:
        arena = Arena(stack, subjects)
        arena.round()
        for samples in arena.samples.values():
            samples.clear()
        for _ in range(5 if quick else 40):
            arena.round()
        return [_row(arena, subject, shape) for subject in subjects for shape, _, _ in SHAPES]


def _row(arena: Arena, subject: Subject, shape: str) -> dict[str, object]:
    def microseconds(name: str) -> float:
        return median(arena.samples[name, shape]) / 1000

    own = microseconds(subject.name)
    ordered = sorted(arena.samples[subject.name, shape])
    row: dict[str, object] = {
        "subject": subject.name,
        "KiB": shape,
        "median_us": round(own),
        "p99_us": round(ordered[len(ordered) * 99 // 100] / 1000),
    }
    if subject.baseline is not None:
        row["over_same_authentication"] = round(own / microseconds(subject.baseline), 2)
        row["over_no_crypto"] = round(own / microseconds(OPEN), 2)
        row["paper"] = (PAPER_READS if subject.read else PAPER_ORDERED)[shape]
    return row
