"""What a trial does: one lean run in a virtual world, or real ones; and what a network decided in a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness import one_run
from harness.errors import HarnessError
from harness.plan import Plan
from harness.shrink.trials import Attempt, Outcome
from harness.spec import VIRTUAL_WORLDS
from harness.store import Origin
from harness.trial import Trial, trial
from harness.violation import violations
from harness.virtual.deliveries import MAX_COPIES, MAX_DELIVERIES
from harness.virtual.network import Network
from harness.virtual.settings import Delivery
from harness.virtual.virtual_run import run_virtual
from harness.virtual.world import VirtualWorld

_SENT = "sent.json"


def virtual_attempt(plan: Plan, folder: Path) -> Outcome:
    """In ``sim`` or ``lockstep``: once is enough."""
    result = trial(plan, folder)
    failures = tuple((one.line, one.property) for one in result.violations)
    return Outcome(failures, "" if failures or not result.exit_code else result.reason())


def live_attempt(failure: tuple[str, str], tries: int) -> Attempt:
    """In ``live``: until a run fails that way, but no more than ``tries`` times."""

    def attempt(plan: Plan, folder: Path) -> Outcome:
        seen: dict[tuple[str, str], None] = {}
        for number in range(tries):
            place = folder / str(number)
            place.mkdir()
            done = one_run.run_plan(plan, place, "", Origin(plan.name, plan.seed, "", ""), quiet=True)
            seen |= {(one.line, one.property): None for one in violations(done.verdict)}
            if failure in seen:
                break
        return Outcome(tuple(seen), f"{number + 1} of {tries} runs")

    return attempt


def attempt_in(world: str, failure: tuple[str, str], tries: int) -> Attempt:
    """What a trial does in that world."""
    return virtual_attempt if world in VIRTUAL_WORLDS else live_attempt(failure, tries)


class Listening(Network):
    """A network that remembers what it decided."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.decided: list[tuple[int, int, int, tuple[int, ...]]] = []

    def fate(self, source: int, target: int, nth: int, size: int) -> tuple[int, ...]:
        """See ``Network``."""
        delays_ns = self._network.fate(source, target, nth, size)
        self.decided.append((source, target, nth, delays_ns))
        return delays_ns


def recorded_fates(plan: Plan, scratch: Path) -> Sequence[Delivery] | None:
    """The fate of every datagram in a run of the plan, in order. None: too many for a plan to hold."""
    found: list[Delivery] = []

    def world(folder: Path, quiet: bool) -> int:
        listening: list[Listening] = []

        def look(world: VirtualWorld) -> None:
            listening.append(Listening(world.network))
            world.network = listening[0]

        code = run_virtual(folder, quiet, journal=False, look=look)
        (folder / _SENT).write_text(json.dumps(listening[0].decided))
        return code

    def look(folder: Path, result: Trial) -> None:
        if result.error is not None:
            raise HarnessError(f"the network of a run could not be recorded: {result.error}")
        decided = json.loads((folder / _SENT).read_text())
        found.extend(Delivery(source, target, nth, tuple(delays)) for source, target, nth, delays in decided)

    trial(plan, scratch, look, world=world)
    assert all(len(one.delays_ns) <= MAX_COPIES for one in found)
    return found if len(found) <= MAX_DELIVERIES else None
