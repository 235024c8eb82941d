"""A script at work: one tamperer, which waits, acts, and tells how far it came.

It keeps an engine of its own for the rules it has in force, so that they are the same rules as everywhere,
with a wall and holds before the network. Triggers are asked after each trace line and before each packet is
handled, so what a stage does holds for the very packet that met its trigger, and for everything that the
turn of a trace line sends. Between two such moments nothing changes but time, which has its own call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nemesis.packets.activation import Activation
from nemesis.packets.match import read_match
from nemesis.packets.packet import Header, Packet, header_of
from nemesis.packets.scene import Order, Scene
from nemesis.packets.tamperer import LIES, RuleData
from nemesis.scripts.actions import (
    Action,
    Bind,
    HoldBack,
    Isolate,
    Process,
    Release,
    Resolver,
    Rule,
    Rules,
)
from nemesis.scripts.expressions import Moment, Value
from nemesis.scripts.grammar import Script, Stage, read_script
from nemesis.scripts.knowledge import Knowledge
from nemesis.scripts.scope import Mistake
from nemesis.scripts.triggers import Situation, first_way
from nemesis.scripts.untold import lie_of, untold
from nemesis.scripts.walls import Hold, Wall

MOST_AT_ONCE = 65_536
"""Activations between two packets."""
MOST_RECORDED = 200
"""Stages reached, over all attempts, that the receipt tells of."""


@dataclass(slots=True)
class _InForce:
    """What was begun by an action."""

    name: str
    owner: str = ""
    """Of a rule in the inner engine."""
    wall: Wall | None = None
    hold: Hold | None = None


@dataclass(slots=True)
class _Progress:
    """Of the attempt under way."""

    stage: int = 0
    began_ns: int = 0
    began_count: int = 0
    bound: dict[str, Value] = field(default_factory=dict)


class ScriptAtWork:
    """See ``Tamperer``."""

    stage = LIES
    listens = True
    keeps = True
    """What is held leaves when it is released."""

    def __init__(self, data: RuleData, name: str, scene: Scene, rules: Rules) -> None:
        """``data``: ``{"action": "script", "script": {…}, "liars": […]}``, without a problem."""
        from nemesis.packets.engine import Engine  # its registry knows this module

        liars = data.get("liars", [])
        assert isinstance(liars, list)
        self.scene = scene
        self._liars: tuple[int, ...] = tuple(sorted(liars))
        self._script: Script = read_script(data["script"], scene.n, rules, len(self._liars))
        self._name = name
        self._owner = name.rpartition("/")[0]
        self._activations: list[Activation] = []
        self._engine = Engine(scene, self._noted)
        self._knowledge = Knowledge()
        self._in_force: list[_InForce] = []
        self._begun = 0
        self._attempt = 0
        self._progress: _Progress | None = None
        self._now_ns = -1
        self._down: list[int] = []
        self._paused: list[int] = []
        self._hurt: set[int] = set()
        """Cut off, killed or paused at any time."""
        self._reached: list[Mapping[str, object]] = []
        self._ended = ""
        """Why it gave up."""
        self.final = False
        self._rounds = 0
        self._reports: dict[str, Mapping[str, object]] = {}
        self._lies: dict[str, str] = {}
        """Owner in the inner engine -> what the lie is called."""

    # ------------------------------------------------------------ Tamperer

    def wants(self, source: str, target: str, type_: int) -> bool:
        """See ``Tamperer``: what it will want is not known yet."""
        return True

    def handle(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """See ``Tamperer``."""
        released: Sequence[Packet] = ()
        self._knowledge.saw(packet, header)
        if self._waits_for_packets():
            released = self._advance(now_ns)
        became = self._through(packet, header, now_ns)
        if became is None and not released:
            return None
        return [*self._past_walls(released), *((packet,) if became is None else became)]

    def due_ns(self) -> int | None:
        """See ``Tamperer``."""
        dues = [] if (inner := self._engine.due_ns()) is None else [inner]
        progress = self._progress
        if progress is not None and not self._over:
            stage = self._script.stages[progress.stage]
            delays = [*stage.trigger.delays_ns(), *([] if stage.within_ns is None else [stage.within_ns])]
            times = [progress.began_ns + delay for delay in delays]
            dues += [time_ns for time_ns in times if time_ns > self._now_ns]
        return min(dues, default=None)

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        self._now_ns = now_ns
        due_ns = self._engine.due_ns()
        made_up = self._engine.tick(now_ns) if due_ns is not None and due_ns <= now_ns else ()
        return self._past_walls([*self._advance(now_ns), *made_up])

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        """See ``Tamperer``."""
        made_up = self._engine.heard(replica, event, now_ns) if self._engine.listens else ()
        released = self._advance(now_ns) if self._knowledge.heard(replica, event) else ()
        return self._past_walls([*made_up, *released])

    def left(self) -> Sequence[Packet]:
        """See ``Tamperer``."""
        return self._release(("all",), self._now_ns)

    def note(self) -> str:
        """See ``Tamperer``."""
        return self._stage_name()

    def take_activations(self) -> Sequence[Activation]:
        """See ``Composite``."""
        taken, self._activations = self._activations, []
        return taken

    def stops(self, packet: Packet) -> bool:
        """A wall is in the way: asked for what was held back, too."""
        return any(one.wall is not None and one.wall.stops(packet) for one in self._in_force)

    def report(self) -> Mapping[str, object]:
        """See ``Tamperer``."""
        reports = dict(self._reports)
        for one in self._in_force:
            if one.owner:
                reports[one.owner] = self._engine.report(one.owner)
        return {
            "script": self._script.name,
            "liars": list(self._liars),
            "final": self.final,
            "attempts": self._attempt,
            "rounds": self._rounds,
            "stages": list(self._reached),
            "stuck": self._stuck(),
            "down": sorted(self._down),
            "paused": sorted(self._paused),
            "hurt": sorted(self._hurt),
            "untold": untold(self._lies, reports),
            "actions": {owner.removeprefix(f"{self._name}/"): reports[owner] for owner in sorted(reports)},
        }

    # ------------------------------------------------------------ packets

    def _noted(self, one: Activation) -> None:
        if len(self._activations) < MOST_AT_ONCE:
            self._activations.append(
                replace(one, owner=self._owner, note=f"{self._stage_name()}: {one.note}")
            )

    def _stopped(self, packet: Packet, header: Header, action: str, note: str, now_ns: int) -> bool:
        held = action == "hold"
        self._noted(Activation(now_ns, self._owner, 0, action, header, packet, (), note, held))
        return True

    def _through(self, packet: Packet, header: Header, now_ns: int) -> Sequence[Packet] | None:
        """Rules first, lies before the network's; then walls and holds."""
        became = None if self._engine.idle else self._engine.packet(packet, now_ns)
        touched = became is not None
        onward = []
        for one in [packet] if became is None else became:
            taken = self._taken(one, header if became is None else header_of(one.data), now_ns)
            touched = touched or taken
            if not taken:
                onward.append(one)
        return onward if touched else None

    def _taken(self, packet: Packet, header: Header, now_ns: int) -> bool:
        for one in self._in_force:
            if one.wall is not None and one.wall.stops(packet):
                return self._stopped(packet, header, "isolate", one.wall.text, now_ns)
            if one.hold is not None and one.hold.keeps(packet, header, self.scene.n):
                return self._stopped(packet, header, "hold", "held", now_ns)
        return False

    def _past_walls(self, packets: Sequence[Packet]) -> Sequence[Packet]:
        """What is made up or let go does not pass walls, either."""
        return [packet for packet in packets if not self.stops(packet)]

    # ------------------------------------------------------------ stages

    @property
    def _over(self) -> bool:
        return bool(self._ended) or self._rounds >= self._script.repeat

    def _waits_for_packets(self) -> bool:
        progress = self._progress
        if progress is None:
            return True
        if self._over:
            return False
        return self._script.stages[progress.stage].trigger.watches_packets()

    def _moment(self, progress: _Progress) -> Moment:
        view = max(self.scene.phase.settled, self._knowledge.view)
        n = self.scene.n
        return Moment(n, (n - 1) // 3, self._liars, view, tuple(sorted(self._down)), progress.bound)

    def _situation(self, progress: _Progress, now_ns: int) -> Situation:
        return Situation(
            self._knowledge, self._moment(progress), progress.began_ns, progress.began_count, now_ns
        )

    def _advance(self, now_ns: int) -> Sequence[Packet]:
        """As many stages as are met now; what they let go."""
        self._now_ns = now_ns
        released: list[Packet] = []
        for _ in range(len(self._script.stages) + 1):
            if self._over:
                break
            progress = self._progress or self._begin(now_ns, 0)
            stage = self._script.stages[progress.stage]
            way = first_way(stage.trigger, self._situation(progress, now_ns))
            if way is None:
                if stage.within_ns is not None and now_ns - progress.began_ns >= stage.within_ns:
                    self._too_late(stage, progress, now_ns)
                break
            progress.bound.update(way)
            self._record(stage, progress, now_ns)
            released.extend(self._reach(stage, progress, now_ns))
        return released

    def _begin(self, now_ns: int, count: int) -> _Progress:
        self._attempt += 1
        progress = self._progress = _Progress(0, now_ns, count)
        if self._script.start is not None:
            self._bind(self._script.start, progress)
        return progress

    def _reach(self, stage: Stage, progress: _Progress, now_ns: int) -> Sequence[Packet]:
        released: list[Packet] = []
        try:
            for action in stage.actions:
                released.extend(self._act(action, progress, now_ns))
        except (Mistake, ValueError) as error:  # a set that was empty then, say
            self._give_up(f"{stage.name!r} was reached and could not be acted on: {error}", now_ns)
            return released
        progress.stage += 1
        progress.began_ns, progress.began_count = now_ns, self._knowledge.count
        self._knowledge.new_stage()
        if progress.stage == len(self._script.stages):
            self.final = True
            self._rounds += 1
            if self._rounds < self._script.repeat:
                released.extend(self._release(("all",), now_ns))
                self._begin(now_ns, self._knowledge.count)
        return released

    def _too_late(self, stage: Stage, progress: _Progress, now_ns: int) -> None:
        why = self._why(progress, now_ns)
        if stage.again and self._attempt - self._rounds < self._script.attempts:
            self._clear(now_ns)
            self._knowledge.new_stage()
            self._begin(now_ns, self._knowledge.count)
        else:
            self._give_up(why, now_ns)

    def _give_up(self, why: str, now_ns: int) -> None:
        self._ended = why
        self._clear(now_ns)

    def _stage_name(self) -> str:
        """Reached last."""
        return str(self._reached[-1]["stage"]) if self._reached else self._script.name

    def _why(self, progress: _Progress, now_ns: int) -> str:
        stage = self._script.stages[progress.stage]
        where = f"stage {progress.stage + 1} of {len(self._script.stages)} ({stage.name})"
        return f"stuck at {where} because {stage.trigger.because(self._situation(progress, now_ns))}"

    def _stuck(self) -> str:
        if self.final or self._ended:
            return self._ended
        if self._progress is None:
            return "it has seen nothing yet"
        return self._why(self._progress, max(self._now_ns, self._progress.began_ns))

    def _record(self, stage: Stage, progress: _Progress, now_ns: int) -> None:
        if len(self._reached) < MOST_RECORDED:
            bound = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in sorted(progress.bound.items())
            }
            one = {"stage": stage.name, "attempt": self._attempt, "reached_ns": now_ns, "bound": bound}
            self._reached.append(one)

    # ------------------------------------------------------------ actions

    def _act(self, action: Action, progress: _Progress, now_ns: int) -> Sequence[Packet]:
        moment = self._moment(progress)
        resolver = Resolver(self._script.scope, moment)
        match action.deed:
            case Bind():
                self._bind(action.deed, progress)
            case Process(what, replicas):
                self._order(what, replicas.replicas(moment))
            case Release(names):
                return self._release(names, now_ns)
            case Isolate(replicas, clients):
                some = replicas.replicas(moment)
                self._hurt.update(some)
                self._in_force.append(_InForce(action.name, wall=Wall.around(some, clients)))
            case HoldBack(match):
                read = read_match(resolver.match(action.path, match))
                self._in_force.append(_InForce(action.name, hold=Hold(read)))
            case Rule(data):
                self._begun += 1
                owner = f"{self._name}/{self._begun:03d} {action.name or action.path}"
                self._engine.set_rules(owner, [resolver.rule(action.path, data)], now_ns)
                if (lie := lie_of(action)) is not None:
                    self._lies[owner] = lie
                self._in_force.append(_InForce(action.name, owner))
        return ()

    def _bind(self, deed: Bind, progress: _Progress) -> None:
        moment = self._moment(progress)
        progress.bound.update({name: one.value(moment) for name, one in deed.names.items()})

    def _order(self, what: str, replicas: Sequence[int]) -> None:
        """At most as many as it declared are down at once; ``check`` has seen to that already."""
        for replica in replicas:
            self.scene.orders.append(Order(what, replica, self._owner))
            if what in ("kill", "pause"):
                self._hurt.add(replica)
            some = self._down if what in ("kill", "restart") else self._paused
            if what in ("kill", "pause") and replica not in some:
                some.append(replica)
            elif what in ("restart", "resume") and replica in some:
                some.remove(replica)

    def _release(self, names: Sequence[str], now_ns: int) -> Sequence[Packet]:
        gone = [one for one in self._in_force if "all" in names or one.name in names]
        self._in_force = [one for one in self._in_force if one not in gone]
        released: list[Packet] = []
        for one in gone:
            if one.owner:
                self._reports[one.owner] = self._engine.report(one.owner)
                released.extend(self._engine.set_rules(one.owner, [], now_ns))
            if one.hold is not None:
                released.extend(one.hold.release())
        return released

    def _clear(self, now_ns: int) -> None:
        """Everything is as it was, but what is held is lost."""
        self._release(("all",), now_ns)
        self._order("restart", tuple(self._down))
        self._order("resume", tuple(self._paused))
