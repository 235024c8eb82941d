"""What ``bench_andrew`` prints: a column for each way to run the service, and the paper's table beside it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from andrew_phases import PHASES, Run

GOAL = 1.03
UNREPLICATED = "unreplicated"
DISK = "unrepl. fsync"
"""What NFS-std is to the paper: one server, whose changes are on its disk before it answers."""
PAPER = {
    "BFS-nr": (0.35, 5.08, 6.11, 7.41, 32.12),
    "BFS strict": (0.55, 9.24, 7.24, 8.77, 38.68),
    "BFS r/o lookup": (0.47, 7.91, 6.45, 7.87, 38.38),
    "NFS-std": (1.75, 9.46, 5.36, 6.60, 39.35),
}
"""Seconds by phase (OSDI'99, tables 2 and 3): four 133 MHz Alphas, 10 Mbit/s Ethernet."""


def print_tables(
    medians: Mapping[str, Run], runs: Mapping[str, Sequence[Run]], replicated: Sequence[str]
) -> None:
    """Everything, to stdout. ``replicated``: which of the columns are."""
    base = medians[UNREPLICATED]
    print(f"\n{'phase':18}{'operations':>11}" + _row(medians))
    for i, name in enumerate(PHASES):
        cells = [_cell(run.phases[i].seconds, base.phases[i].seconds) for run in medians.values()]
        print(f"{f'{i + 1} {name}':18}{base.phases[i].operations:>11}" + _row(cells))
    totals = {name: run.total for name, run in medians.items()}
    cells = [_cell(total.seconds, base.total.seconds) for total in totals.values()]
    print(f"{'total':18}{base.total.operations:>11}" + _row(cells))
    spread = [sorted(run.total.seconds for run in several) for several in runs.values()]
    print(f"{'  of all rounds':29}" + _row(f"{one[0]:.2f} - {one[-1]:.2f}" for one in spread))
    print(f"{'  waiting for it':29}" + _row(f"{total.waited:.2f}" for total in totals.values()))
    each = [1000 * total.waited / total.operations for total in totals.values()]
    print(f"{'  of that an operation, ms':29}" + _row(f"{ms:.2f}" for ms in each))
    print(f"{'  its processor time':29}" + _row(f"{run.server_seconds:.2f}" for run in medians.values()))
    print(f"{'own work':29}" + _row(f"{run.own_seconds:.2f}" for run in medians.values()))
    equal = with_equal_work(medians)
    cells = [_cell(seconds, equal[UNREPLICATED]) for seconds in equal.values()]
    print(f"{'total with equal own work':29}" + _row(cells))
    print("\nTimes in seconds. Reads are ordered and durability is none unless the column says otherwise.")
    for line in verdict(medians, replicated):
        print(line)
    _print_paper()


def with_equal_work(medians: Mapping[str, Run]) -> dict[str, float]:
    """Totals if the client's own work, which is the same for all, had taken the same time everywhere."""
    own = statistics.median(run.own_seconds for run in medians.values())
    return {name: own + run.total.waited for name, run in medians.items()}


def verdict(medians: Mapping[str, Run], replicated: Sequence[str]) -> list[str]:
    """What it says about the goal. On a machine where equal work took unequal time, nothing."""
    lines = []
    works = [run.own_seconds for run in medians.values()]
    quiet = max(works) <= GOAL * min(works)
    totals = {name: run.total.seconds for name, run in medians.items()} if quiet else with_equal_work(medians)
    if replicated:
        best = min(totals[name] for name in replicated) / totals[UNREPLICATED]
        words = "reached" if best <= GOAL else "not reached"
        if not quiet:
            words = (
                f"no verdict, since equal own work took {min(works):.2f} to {max(works):.2f} s; made equal"
            )
        lines.append(f"Goal: at most {GOAL - 1:.0%} over unreplicated: {words}; the best is {best - 1:+.1%}.")
    if replicated and DISK in totals:
        over = [f"{name} {totals[name] / totals[DISK] - 1:+.0%}" for name in replicated]
        lines.append(f"Over one server with a disk, as the paper's headline ({DISK}): {', '.join(over)}.")
    return lines


def _print_paper() -> None:
    print("\nThe paper's (OSDI'99; NFS-std: Digital Unix' NFS server, to its disk in phases 1, 2 and 5)\n")
    print(f"{'phase':29}" + _row(PAPER))
    for i, name in enumerate(PHASES):
        cells = [_cell(times[i], PAPER["BFS-nr"][i]) for times in PAPER.values()]
        print(f"{f'{i + 1} {name}':29}" + _row(cells))
    base = sum(PAPER["BFS-nr"])
    print(f"{'total':29}" + _row(_cell(sum(times), base) for times in PAPER.values()))
    print(
        "\nIts headline, 3 %, is BFS strict, which answers from memory, over NFS-std. Over its own\n"
        "unreplicated service, BFS-nr, BFS strict took 26 % more, and 20 % with read-only lookups."
    )


def _row(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>17}" for cell in cells)


def _cell(seconds: float, base: float) -> str:
    return f"{seconds:.2f} {seconds / base - 1:+6.0%}" if seconds != base else f"{seconds:.2f}       "
