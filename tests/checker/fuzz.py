"""``make fuzz-checker``: engines against brute force on random small histories, as many as asked for.

    make fuzz-checker ARGS="--engine registers --histories 100000 --seed 7"

Each engine's row says how to make a history and how to decide it. What is explained is audited, what is
refuted must be wrong, and a core must refute by itself after the weakenings the models allow. Ends at the
first disagreement, with what makes it again. Exit codes: 0 no disagreement · 1 one · 2 wrong use.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import search_rows
import serial_truth
from brute_force import linearizable, random_case
from brute_objects import OBJECTS
from certificate_trials import wrong_certificate
from model_advice import wrong_advice
from register_histories import Case, is_unique, register_case
from serial_truth import random_transactions
from structure_histories import core_stands, is_decidable, small
from witness_truth import wrong_placement

from checker.audit import audit_order
from checker.engines.answers import Answer, Budget, Engine, Explained, Refuted, Undecided
from checker.engines.contest import decide_key
from checker.engines.polynomial import engine_for, registers
from checker.history import Operation
from checker.models import model_named
from checker.models.base import Model


def always(case: Case) -> bool:
    """The engine must decide every history."""
    return True


def never(case: Case) -> bool:
    """The engine need not decide any history."""
    return False


def is_refutable(case: Case) -> bool:
    """No order explains it."""
    return not linearizable(case.model, case.operations, case.initial)


@dataclass(frozen=True)
class Row:
    """`must_decide`: of which cases Undecided is a disagreement. `self_refuting`: cores are tried, too."""

    case: Callable[[random.Random], Case]
    decide: Engine
    must_decide: Callable[[Case], bool] = always
    self_refuting: bool = True
    core_refutes: Callable[[Model, Case, Sequence[int]], bool] | None = None
    """If not the function here of that name."""


def _by_model(model: Model, operations: Sequence[Operation]) -> Answer:
    engine = engine_for(model)
    assert engine is not None, model.kind
    return engine(model, operations)


def _structure(*names: str, must_decide: Callable[[Case], bool] = always) -> Row:
    return Row(small(*names), _by_model, must_decide, core_refutes=core_stands)


def searched(model: Model, operations: Sequence[Operation]) -> Answer:
    """What the search engine says, without the others."""
    found = decide_key(model, operations, Budget(seconds=20.0))
    if found.status == "explained":
        return Explained(found.order, found.dropped)
    return Refuted("refuted", ()) if found.status == "refuted" else Undecided(found.status)


@dataclass(frozen=True)
class Advice:
    """All advice of a model (`model_advice`); both orders of search are part of it."""

    name: str

    def case(self, rng: random.Random) -> Case:
        """A history that comes with the choices made about it."""
        return random_case(rng, self.name)


@dataclass(frozen=True)
class Certificates(Advice):
    """Moves and counterexamples under a model (`certificate_trials`)."""


@dataclass(frozen=True)
class Witness:
    """The order of execution of an object, with reads to be placed into it."""

    name: str

    def case(self, rng: random.Random) -> Case:
        """Only where its choices begin."""
        return Case(self.name, rng.randrange(2**60), ())

    def wrong(self, case: Case, counts: Counter[str] | None) -> str | None:
        """What the engine gets wrong."""
        return wrong_placement(random.Random(str(case.initial)), self.name, counts)


@dataclass(frozen=True)
class Transactions:
    """The judge of transactions: strict, session and plain serializability, by all serial orders."""

    repeats: bool
    """Elements may be appended more than once."""

    def case(self, rng: random.Random) -> Case:
        """A database that is correct, or forgets, delays, or mixes up now and then."""
        keys, most = rng.choice((1, 2, 3)), rng.choice((3, 4, 5, 6))
        operations = random_transactions(rng, keys=keys, most=most, repeats=self.repeats)
        return Case("list-append", None, tuple(operations))

    def wrong(self, case: Case, counts: Counter[str] | None) -> str | None:
        """What the judge gets wrong."""
        found = serial_truth.judge(case.operations)
        if counts is not None:
            counts[found.line.verdict] += 1
        return serial_truth.wrong(case.operations, complete=not self.repeats)


ENGINES: Mapping[str, Row | Advice | Witness | Transactions] = {
    "registers": Row(register_case, registers.decide, is_unique),
    "search breadth": Row(search_rows.any_case, search_rows.breadth),
    "search cuts": Row(search_rows.any_case, search_rows.from_cuts, never),
    "search depth": Row(search_rows.any_case, search_rows.depth),
    "search frontiers": Row(search_rows.any_case, search_rows.frontiers, is_refutable),
    "search only steps": Row(search_rows.any_case, search_rows.only_steps),
    "transactions": Transactions(repeats=False),
    "transactions repeating elements": Transactions(repeats=True),
    **{f"search of {name}": Row(partial(random_case, name=name), searched) for name in OBJECTS},
    **{f"advice of {name}": Advice(name) for name in OBJECTS},
    **{f"witness of {name}": Witness(name) for name in ("register", "append", "set", "queue", "counter")},
    **{f"certificates of {name}": Certificates(name) for name in OBJECTS},
    "lists": _structure("append"),
    "texts": _structure("growing text"),
    "tangled texts": _structure("kv-append of tangles", must_decide=never),
    "grow sets": _structure("grow-only-set"),
    "sets": _structure("flags"),
    "queues": _structure("plain queue"),
    "counters": _structure("unit counter", "counter", "falling counter", must_decide=is_decidable),
    "signed counters": _structure("signed counter", must_decide=is_decidable),
}


def disagreement(
    row: Row | Advice | Witness | Transactions, case: Case, counts: Counter[str] | None = None
) -> str | None:
    """What the engine gets wrong about `case`."""
    if isinstance(row, Certificates):
        return wrong_certificate(random.Random(str(case)), case)
    if isinstance(row, Transactions | Witness):
        return row.wrong(case, counts)
    if isinstance(row, Advice):
        return wrong_advice(random.Random(str(case)), case)
    model = model_named(case.model, case.initial)
    answer = row.decide(model, case.operations)
    truth = linearizable(case.model, case.operations, case.initial)
    if counts is not None:
        counts[_word(answer)] += 1
        if row.must_decide(case):
            counts["decidable"] += 1
    if isinstance(answer, Undecided):
        return f"undecided: {answer.why}" if row.must_decide(case) else None
    if isinstance(answer, Explained):
        if not truth:
            return f"explained by {list(answer.order)}, which brute force refutes"
        objection = audit_order(model, case.operations, answer.order, answer.dropped)
        return objection and f"explained by {list(answer.order)}, but: {objection}"
    if truth:
        return f"refuted ({answer.kind} {list(answer.core)}), but brute force explains it"
    if answer.kind == "impossible":
        return _possible(model, case, answer.core)
    refutes = row.core_refutes or core_refutes
    if answer.core and row.self_refuting and not refutes(model, case, answer.core):
        return f"the core of {answer.kind} {list(answer.core)} is explained by itself"
    return None


def _word(answer: Answer) -> str:
    return answer.kind if isinstance(answer, Refuted) else type(answer).__name__.lower()


def _possible(model: Model, case: Case, core: Sequence[int]) -> str | None:
    (call,) = (model.call(op) for op in case.operations if op.index in core)
    states = {
        case.initial,
        None,
        *(_made(op) for op in case.operations),
        *(call.output if isinstance(call.output, tuple) else ()),
    }
    legal = [state for state in states if model.step(state, call)[0]]
    return f"{call} is not impossible: at {legal}" if legal else None


def core_refutes(model: Model, case: Case, core: Sequence[int]) -> bool:
    """Whether all others can be removed soundly, and the core has no order.

    First, in the core, what expects a value made outside the core is weakened (a swap to a blind write, a
    failed one to a read): all of that, or only what expects a value made nowhere else.
    """
    makers = [op for op in case.operations if not model.is_observer(model.call(op))]
    inside = {_made(op) for op in makers if op.index in core} | {case.initial}
    outside = {_made(op) for op in makers if op.index not in core}
    return any(_refutes(model, case, core, weak) for weak in (outside - inside, outside))


def _refutes(model: Model, case: Case, core: Sequence[int], weak: set[object]) -> bool:
    everything = {op.input[0] for op in case.operations if op.f == "cas"}
    kept = [_weakened(model, op, weak if op.index in core else everything) for op in case.operations]
    while any(op.index not in core for op in kept):
        removable = model.removable([model.call(op) for op in kept])
        left = [op for i, op in enumerate(kept) if i not in removable or op.index in core]
        if len(left) == len(kept):
            return False
        kept = left
    return not linearizable(case.model, kept, case.initial)


def _made(op: Operation) -> object:
    return op.input[1] if op.f == "cas" else op.input


def _weakened(model: Model, op: Operation, outside: set[object]) -> Operation:
    call = model.call(op)
    weaker = model.weaken(call) if op.f == "cas" and op.input[0] in outside else None
    if weaker is None or (weaker.f == "write" and model.is_observer(call)):
        return op
    return replace(op, f=weaker.f, input=weaker.input, output=weaker.output)


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="fuzz-checker", description="Engines against brute force.")
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append", help="all unless told")
    parser.add_argument("--histories", type=int, default=20_000, help="of each engine")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    for name in options.engine or sorted(ENGINES):
        rng, counts = random.Random(f"{name} {options.seed}"), Counter[str]()
        for number in range(options.histories):
            case = ENGINES[name].case(rng)
            wrong = disagreement(ENGINES[name], case, counts)
            if wrong is not None:
                print(f"{name}: seed {options.seed}, history {number}: {wrong}", file=sys.stderr)
                print(f"  model {case.model}, initial {case.initial!r}", file=sys.stderr)
                for op in case.operations:
                    print(f"  {op}", file=sys.stderr)
                return 1
        told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        print(f"{name}: {options.histories} histories, no disagreement{told and ': '}{told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
