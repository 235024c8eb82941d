"""Makes operations of the events of a foreign history, process by process (see `checker.formats.foreign`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, cast

from checker.formats import shapes
from checker.formats.edn import EdnSet, Form, write
from checker.formats.foreign import NO_KEY, ONLY_KEY, OWN_F, OWN_INPUT, OWN_OUTPUT, OWN_PHASE, Event, Parsed
from checker.formats.reading import FailPolicy, Options, Reading
from checker.formats.shapes import Ending, Hint, Part, ShapeError
from checker.formats.traitor import must_begin_at
from checker.history import History, HistoryError, NemesisEvent, Operation, Outcome
from checker.models import ModelError, initial_problem, model_class, model_named
from checker.models.base import Model
from checker.numbers import counted, have

_MEND = "Correct that line, or judge a complete copy of the history"


def build(parsed: Parsed, options: Options) -> Reading:
    """Pair the events. Raises HistoryError."""
    name = options.model or parsed.model
    notes = list(parsed.notes)
    if name is None:
        name = _guessed(parsed)
        notes.append(f"model {name} follows from the names of its operations")
    try:
        model_class(name)
    except ModelError as error:
        raise HistoryError(parsed.source, 0, *str(error).rsplit(". ", 1)) from None
    if options.initial is not None:
        must_begin_at(parsed.source, name, options.initial[0])
        parsed = replace(parsed, initial=options.initial[0], says_initial=True)
    if name == "bank" and parsed.initial is None and not parsed.says_initial:
        parsed = replace(parsed, initial=_opening(parsed))
        notes.append("the bank held at first what a read was told before the first transfer")
    problem = initial_problem(name, parsed.initial)
    if problem is not None:
        raise HistoryError(parsed.source, 0, f"initial must be {problem} for model {name}", _MEND)
    pairing = _Pairing(parsed, model_named(name, parsed.initial), options.fail or parsed.fail)
    room = _drained(parsed.events)
    numbered = not room and all(event.number is not None for event in parsed.events)
    number = 0
    for place, event in enumerate(parsed.events):
        if numbered and event.number is not None:
            number = event.number
        pairing.take(number, event)
        number += room.get(place, 1)
    return replace(pairing.finish(tuple(notes)), initial_given=options.initial is not None)


def _opening(parsed: Parsed) -> Hashable:
    """Jepsen's histories of a bank do not say what was in it."""
    clients = (event for event in parsed.events if event.process is not None)
    found = shapes.opening_balances((event.type, event.f, event.value) for event in clients)
    if found is None:
        reason = "what the bank held at first is not known: no read ended before the first transfer"
        advice = "Read all accounts before the transfers"
        raise HistoryError(parsed.source, 0, reason, advice)
    return found


def _guessed(parsed: Parsed) -> str:
    clients = [event for event in parsed.events if event.process is not None]
    name = shapes.guess(Hint(event.f, event.value if event.type == "ok" else None) for event in clients)
    if name is None and clients:
        names = ", ".join(sorted({f":{event.f}" for event in clients})[:10])
        advice = "Name its model with --model"
        raise HistoryError(parsed.source, 0, f"no model has just the operations {names:.200}", advice)
    return name or "register"


def _drained(events: Sequence[Event]) -> dict[int, int]:
    """Of the call and the end of a drain (by their places) the number of operations: one an item, and one."""
    room: dict[int, int] = {}
    begun: dict[int | None, int] = {}
    for place, event in enumerate(events):
        if event.f != "drain":
            continue
        if event.type == "invoke":
            begun[event.process] = place
        elif event.process in begun and isinstance(event.value, tuple | EdnSet):
            room[place] = room[begun.pop(event.process)] = 1 + len(event.value)
    return room


@dataclass(slots=True)
class _Call:
    """An open operation."""

    event: Event
    index: int
    process: int
    call_ns: int


class _Pairing:
    def __init__(self, parsed: Parsed, model: Model, fail: FailPolicy) -> None:
        self._parsed = parsed
        self._source = parsed.source
        self._model = model
        self._fail = fail
        first = next((event for event in parsed.events if event.process is not None), None)
        self._timed = first is not None and first.time_ns is not None
        self._clock_ns = 0
        self._time_ns = 0
        self._completed_ns = -1
        self._open: dict[int, _Call] = {}
        self._numbers: dict[int, int] = {}
        """Processes that went on after an `:info`, and the numbers they have here."""
        self._retired: set[int] = set()
        self._next = 1 + max((event.process or 0 for event in parsed.events), default=0)
        self._seen: set[int] = set()
        self._keys: dict[Form, str] = {}
        self._taken: set[str] = set()
        self._operations: list[Operation] = []
        self._nemesis: list[NemesisEvent] = []
        self._count: Counter[str] = Counter()

    def take(self, number: int, event: Event) -> None:
        self._clock(number, event)
        process = event.process
        if process is None:
            fault, kind = _names(event.value)
            self._nemesis.append(NemesisEvent(number, self._time_ns, event.f, fault, kind))
        elif event.type == "invoke":
            self._invoke(number, process, event)
        elif process in self._open:
            self._end(self._open.pop(process), event)
        elif event.type == "info":
            self._count["stray"] += 1
        else:
            self._refuse(
                event, f":{event.type} of process {process} without a call: it has no open operation"
            )

    def _clock(self, number: int, event: Event) -> None:
        if not self._timed:
            self._clock_ns = self._time_ns = number
            return
        time_ns = event.time_ns
        if time_ns is None:
            if event.process is None:
                return
            self._refuse(event, ":time is missing, which other lines have")
        if time_ns < self._clock_ns:
            back = self._clock_ns - time_ns
            reason = f"time runs backwards by {back} ns (:time {time_ns} after {self._clock_ns})"
            advice = "Sort the lines, or remove every :time: then the lines are the time"
            raise HistoryError(self._source, event.line, reason, advice)
        self._clock_ns = time_ns
        self._time_ns = max(time_ns, self._time_ns)

    def _invoke(self, number: int, process: int, event: Event) -> None:
        begun = self._open.get(process)
        if begun is not None:
            line = begun.event.line
            self._refuse(event, f"process {process} invokes while its operation of line {line} is still open")
        if process in self._retired:
            self._retired.discard(process)
            self._numbers[process] = self._next
            self._next += 1
            self._count["renamed"] += 1
        self._seen.add(process)
        self._time_ns = max(self._time_ns, self._completed_ns + 1)
        self._open[process] = _Call(event, number, self._numbers.get(process, process), self._time_ns)

    def _end(self, call: _Call, event: Event) -> None:
        assert event.process is not None
        if event.f != call.event.f:
            reason = f"f :{event.f} differs from :{call.event.f} of its call in line {call.event.line}"
            self._refuse(event, reason)
        if event.key is not NO_KEY and call.event.key is not NO_KEY and event.key != call.event.key:
            self._refuse(event, f"the key differs from that of its call in line {call.event.line}")
        self._count[event.type] += 1
        if event.type == "info" or event.unknown_result:
            self._retired.add(event.process)
        self._add(call, event)

    def _add(self, call: _Call, event: Event | None) -> None:
        """The operations of a call; `event`: how it ended, None if it is open at the end of the file."""
        asked = call.event
        try:
            found = _own(asked, event) or shapes.parts(
                self._model.name, asked.f, asked.value, self._ending(asked, event)
            )
        except ShapeError as error:
            self._refuse(event if event is not None and error.at_end else asked, str(error))
        for place, part in enumerate(found):
            self._count["observer"] += event is not None and event.type == "fail" and part.type == "ok"
            process = call.process
            if place:  # a process does one thing at a time
                process, self._next = self._next, self._next + 1
            self._operations.append(self._checked(call, event, part, call.index + place, process))

    def _ending(self, asked: Event, event: Event | None) -> Ending:
        if event is None:
            return shapes.OPEN
        observes = event.type == "fail" and self._fail == "observer" and asked.f == "cas"
        unknown = event.unknown_result and asked.f == "read"
        self._count["unknown"] += unknown
        return Ending(cast(Outcome, event.type), event.value, observes, unknown)

    def _checked(self, call: _Call, event: Event | None, part: Part, index: int, process: int) -> Operation:
        model, asked, f = self._model, call.event, part.f
        if f not in model.functions:
            known = ", ".join(model.functions)
            self._refuse(asked, f"f :{f} is not of model {model.name}, which has {known}")
        problem = model.input_problem(f, part.input)
        if problem is not None:
            self._refuse(asked, f"the value of :{f} must be {problem}, not {_show(asked.value)}")
        output, return_ns, gave_up_ns = None, None, None
        if part.type == "ok":
            assert event is not None
            problem = model.output_problem(f, part.output)
            if problem is not None:
                self._refuse(event, f"the result of :{f} must be {problem}, not {_show(event.value)}")
            output = model.canonical_output(f, part.output)
            return_ns = self._completed_ns = self._time_ns
        elif event is not None:
            gave_up_ns = self._time_ns
        extra = asked.extra
        return Operation(
            index=index,
            process=process,
            f=f,
            key=self._key(asked.key if asked.key is not NO_KEY or event is None else event.key),
            input=model.canonical_input(f, part.input),
            output=output,
            type=part.type,
            call_ns=call.call_ns,
            return_ns=return_ns,
            phase="final" if extra is not None and extra.get(OWN_PHASE) == "final" else "load",
            gave_up_ns=gave_up_ns,
            error=event.error if event is not None and part.type != "ok" else None,
        )

    def _key(self, key: Form) -> str:
        """A string for every key, another one for every other."""
        if key is NO_KEY:
            return ONLY_KEY
        name = self._keys.get(key)
        if name is None:
            name = key if isinstance(key, str) else write(key)
            while name in self._taken:
                name += "'"
            self._keys[key] = name
            self._taken.add(name)
        return name

    def finish(self, notes: tuple[str, ...]) -> Reading:
        count = self._count
        info = count["info"] + len(self._open)
        for call in list(self._open.values()):
            self._add(call, None)
        self._operations.sort(key=lambda operation: operation.index)
        parsed = self._parsed
        history = History(
            source=self._source,
            model=self._model.name,
            initial=parsed.initial,
            operations=tuple(self._operations),
            nemesis=tuple(self._nemesis),
            sha256=parsed.sha256,
            torn_line=parsed.torn_line,
        )
        counts = count["ok"], count["fail"], info
        return Reading(
            history, parsed.format, counts, len(self._seen), (*notes, *self._notes(len(self._open)))
        )

    def _notes(self, still_open: int) -> Iterable[str]:
        count = self._count
        if count["observer"]:
            of = counted(count["observer"], "failed compare-and-set")
            observers = have(count["observer"], "is an observer", "are observers")
            yield f"fail: {of} {observers} of another value"
        if never := count["fail"] - count["observer"] - count["unknown"]:
            yield f"fail: {counted(never, 'failed operation')} never happened"
        if count["unknown"]:
            reads = counted(count["unknown"], "read")
            yield f"{reads} {have(count['unknown'], 'has', 'have')} an unknown result"
        if still_open:
            are, they = have(still_open, "is", "are"), have(still_open, "it counts", "they count")
            yield f"{counted(still_open, 'operation')} {are} open at the end of the file: {they} as info"
        if count["renamed"]:
            times = counted(count["renamed"], "time")
            yield f"{times} a process went on after an unknown outcome: under a new number"
        if count["stray"]:
            end = have(count["stray"], "ends", "end")
            yield f"{counted(count['stray'], 'info line')} {end} no operation: skipped"
        if self._nemesis:
            are, they = have(len(self._nemesis), "is", "are"), have(len(self._nemesis), "it is", "they are")
            yield f"{counted(len(self._nemesis), 'event')} {are} of no client: {they} not judged"
        if self._operations and not self._timed:
            yield "no times: the order of the lines is the time"
        if self._parsed.torn_line is not None:
            yield f"line {self._parsed.torn_line} is torn: forgiven and left out"

    def _refuse(self, event: Event, reason: str) -> NoReturn:
        raise HistoryError(self._source, event.line, reason, _MEND)


def _show(form: Form) -> str:
    text = write(form)
    return text if len(text) <= 60 else text[:57] + "…"


def _names(value: Form) -> tuple[str, str]:
    """Fault and kind of a line of the nemesis, if they are ours."""
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(name, str) for name in value):
        return cast(tuple[str, str], value)
    return "", ""


def _own(asked: Event, event: Event | None) -> Sequence[Part] | None:
    """What our own export says of a call, if it does."""
    if asked.extra is None or OWN_F not in asked.extra:
        return None
    f = asked.extra[OWN_F]
    if not isinstance(f, str):
        raise ShapeError(f":traitor/f must be a string, not {_show(f)}", at_end=False)
    given = shapes.wire(asked.extra.get(OWN_INPUT))
    if event is None:
        return [Part(f, given, None, "info")]
    if event.extra is not None and OWN_OUTPUT in event.extra:
        return [Part(f, given, shapes.wire(event.extra[OWN_OUTPUT]), "ok")]
    return [Part(f, given, None, cast(Outcome, event.type))]
