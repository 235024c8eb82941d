"""Does the ledger charge what the faults say of themselves, no less and no more?

The ledger excuses replicas, so nobody may be in it whom no fault made bad, nor as a liar whom none makes lie.
And it accuses: who is done something to and is not in it would be held to promises that he cannot keep. Each
fault tells its own charge when it is asked for (from its parameters, before anything happened), and later
whom it made bad so far; the ledger comes from what was observed of it. A fault counts from when it was asked
for until it is undone. Runs of a harness that was too old to write charges are held to less: such a fault may
make anybody bad while it lasts, and what only kills, pauses and cuts makes nobody a liar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from checker.run_facts import Charge, FaultStep, Ledger

HONEST_FAULTS = frozenset({"kill", "pause", "partition"})
"""What they befall says nothing false, and is surely bad."""
_Span = tuple[int, int]


@dataclass(slots=True)
class _Work:
    """A fault from when it was asked for."""

    fault: str
    kind: str
    charge: Charge | None
    """None: the harness was too old to tell."""
    begin_ns: int
    end_ns: int
    effect_ns: int | None = None
    proved: frozenset[int] = frozenset()
    """Whom it had made bad when it took effect."""
    bad: frozenset[int] = frozenset()
    """Whom it made bad at any time."""
    known: bool = False
    """It was to be undone: so `bad` has all."""

    @property
    def span(self) -> _Span:
        return self.begin_ns, self.end_ns

    @property
    def vague(self) -> bool:
        """It may have made anybody bad."""
        return self.charge is None or (self.charge.any_of > 0 and not self.known)


def contradictions(ledger: Ledger, steps: Sequence[FaultStep]) -> Iterator[str]:
    """Each in a sentence."""
    begin_ns = min((window.from_ns for window in ledger.windows), default=0)
    end_ns = max((window.to_ns for window in ledger.windows), default=0)
    works: dict[str, _Work] = {}
    for step in steps:
        yield from _take(works, step, begin_ns, end_ns)
    faults = list(works.values())
    for work in faults:
        yield from _itself(work, ledger.n)
    yield from _liars(ledger, faults, {step.kind for step in steps})
    yield from _missing(ledger, faults)
    yield from _too_many(ledger, faults)


def _take(works: dict[str, _Work], step: FaultStep, begin_ns: int, end_ns: int) -> Iterator[str]:
    """One line more. Spans are cut to what the ledger covers."""
    time_ns = min(max(step.time_ns, begin_ns), end_ns)
    work = works.get(step.fault)
    if step.step == "asked":
        if work is not None:
            yield f"faults.jsonl: fault {step.fault[:60]} was asked for twice"
            return
        works[step.fault] = _Work(step.fault[:60], step.kind, step.charge, time_ns, end_ns)
    elif step.step == "no-effect":
        return
    elif work is None:
        yield f"faults.jsonl: fault {step.fault[:60]} {step.step[:20]}, but it was never asked for"
    else:
        work.bad |= step.bad or frozenset()
        if step.step == "took-effect":
            work.effect_ns, work.proved = time_ns, step.bad or frozenset()
        elif step.step == "undone":
            work.end_ns = time_ns
        work.known |= step.step != "took-effect"


def _itself(work: _Work, n: int) -> Iterator[str]:
    if work.charge is None:
        return
    beyond = sorted(r for r in work.charge.bad | work.charge.byzantine | work.bad if r >= n)
    if beyond:
        yield f"faults.jsonl: fault {work.fault} charges replicas {beyond}, but there are only {n}"
    if not work.charge.byzantine <= work.charge.bad:
        liars = sorted(work.charge.byzantine - work.charge.bad)
        yield f"faults.jsonl: fault {work.fault} makes replicas {liars} lie without calling them bad"
    more = sorted(work.bad - work.charge.bad)
    if more and not work.charge.any_of:
        yield f"faults.jsonl: fault {work.fault} made replicas {more} bad, whom it does not charge"


def _liars(ledger: Ledger, faults: Sequence[_Work], kinds: set[str]) -> Iterator[str]:
    """Byzantine are those whom some fault charged as liars at any time, and no others."""
    charged = frozenset[int]().union(*(work.charge.byzantine for work in faults if work.charge))
    silent, more = sorted(charged - ledger.byzantine), sorted(ledger.byzantine - charged)
    if silent:
        yield f"ledger.json does not call replicas {silent} Byzantine, but faults charge them as liars"
    if more and all(work.charge for work in faults):
        yield f"ledger.json: replicas {more} are Byzantine, but no fault charges them as liars"
    elif more and kinds <= HONEST_FAULTS:
        yield f"ledger.json: replicas {more} are Byzantine, but the faults were {', '.join(sorted(kinds))}"


def _missing(ledger: Ledger, faults: Sequence[_Work]) -> Iterator[str]:
    """Who or what is charged, and not in the ledger."""
    bad = _bad(ledger, ())
    anybody = _joined((w.from_ns, w.to_ns) for w in ledger.windows if w.bad)
    slow = _joined((w.from_ns, w.to_ns) for w in ledger.windows if w.asynchronous)
    for work in faults:
        at_work = None if work.effect_ns is None else (work.effect_ns, work.end_ns)
        if at_work and work.kind in HONEST_FAULTS and not _inside(at_work, anybody):
            yield f"ledger.json calls no replica bad at a time when fault {work.fault} was at work"
        charged = work.charge.bad if work.charge else frozenset[int]()
        for replica in sorted(charged | work.proved):
            span = work.span if replica in charged else at_work
            if span and not _inside(span, bad.get(replica, ())):
                yield (
                    f"ledger.json does not call replica {replica} bad all the time that fault {work.fault} "
                    f"made it so, from {span[0]} to {span[1]} ns"
                )
        if work.charge and work.charge.network and not _inside(work.span, slow):
            yield f"ledger.json does not call the network asynchronous while fault {work.fault} made it so"


def _too_many(ledger: Ledger, faults: Sequence[_Work]) -> Iterator[str]:
    """Who or what is in the ledger, and not charged by any fault."""
    vague = _joined(work.span for work in faults if work.vague)
    charged: dict[int, list[_Span]] = defaultdict(list)
    for work in faults:
        for replica in work.bad | (work.charge.bad if work.charge else frozenset()):
            charged[replica].append(work.span)
    for replica, spans in sorted(_bad(ledger, vague).items()):
        allowed = _joined(charged[replica])
        stray = next((span for span in spans if not _inside(span, allowed)), None)
        if stray is not None:
            yield (
                f"ledger.json calls replica {replica} bad from {stray[0]} to {stray[1]} ns, "
                "when no fault was asked for that makes it so"
            )
    slowing = _joined(work.span for work in faults if work.charge is None or work.charge.network)
    for window in ledger.windows:
        if window.asynchronous and not _inside((window.from_ns, window.to_ns), slowing):
            yield (
                f"ledger.json calls the network asynchronous from {window.from_ns} ns on, when no fault was "
                "asked for that makes it so"
            )


def _bad(ledger: Ledger, without: Sequence[_Span]) -> Mapping[int, list[_Span]]:
    """When each replica is called bad, but for the windows inside of these spans."""
    spans: dict[int, list[_Span]] = defaultdict(list)
    for window in ledger.windows:
        if window.bad and not _inside((window.from_ns, window.to_ns), without):
            for replica in window.bad:
                spans[replica].append((window.from_ns, window.to_ns))
    return {replica: _joined(found) for replica, found in spans.items()}


def _inside(span: _Span, joined: Sequence[_Span]) -> bool:
    """Is it empty, or inside one of them?"""
    if span[0] >= span[1]:
        return True
    at = bisect_right(joined, span[0], key=lambda one: one[0]) - 1
    return at >= 0 and joined[at][1] >= span[1]


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    """Overlapping spans made one."""
    joined: list[_Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined
