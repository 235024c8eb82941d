"""Every script of the library on ten seeds, with the bug it is for and without: how often it came to its end,
and how often the verdict saw what it was to see.

    python tests/benchmarks/bench_scripts.py [SEEDS [SCRIPT ...]]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).resolve().parents[2]),
    str(Path(__file__).resolve().parents[1] / "nemesis"),
]

from script_runs import CASES, SAFETY, invalid  # noqa: E402


def main(seeds: int, scripts: Sequence[str]) -> None:
    """A line for each."""
    known = [case.script for case in CASES]
    if unknown := [name for name in scripts if name not in known]:
        sys.exit(f"{unknown[0]}: no such script; there are: {', '.join(known)}")
    print(f"{'script':24} {'at its end':>10} {'alarms':>7} {'found':>7}   of {seeds} seeds")
    with tempfile.TemporaryDirectory() as scratch:
        for case in [case for case in CASES if case.script in (scripts or known)]:
            correct = [case.run(seed, Path(scratch), bug=False) for seed in range(seeds)]
            wrong = [case.run(seed, Path(scratch), bug=True)[0] for seed in range(seeds)]
            ended = sum(reached for _, reached in correct)
            alarms = sum(bool(invalid(done, (*SAFETY, "liveness"))) for done, _ in correct)
            found = sum(bool(invalid(done, case.lines)) for done in wrong)
            print(f"{case.script:24} {ended:10} {alarms:7} {found:7}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, sys.argv[2:])
