"""The interceptor of a live run, as the harness sees it: a process, a socket to it, and what it said last.

The process is started before the replicas, in the router's namespace, and dies with the harness. If it dies,
is silent, or loses a packet, the network stops (nobody gives verdicts) and the run is void: HarnessError is
raised in the event loop, so that the run ends at once. At the end the interceptor must have seen as many
packets as the kernel queued.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.firewall import Firewall
from harness.identities import LYING, lying_clients
from harness.loop import EventLoop
from harness.plan import Plan
from harness.processes import last_lines
from harness.scene import compromised, imports, places
from nemesis.interceptor.channel import Channel
from nemesis.interceptor.opening import opening_data
from nemesis.machinery import Machinery
from nemesis.packets.capture import FILE_NAME
from nemesis.packets.engine import held_until_ns
from nemesis.sides import Side
from pbft_node.genesis import Genesis

HEADS_QUEUE, WHOLE_QUEUE = 1, 2
READY_S = 20.0
SILENT_NS = 10_000_000_000
"""The interceptor says something twice a second."""
WATCH_NS = 1_000_000_000
_HELD_FOR_NS = 100_000_000
"""A packet may leave so much later than a report said."""
ORDER_POLL_NS = 1_000_000
ORDER_NS = 5_000_000_000
END_S = 5.0
_ROOT = Path(__file__).resolve().parents[1]
_AFTER = {"kill": "dead", "pause": "stopped"}
_HINT = (
    "What the cluster did wrong before stands, what is missing accuses nobody. Make the run again, on a "
    "machine less busy if it happens often."
)


class LiveInterception:
    """Of one run. ``opening``: the interceptor's first message (``nemesis.interceptor.opening``)."""

    def __init__(self, folder: Path, opening: Mapping[str, object]) -> None:
        self._folder = folder
        self._log = folder / "interceptor.log"
        self._opening = opening
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._loop: EventLoop | None = None
        self._firewall: Firewall | None = None
        self._machinery: Machinery | None = None
        self._asked: dict[str, tuple[int, bool]] = {}
        """Fault -> the number of the last change of its rules that is not in force yet; were there any?"""
        self._changes = 0
        self._reports: dict[str, Mapping[str, object]] = {}
        self._held = 0
        self._resumed: Counter[int] = Counter()
        """How often each replica was told to go on."""
        self._heard_ns = 0
        self._watching = False
        self.statistics: Mapping[str, object] | None = None
        """Of the whole run, when it is over."""
        self.ordered: Callable[[str, int], None] = lambda owner, replica: None
        """Told of each order before it is carried out: the fault and the replica."""
        self.broken: str | None = None
        """Why the run is void."""

    # Life

    def start(self) -> None:
        """Start the process; it takes a while until it listens. Raises HarnessError."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "nemesis.interceptor", str(theirs.fileno()), str(self._folder)]
        paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    env={**os.environ, "PYTHONPATH": paths},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as problem:
            ours.close()
            raise HarnessError(f"cannot start the interceptor: {problem.strerror}") from problem
        finally:
            theirs.close()
        self._channel = Channel(ours)
        self._say(self._opening)

    def begin(self, loop: EventLoop, firewall: Firewall, machinery: Machinery) -> None:
        """Wait until it listens, and queue all packets for it. Raises HarnessError."""
        assert self._channel is not None, "start first"
        self._loop, self._firewall, self._machinery = loop, firewall, machinery
        self._await("ready", READY_S)
        firewall.queue(HEADS_QUEUE)
        loop.add_reader(self._channel.fileno(), self._readable)

    def end(self) -> None:
        """Let it say what it did, and compare; nothing passes any more. Idempotent. Raises HarnessError when
        packets were lost."""
        if self._channel is None or self._firewall is None or self.statistics is not None or self.broken:
            return
        queued = self._firewall.stop_queueing()
        self._say({"do": "end", "queued": queued})
        self._await("end", END_S)
        assert self.statistics is not None
        if self.statistics.get("seen") != queued:
            self._break(f"{queued} packets were queued, the interceptor saw {self.statistics.get('seen')}")

    def close(self) -> None:
        """``end``, and end the process. Idempotent."""
        try:
            self.end()
        finally:
            if self._channel is not None:
                if self._loop is not None:
                    self._loop.remove_reader(self._channel.fileno())
                self._channel.close()
                self._channel = None
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1 if self.statistics is not None else 0)
                self._process.kill()
                self._process.wait()
                self._process = None

    def lag(self) -> tuple[int, int]:
        """How long the interceptor was busy at one go, at the most, and how often for more than 50 ms: no
        packet passed meanwhile. Known when the run is over."""
        told = self.statistics or {}
        worst, late = told.get("slowest_ns"), told.get("over_50ms")
        return worst if isinstance(worst, int) else 0, late if isinstance(late, int) else 0

    # What faults ask

    def set_rules(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        """See ``Machinery.tamper``."""
        if self._channel is None or self.broken is not None or self.statistics is not None:
            return
        self._changes += 1
        self._asked[owner] = self._changes, bool(self.report(owner)["in_force"])
        self._say({"do": "rules", "owner": owner, "rules": list(rules), "number": self._changes})

    def divide(self, sides: Mapping[int, Side]) -> None:
        """These replicas have twins from now on, and no others."""
        if self._channel is not None and self.broken is None and self.statistics is None:
            told = {str(replica): side.data() for replica, side in sorted(sides.items())}
            self._say({"do": "divide", "sides": told})

    def report(self, owner: str) -> Mapping[str, object]:
        """See ``Machinery.tampered``. At most about 20 ms old; a change that is not in force yet is not."""
        known = {"in_force": False, "matched": 0} | dict(self._reports.get(owner, {}))
        known["held"] = self._held if held_until_ns(known) >= time.monotonic_ns() - _HELD_FOR_NS else 0
        if owner in self._asked:
            known["in_force"] = self._asked[owner][1]
        return known

    def resumed(self, replica: int) -> None:
        """It was told to go on: whoever waits to see it paused may have missed that."""
        self._resumed[replica] += 1

    # What it says

    def _readable(self) -> None:
        """Raises HarnessError when the run is void."""
        assert self._channel is not None
        for message in self._channel.receive():
            self._heard_ns = time.monotonic_ns()
            self._told(message)
        if self._channel.over and self.statistics is None:
            self._break(self._death())
        if not self._watching:
            self._watching = True
            self._watch()

    def _told(self, message: Mapping[str, object]) -> None:
        match message:
            case {"say": "reports", "reports": dict(reports), "held": int(held)}:
                self._reports.update(reports)
                self._held = held
            case {"say": "in force", "owner": str(owner), "number": int(number)}:
                if self._asked.get(owner, (0, False))[0] == number:
                    del self._asked[owner]
            case {
                "say": "order",
                "number": int(number),
                "what": str(what),
                "replica": int(replica),
                "owner": str(owner),
            }:
                self.ordered(owner, replica)
                self._carry_out(number, what, replica)
            case {"say": "void", "reason": str(reason)}:
                self._break(reason)
            case {"say": "refused", "owner": str(owner), "reason": str(reason)}:
                self._break(f"the interceptor refused the rules of {owner}: {reason}")
            case {"say": "end", "statistics": dict(statistics)}:
                self.statistics = statistics

    def _carry_out(self, number: int, what: str, replica: int) -> None:
        """At once; the interceptor holds the replica's packets until it is told that it is done."""
        machinery, loop = self._machinery, self._loop
        assert machinery is not None
        assert loop is not None
        verbs = {
            "kill": machinery.kill,
            "restart": machinery.restart,
            "pause": machinery.pause,
            "resume": machinery.resume,
        }
        verbs[what](replica)
        end_ns, resumed = time.monotonic_ns() + ORDER_NS, self._resumed[replica]

        def look() -> None:
            over = what not in _AFTER or (what == "pause" and self._resumed[replica] != resumed)
            if over or machinery.process(replica).state in (_AFTER[what], "dead"):
                self._say({"do": "done", "number": number})
            elif time.monotonic_ns() < end_ns:
                loop.call_at(time.monotonic_ns() + ORDER_POLL_NS, look)
            else:
                self._break(f"replica {replica} was to {what} and did not within {ORDER_NS // 10**9} s")

        look()

    def _watch(self) -> None:
        """From the first word on: is it still there?"""
        assert self._loop is not None
        if self._channel is None or self.statistics is not None:
            return
        self._readable()
        if time.monotonic_ns() - self._heard_ns > SILENT_NS:
            self._break(f"the interceptor was silent for {SILENT_NS // 10**9} s")
        self._loop.call_at(time.monotonic_ns() + WATCH_NS, self._watch)

    # The socket

    def _say(self, message: Mapping[str, object]) -> None:
        """All of it: the interceptor reads whatever else it does."""
        channel = self._channel
        if channel is None or channel.over:
            return
        channel.send(message)
        end = time.monotonic() + END_S
        while channel.full:
            left = end - time.monotonic()
            if left <= 0:
                self._break(f"the interceptor reads nothing for {END_S:.0f} s")
            select.select((), (channel.fileno(),), (), left)
            channel.flush()

    def _await(self, what: str, patience_s: float) -> None:
        """Until it says so."""
        channel = self._channel
        assert channel is not None
        end = time.monotonic() + patience_s
        while True:
            for message in channel.receive():
                self._heard_ns = time.monotonic_ns()
                self._told(message)
                if message.get("say") == what:
                    return
            left = end - time.monotonic()
            if channel.over:
                self._break(self._death())
            if left <= 0:
                self._break(f"the interceptor did not say {what!r} within {patience_s:.0f} s")
            select.select((channel.fileno(),), (), (), left)

    def _death(self) -> str:
        """How it ended, with its last words."""
        assert self._process is not None
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return "the interceptor closed its socket"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return "\n  ".join((f"the interceptor {how}", *last_lines(self._log, 0)))

    def _break(self, reason: str) -> None:
        """The run is void."""
        if self.broken is None:
            self.broken = reason
        if self._process is not None:
            self._process.kill()
        raise HarnessError(f"the network stopped: {reason}", _HINT)


def make_interception(plan: Plan, genesis: Genesis, folder: Path) -> LiveInterception:
    """For the rules of a plan; the interceptor gets the keys of the replicas it compromises."""
    traces = [(folder / "replicas" / str(replica) / "trace.jsonl").resolve() for replica in range(plan.nodes)]
    opening = opening_data(
        genesis,
        plan.seed,
        sorted(compromised(plan)),
        places(plan.nodes),
        traces,
        (HEADS_QUEUE, WHOLE_QUEUE),
        (folder / FILE_NAME).resolve(),
        imports(plan),
        None if lying_clients(plan) is None else LYING,
    )
    return LiveInterception(folder, opening)
