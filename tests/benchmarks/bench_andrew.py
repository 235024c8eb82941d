"""``make bench-andrew``: the paper's headline, a file workload on a replicated file service (section 7.3).

The same five phases, the same client and the same service, unreplicated and replicated by four processes,
round after round in turn, so that what disturbs the machine disturbs all alike. Ratios are to the
unreplicated service, which checks and makes no signatures and no MACs, as in the paper. Leaves nothing
behind, also when interrupted. Exit codes: 0 measured (goal met or not) · 1 a cluster stalled · 2 wrong use
· 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import monotonic

import machine
import psutil
from andrew_phases import PHASES, Andrew, Run, find_compiler, median_of
from andrew_tables import DISK, GOAL, PAPER, UNREPLICATED, print_tables
from caller import Caller
from file_client import ATTRIBUTES_SECONDS, FileClient
from load import Stalled
from servers import Servers, make_cluster, replicas, stop_on_signals, unreplicated
from source_tree import Tree, make_tree
from unreplicated import NoKeys

from pbft_node.core.cluster import Cluster
from pbft_node.core.operations import encode_fields


@dataclass(frozen=True, slots=True)
class Column:
    """One way to run the service."""

    name: str
    replicated: bool = True
    durability: str = "none"
    settings: Mapping[str, object] = field(default_factory=dict)
    """Of the cluster."""


Runs = dict[str, list[Run]]
FAST = {"reads": "fast"}
ALL_COLUMNS = (
    Column(UNREPLICATED, replicated=False),
    Column(DISK, replicated=False, durability="fsync"),
    Column("ordered"),
    Column("fast reads", settings=FAST),
    Column("mac, fast reads", settings={"client_auth": "mac", **FAST}),
    Column("write", durability="write"),
    Column("fsync", durability="fsync"),
)
COLUMNS = tuple(c for c in ALL_COLUMNS if c.settings.keys() <= {f.name for f in fields(Cluster)})


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    compiler = None if options.language == "python" else find_compiler()
    if options.language == "c" and compiler is None:
        print(
            "bench-andrew: no C compiler (cc, gcc, clang) on the PATH: use --language python", file=sys.stderr
        )
        return 2
    stop_on_signals()
    tree = make_tree("c" if compiler else "python", options.scale)
    about = machine.describe() | {
        "compiler": compiler or "Python's own",
        "files": len(tree),
        "bytes": sum(len(content) for content in tree.values()),
        "file system of the logs": _file_system(tempfile.gettempdir()),
    }
    _say_what_runs(about, options.rounds, options.keep_cache)
    chosen = [COLUMNS[0], *(column for column in COLUMNS[1:] if column.name in options.columns)]
    runs: Runs = {column.name: [] for column in chosen}
    try:
        for number in range(options.rounds):
            turn = number % len(chosen)
            for column in chosen[turn:] + chosen[:turn]:
                runs[column.name].append(_run(column, tree, compiler, options.keep_cache))
                took = runs[column.name][-1].total.seconds
                print(f"round {number + 1} of {options.rounds}, {column.name}: {took:.2f} s", flush=True)
    except Stalled as problem:
        print(f"bench-andrew: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-andrew: interrupted; everything it started is gone", file=sys.stderr)
        return 130
    medians = {name: median_of(several) for name, several in runs.items()}
    print_tables(medians, runs, [column.name for column in chosen if column.replicated])
    if options.json is not None:
        options.json.write_text(json.dumps(_as_json(about, medians, runs), indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench-andrew", description="A file workload like Andrew's, replicated and not."
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="of every column (3)")
    parser.add_argument("--scale", type=_positive, default=1, help="copies of the source tree (1)")
    names = [column.name for column in COLUMNS[1:]]
    parser.add_argument("--columns", nargs="+", choices=names, default=names, help="beside unreplicated")
    parser.add_argument(
        "--language", choices=("c", "python"), help="of the sources; C where it can be compiled"
    )
    parser.add_argument("--keep-cache", action="store_true", help="from phase to phase; emptied unless told")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 1 to 100")
    return number


def _run(column: Column, tree: Tree, compiler: str | None, keep_cache: bool) -> Run:
    """One column, once, on a service of its own."""
    with _service(column) as (servers, caller), _scratch() as scratch:
        client = FileClient(caller.call, monotonic)
        andrew = Andrew(client, tree, scratch, compiler, lambda: caller.waited, keep_cache=keep_cache)
        andrew.put_sources()
        before = sum(servers.cpu_ns())
        phases = andrew.run()
        return Run(tuple(phases), (sum(servers.cpu_ns()) - before) / 1e9)


@contextmanager
def _service(column: Column) -> Iterator[tuple[Servers, Caller]]:
    """Running, empty, and answering."""
    cluster = make_cluster(service="files", **column.settings)
    with ExitStack() as stack:
        if column.replicated:
            servers = stack.enter_context(replicas(cluster, durability=column.durability))
            caller = Caller(servers, fast_reads="reads" in column.settings)
        else:
            servers = stack.enter_context(unreplicated(cluster, crypto=False, durability=column.durability))
            caller = Caller(servers, needed=1, keys=NoKeys())
        stack.callback(caller.close)
        caller.call(encode_fields(b"statfs"), needed=cluster.n if column.replicated else 1)
        caller.waited = 0.0
        yield servers, caller


def _file_system(folder: str) -> str:
    """Its kind: a sync costs nothing on tmpfs, and much on a disk."""
    mounts = [
        part for part in psutil.disk_partitions(all=True) if Path(folder).is_relative_to(part.mountpoint)
    ]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "not known"


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder in memory where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="traitor-andrew-", dir=memory if memory.is_dir() else None
    ) as name:
        yield Path(name)


def _say_what_runs(about: dict[str, object], rounds: int, keep_cache: bool) -> None:
    cache = "is kept from phase to phase" if keep_cache else "is empty when a phase begins"
    print("machine: " + ", ".join(f"{name} {value}" for name, value in about.items()))
    words = machine.warning(about)
    if words:
        print(words)
    print(
        f"""
The client is a library with the cache of an NFS client, not the kernel's own: that would need FUSE. It
trusts names and attributes for {ATTRIBUTES_SECONDS:g} s, data while the time of modification is the same, and
keeps what is written until close; this cache {cache}. One client, one operation at a time.
{rounds} rounds of everything in turn; each cell is the median, and how much more than unreplicated.
""",
        flush=True,
    )


def _as_json(about: dict[str, object], medians: dict[str, Run], runs: Runs) -> dict[str, object]:
    def plain(run: Run) -> dict[str, object]:
        return {
            "total_seconds": run.total.seconds,
            "server_processor_seconds": run.server_seconds,
            "phases": [
                {"phase": name, "seconds": p.seconds, "operations": p.operations, "waited_seconds": p.waited}
                for name, p in zip(PHASES, run.phases, strict=True)
            ],
        }

    base = medians[COLUMNS[0].name].total.seconds
    columns = {
        name: {
            "ratio": run.total.seconds / base,
            "median": plain(run),
            "rounds": list(map(plain, runs[name])),
        }
        for name, run in medians.items()
    }
    return {
        "schema": "traitor/bench-andrew/1",
        "machine": about,
        "goal_ratio": GOAL,
        "columns": columns,
        "paper_seconds": {name: list(values) for name, values in PAPER.items()},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
