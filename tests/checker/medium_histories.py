"""Histories of middle size, recorded from the objects of `brute_objects` under clients, some of them spoilt.

Of what kind an answer is, `Renamed` knows: it gives values other names, one to one, and so the same history.
"""

from __future__ import annotations

import random
from dataclasses import replace

from brute_objects import OBJECTS, model_of

from checker.formats.export import plain
from checker.formats.traitor import read_bytes
from checker.formats.writer import HistoryWriter
from checker.history import History, Operation


def medium_history(rng: random.Random, name: str, most: int = 200) -> History:
    """At least 40 operations on two keys; time is coarse for some. Half have up to two wrong answers."""
    initial = OBJECTS[name].first(rng)
    operations = real_operations(rng, name, initial, rng.randint(40, most))
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 2)):
            operations = _spoilt(rng, OBJECTS[name], operations)
    history = history_of(model_of(name), initial, operations, rng.choice((1, 1, 10)))
    return replace(history, source=name, initial=initial)


def real_operations(
    rng: random.Random, name: str, initial: object, count: int, keys: int = 2, first_process: int = 0
) -> list[Operation]:
    """What a few clients saw of real objects."""
    thing = OBJECTS[name]
    states = {f"k{key}": thing.begin(initial) for key in range(keys)}
    unique = rng.random() < 0.7
    free = {first_process + client: 0 for client in range(rng.randint(2, 5))}
    planned = []
    for number in range(count):
        process = min(free, key=lambda each: (free[each], each))
        call = free[process] + rng.randrange(4)
        end = call + rng.choice((0, 3, 3, 20))
        type_ = rng.choices(("ok", "info", "fail"), (40, 1, 1))[0]
        key = rng.choice(list(states))
        planned.append([call, rng.uniform(call, end), end, process, key, type_, number])
        at = free.pop(process)
        free[process if type_ != "info" else 1 + max([*free, process])] = max(end + 1, at)
    asked = [thing.ask(rng, number if unique else rng.randrange(4)) for number in range(len(planned))]
    told = {}
    for _, _, _, _, key, type_, number in sorted(planned, key=lambda each: each[1]):
        f, given = asked[number]
        output, after = thing.apply(states[key], f, given)
        told[number] = thing.tell(rng, f, output)
        if type_ == "ok" or (type_ == "info" and rng.random() < 0.5):
            states[key] = after
    return [
        Operation(
            0, process, asked[number][0], key, asked[number][1],
            told[number] if type_ == "ok" else None, type_,
            call, end if type_ == "ok" else None,
            gave_up_ns=None if type_ == "ok" else end,
        )
        for call, _, end, process, key, type_, number in sorted(planned)
    ]  # fmt: skip


def _spoilt(rng, thing, operations):
    done = [i for i, op in enumerate(operations) if op.type == "ok"]
    at = rng.choice(done)
    op = operations[at]
    others = [operations[i].output for i in done if (operations[i].f, operations[i].key) == (op.f, op.key)]
    wrong = replace(op, output=thing.spoil(rng, op.f, op.input, op.output, others))
    return [*operations[:at], wrong, *operations[at + 1 :]]


def history_of(model: str, initial: object, operations: list[Operation], coarse: int = 1) -> History:
    """As it is written and read. The clock ticks once in `coarse` units of the operations' times."""
    lines: list[bytes] = []
    writer = HistoryWriter(lines.append, model, plain(initial))
    calls = [(op.call_ns, 0, i) for i, op in enumerate(operations)]
    ends = [(op.return_ns if op.type == "ok" else op.gave_up_ns, 1, i) for i, op in enumerate(operations)]
    for at, is_end, i in sorted(calls + [end for end in ends if end[0] is not None]):
        op, now = operations[i], at // coarse
        if not is_end:
            writer.invoke(now, op.process, op.f, op.key, plain(op.input))
        elif op.type == "ok":
            writer.ok(now, op.process, plain(op.output))
        else:
            getattr(writer, op.type)(now, op.process, "no word")
    return read_bytes(b"".join(lines), "a history")


class Renamed:
    """Values under other names: texts and numbers that are only names; of a counter, multiples; of a bank,
    other accounts."""

    def __init__(self, rng: random.Random, history: History) -> None:
        self.rng, self.model = rng, history.model
        self.names: dict[object, object] = {}
        self.factor = rng.choice((-3, -1, 2, 7))
        self.letters = dict(
            zip("abcdefg0123456789xy", rng.sample("ABCDEFGHIJKLMNOPQRSTUVW", 19), strict=True)
        )
        self.places = rng.sample(range(3), 3)

    def history(self, history: History) -> History:
        """All of it."""
        return replace(
            history,
            initial=self.initial(history.initial),
            operations=tuple(
                replace(op, input=self.input(op), output=self.output(op)) for op in history.operations
            ),
        )

    def initial(self, value):
        return self.balances(value) if self.model == "bank" else self.value(value)

    def input(self, op):
        if self.model != "bank" or op.f == "read":
            return self.value(op.input)
        if op.f == "balance":
            return self.places.index(op.input)
        return (*map(self.places.index, op.input[:2]), op.input[2])

    def output(self, op):
        if self.model == "bank":
            return self.balances(op.output) if op.f == "read" and op.output else op.output
        return op.output if op.f == "contains" else self.value(op.output)

    def balances(self, value):
        return tuple(value[place] for place in self.places)

    def value(self, value):
        if isinstance(value, tuple):
            return tuple(map(self.value, value))
        if value is None or isinstance(value, bool):
            return value
        if self.model == "counter":
            return self.factor * value
        if self.model == "kv-append":
            return "".join(self.letters[letter] for letter in value)
        if value not in self.names:
            number = len(self.names)
            self.names[value] = self.rng.choice((f"other {number}", 1_000 + number, f"\N{SNOWMAN}{number}"))
        return self.names[value]
