"""What shrinking leaves beside the smallest plan: ``shrink.json``, and ``REPRODUCE.md`` for people."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import store
from harness.plan import Plan
from harness.plan_file import plan_text
from harness.reproduce import Original
from harness.request import SECOND_NS
from harness.run_record import write_json, write_text
from harness.shrink.bases import Base
from harness.shrink.search import Progress, Step
from harness.shrink.sizes import Size, size_of
from harness.spec import LIVE
from harness.violation import Violation
from harness.virtual.asked import in_words
from harness.virtual.settings import Virtual, host_name

SCHEMA = "traitor/shrink/1"
_MOST_LINES = 60
"""Of what the plan does."""
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Record:
    """All about one shrinking."""

    original: Original
    failure: Violation
    base: Base
    progress: Progress
    ended: str
    jobs: int
    seconds: float

    @property
    def interrupted(self) -> bool:
        """Somebody ended it."""
        return self.ended.startswith("stopped by")


def write_record(folder: Path, plan: Plan, record: Record, verdict: Mapping[str, object]) -> None:
    """Both files. Raises HarnessError."""
    write_json(folder / "shrink.json", _data(plan, record))
    write_text(folder / "REPRODUCE.md", _note(folder, plan, record, verdict))


def _data(plan: Plan, record: Record) -> dict[str, object]:
    original, progress, base = record.original, record.progress, record.base
    return {
        "schema": SCHEMA,
        "of": {
            "run": str(original.folder),
            "plan_sha256": hashlib.sha256(plan_text(original.plan).encode()).hexdigest(),
            "world": original.plan.world,
            "seed": original.plan.seed,
            "violations": [asdict(one) for one in original.violations],
        },
        "kept": asdict(record.failure),
        "began": {"world": base.plan.world, "seed": base.plan.seed, "tried": base.tried},
        "before": size_of(original.plan).data(),
        "after": size_of(plan).data(),
        "ended": record.ended,
        "jobs": record.jobs,
        "seconds": round(record.seconds, 3),
        "tried": progress.tried,
        "accepted": progress.accepted,
        "moves": _by_move(progress),
        "steps": [_step(step) for step in progress.steps],
        "steps_not_listed": progress.tried - len(progress.steps),
    }


def _by_move(progress: Progress) -> list[dict[str, object]]:
    moves: dict[str, list[Step]] = {}
    for step in progress.steps:
        moves.setdefault(step.move, []).append(step)
    return [
        {
            "move": move,
            "tried": len(steps),
            "accepted": sum(step.accepted for step in steps),
            "seconds": round(sum(step.seconds for step in steps), 3),
        }
        for move, steps in moves.items()
    ]


def _step(step: Step) -> dict[str, object]:
    data: dict[str, object] = {
        "move": step.move,
        "accepted": step.accepted,
        "size": step.size.data(),
        "seconds": round(step.seconds, 3),
    }
    return data | ({"note": step.note} if step.note else {})


def _note(folder: Path, plan: Plan, record: Record, verdict: Mapping[str, object]) -> str:
    manifest = store.read_object(folder / "manifest.json")
    environment = manifest.get("environment")
    python = environment.get("python") if isinstance(environment, dict) else None
    exactly = (
        "Real processes race: it may take several runs."
        if plan.world == LIVE
        else f"World `{plan.world}`: every run of it is the same, byte for byte."
    )
    steps = f"{record.progress.accepted} steps of {record.progress.tried} tried"
    lines = [
        f"# {_plain(str(record.failure))}",
        "",
        "In this folder:",
        "",
        "    traitor run --plan plan.json",
        "",
        f"It ends with exit code 1, and the verdict says: {_reason(verdict, record.failure)}",
        "",
        exactly,
        "",
        *_sizes(size_of(record.original.plan), size_of(plan)),
        "",
        f"Shrunk from `{_plain(record.original.folder.name)}` (seed {record.original.plan.seed}, world "
        f"`{record.original.plan.world}`) in {steps}; "
        f"{record.ended}. Each step was run and failed the same way: `shrink.json`.",
        "",
        "## What the plan does",
        "",
        *(f"    {line}" for line in _timeline(plan)),
        "",
        "## Versions",
        "",
        f"- traitor {_plain(manifest.get('version'))}, commit {_plain(manifest.get('commit'))}",
        f"- Python {_plain(python)}",
    ]
    if os.environ.get("PYTHONPATH"):
        lines.append(f"- PYTHONPATH was `{_code(os.environ['PYTHONPATH'])}`: what it holds may be needed")
    return "\n".join(lines) + "\n"


def _reason(verdict: Mapping[str, object], failure: Violation) -> str:
    lines = verdict.get("lines")
    for line in lines if isinstance(lines, list) else []:
        if line.get("name") == failure.line and line.get("verdict") == "invalid":
            return f"{failure.line} invalid: {_plain(line.get('reason'))}"
    return f"{failure.line} invalid."


def _sizes(before: Size, after: Size) -> Iterator[str]:
    yield "| | before | after |"
    yield "|---|---|---|"
    then, now = before.data(), after.data()
    for name in then:
        old, new = (
            f"{one[name] / SECOND_NS:g} s" if name == "duration_ns" else str(one[name]) for one in (then, now)
        )
        yield f"| {name.removesuffix('_ns').replace('_', ' ')} | {old} | {new} |"


def _timeline(plan: Plan) -> Iterator[str]:
    """What happens when, as far as there is room; for a block of code, where only ends of lines matter."""
    events = [(0, 0, f"{plan.nodes} replicas, {plan.workload}, load of {plan.duration_ns / SECOND_NS:g} s")]
    for number, client in enumerate(plan.clients):
        for planned in client.operations:
            one = planned.operation
            given = "" if one.input is None else f" {json.dumps(one.input)}"
            events.append((planned.at_ns, 2, f"client {number}: {one.f} {one.key}{given}"))
    for fault in plan.faults:
        until = f"until {fault.stop_ns / SECOND_NS:g} s"
        what = f"{fault.id}: {fault.kind} {json.dumps(dict(fault.params))} {until}"
        events.append((fault.start_ns, 1, what))
    events.sort(key=lambda event: event[:2])
    for at_ns, _, text in events[:_MOST_LINES]:
        yield f"{at_ns / SECOND_NS:8.3f} s  {store.printable(text)[:_LONGEST]}"
    if len(events) > _MOST_LINES:
        yield f"… and {len(events) - _MOST_LINES} more: see plan.json"
    yield from _network(plan)
    for read in plan.final_reads[:_MOST_LINES]:
        yield f"{'at the end':>10}  {store.printable(f'{read.f} {read.key}')[:_LONGEST]}"


def _network(plan: Plan) -> Iterator[str]:
    """What a virtual one is like, and what the plan itself decides in it."""
    virtual = plan.virtual
    if virtual is None:
        return
    settings = {name: value for name, value in in_words(virtual).items() if name != "latency"}
    usual = in_words(Virtual())
    odd = [f"{name} {value}" for name, value in settings.items() if value != usual[name]]
    yield f"{'network':>10}  {', '.join((json.dumps(virtual.latency.data())[:_LONGEST], *odd))}"
    if virtual.schedule is not None:
        yield f"{'':>10}  datagrams arrive in the order of schedule.jsonl, as far as it can be followed"
    for one in virtual.deliveries[:_MOST_LINES]:
        took = " and ".join(f"{delay_ns / 1e6:g} ms" for delay_ns in one.delays_ns)
        link = f"{host_name(one.source)} to {host_name(one.target)}"
        yield f"{'':>10}  datagram {one.nth} from {link}: {f'under way {took}' if took else 'lost'}"
    if len(virtual.deliveries) > _MOST_LINES:
        yield f"{'':>10}  … and {len(virtual.deliveries) - _MOST_LINES} more: see plan.json"


def _code(value: str) -> str:
    """Between backticks, where nothing but these is markup."""
    return store.printable(value)[:_LONGEST].replace("`", "·")


def _plain(value: object) -> str:
    """Hostile text for Markdown: one line, no markup, not endless."""
    text = store.printable(value)[:_LONGEST]
    return "".join(character if character not in "`<>[]|*_\\" else "·" for character in text)
