"""What one seed of a virtual world costs, as `sweep` runs it: one forked child that runs and judges.

Processor time of all processes involved is what counts, so a number is per core. Others who use the machine
make every number larger; so what is compared runs in turns, seed by seed and round by round, and of each seed
the least of its rounds counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness import one_run
from harness.plan import make_plan
from harness.spec import make_spec
from harness.trial import Trial, trial
from harness.virtual.virtual_run import run_virtual

ASKED: Mapping[str, object] = {
    "world": "sim",
    "workload": {"name": "kv", "keys": 5},
    "time": 10,
    "rate": 9.5,
    "clients": 5,
    "faults": ["kill", "pause", "partition"],
}
"""n = 4, about 95 operations and 5 final reads, 3 faults."""


class Failed(Exception):
    """A seed that was to show what a good run costs was none."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run them."""

    name: str
    asked: Mapping[str, object] = field(default_factory=dict)
    """Beside ``ASKED``, or in its place."""
    world: one_run.RunWorld | None = None
    """Another way to carry out the plan than lean trials have."""


LEAN = Way("sim")
NO_SHARING = Way("sim, every replica for itself", world=partial(run_virtual, journal=False, share=False))
WITH_JOURNALS = Way("sim, with journals", world=partial(run_virtual))
KEYED_HASH = Way("sim, signer keyed-hash", {"virtual": {"signer": "keyed-hash"}})
LOCKSTEP = Way("lockstep", {"world": "lockstep"})


@dataclass(slots=True)
class Cost:
    """Of one way, the least of each seed so far. Times in s."""

    all_s: dict[int, float] = field(default_factory=dict)
    run_s: dict[int, float] = field(default_factory=dict)
    every_s: list[float] = field(default_factory=list)
    """Of every trial, the disturbed ones, too."""
    virtual_s: dict[int, float] = field(default_factory=dict)
    operations: dict[int, int] = field(default_factory=dict)

    def add(self, seed: int, done: Trial) -> None:
        """One more trial."""
        self.all_s[seed] = min(done.cpu_s, self.all_s.get(seed, done.cpu_s))
        run_s = done.cpu_s - done.judge_cpu_s
        self.run_s[seed] = min(run_s, self.run_s.get(seed, run_s))
        self.every_s.append(done.cpu_s)
        self.virtual_s[seed] = done.virtual_ns / 1e9
        self.operations[seed] = done.operations["ok"]

    def a_seed_s(self, *, judged: bool = True) -> float:
        """In the mean."""
        costs = self.all_s if judged else self.run_s
        return sum(costs.values()) / len(costs)

    def a_minute(self, *, judged: bool = True) -> float:
        """Seeds per minute of one core."""
        return 60 / self.a_seed_s(judged=judged)

    def times_real(self) -> float:
        """Virtual seconds in a second of one core, judging included."""
        return sum(self.virtual_s.values()) / sum(self.all_s.values())


def measure(ways: Sequence[Way], seeds: range, rounds: int, scratch: Path) -> dict[str, Cost]:
    """By name. Raises Failed."""
    costs = {way.name: Cost() for way in ways}
    plans = {
        (way.name, seed): make_plan(make_spec({**ASKED, **way.asked}), seed) for way in ways for seed in seeds
    }
    for plan in plans.values():
        one_run.get_ready(plan)
    for round_ in range(rounds + 1):
        for seed in seeds[:1] if round_ == 0 else seeds:  # round 0 is for warming up
            for way in ways:
                done = trial(plans[way.name, seed], scratch, world=way.world)
                if done.exit_code:
                    raise Failed(f"{way.name}, seed {seed}: {done.summary()}")
                if round_:
                    costs[way.name].add(seed, done)
    return costs
