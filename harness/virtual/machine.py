"""The life of one replica under the scheduler: its turns, its timers, what waits for it.

A turn opens with the first event that reaches an idle replica, is joined by what arrives while it is open,
and ends ``turn_ns`` later: then records are synced and datagrams leave. Timers fire in no open turn; what is
due at the end of one opens the next. What arrives while the process stands still waits in a buffer as large
as a real replica's socket; what arrives while there is no process is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from harness.virtual.host import Ended, Host, TurnEnd
from harness.virtual.scheduler import Scheduler
from nemesis.machinery import ProcessState
from pbft_node.clock import Setting
from pbft_node.runtime import MAX_DATAGRAMS_PER_TURN
from pbft_node.transport import BUFFER_BYTES

SIGKILL = 9


class Machine:
    """One replica."""

    def __init__(
        self,
        replica: int,
        host: Host,
        scheduler: Scheduler,
        turn_ns: int,
        leave: Callable[[int, Sequence[tuple[int, bytes]]], None],
        ended: Callable[[int, Ended], None],
        begin: Callable[[int, int], tuple[int, bytes]],
    ) -> None:
        self.replica = replica
        self.host = host
        self.incarnation = 0
        self.state = "dead"
        """``running``, ``stopped`` or ``dead``, as in ``ProcessState``."""
        self.lost = 0
        """Datagrams that found no process, or no room."""
        self._scheduler = scheduler
        self._turn_ns = turn_ns
        self._leave = leave
        self._on_end = ended
        self._wall_clock = begin
        self._booting = False
        self._up = False
        self._open = False
        self._ends_late = False
        """The turn was to end while the process stood still."""
        self._events = 0
        self._turn = 0
        """Counts turns of all lives; a call that was scheduled for another turn is stale."""
        self._wake_ns: int | None = None
        self._wakes = 0
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._last: dict[str, object] = {}
        self._clock: Setting | None = None
        """As it was last moved, for lives to come."""
        self._clock_waits = False
        """It was moved while the process stood still."""

    # Life and death

    def boot(self, after_ns: int, silent: bool = False) -> None:
        """A new process, which begins its work so much later; ``silent``: also if its log is lost."""
        assert self.state == "dead", "it runs already"
        self.host.silent = silent
        self.incarnation += 1
        self.state, self._booting, self._up = "running", True, False
        self._scheduler.at(self._scheduler.now_ns + after_ns, self._begin, self.incarnation)

    def _begin(self, incarnation: int) -> None:
        if incarnation != self.incarnation or not self._booting or self.state != "running":
            return
        self._booting = False
        self._open_turn()
        now_ns = self._scheduler.now_ns
        self.host.begin_life(now_ns, *self._wall_clock(self.replica, self.incarnation))
        self._clock_waits = False
        if self._clock is not None:
            self.host.move_clock(now_ns, self._clock._replace(jump_ns=0))

    def kill(self) -> bool:
        """Was there a process?"""
        if self.state == "dead":
            return False
        self.host.kill()
        self._is_gone({"exit_signal": SIGKILL, "exit_code": None})
        return True

    def _is_gone(self, how: dict[str, object]) -> None:
        self.state, self._last = "dead", how
        self._booting = self._up = self._open = self._ends_late = False
        self._turn += 1
        self._wake_ns = None
        self._waiting.clear()
        self._waiting_bytes = 0

    def pause(self) -> None:
        """Harmless when it does not run."""
        if self.state == "running":
            self.host.pause()
            self.state = "stopped"

    def resume(self) -> None:
        """Harmless when it does not stand still."""
        if self.state != "stopped":
            return
        self.host.resume()
        self.state = "running"
        now_ns = self._scheduler.now_ns
        if self._booting:
            self._scheduler.at(now_ns, self._begin, self.incarnation)
        if self._ends_late:
            self._ends_late = False
            self._scheduler.at(now_ns + self._turn_ns, self._end_turn, self._turn)
        if self._clock_waits and self._clock is not None:
            self.move_clock(self._clock)
        self._take_waiting()
        if self._wake_ns is not None and self._wake_ns <= now_ns:
            self._schedule_wake(now_ns)

    def process(self) -> ProcessState:
        """As an operating system would show it."""
        if self.state == "dead":
            return ProcessState(self.replica, None, "dead", self.incarnation, self._last)
        up = self.is_up()
        detail: dict[str, object] = {"state_letter": "T" if self.state == "stopped" else "S"}
        if not up:
            detail["awaited"] = "recovered" if self._up else "started"
        return ProcessState(self.replica, None, self.state, self.incarnation, detail, up)

    def is_up(self) -> bool:
        """Has this life begun to work?"""
        return self._up and self.host.is_up()

    # Turns

    def arrive(self, datagram: bytes) -> None:
        """From the network."""
        full = self._open and self._events >= MAX_DATAGRAMS_PER_TURN
        if self.state == "running" and not self._booting and not full:
            if not self._open:
                self._open_turn()
            self._events += 1
            self.host.deliver(self._scheduler.now_ns, datagram)
        elif self.state == "dead" or self._booting or self._waiting_bytes + len(datagram) > BUFFER_BYTES:
            self.lost += 1
        else:
            self._waiting.append(datagram)
            self._waiting_bytes += len(datagram)

    def move_clock(self, setting: Setting) -> None:
        """It notices in a turn. A process that stands still does so when it goes on; one to come finds it."""
        self._clock = setting
        self._clock_waits = self.state == "stopped" and not self._booting
        if self.state != "running" or self._booting:
            return
        if not self._open:
            self._open_turn()
        self.host.move_clock(self._scheduler.now_ns, setting)

    def refuse_writes(self, error: int) -> None:
        """The disk takes nothing, from now on in this life."""
        if self.state != "running" or self._booting:
            return
        if not self._open:
            self._open_turn()
        self.host.refuse_writes(self._scheduler.now_ns, error)

    def _open_turn(self) -> None:
        self._open, self._events = True, 0
        self._turn += 1
        self._scheduler.at(self._scheduler.now_ns + self._turn_ns, self._end_turn, self._turn)

    def _end_turn(self, turn: int) -> None:
        if turn != self._turn or not self._open:
            return
        if self.state == "stopped":
            self._ends_late = True
            return
        self._open = False
        self._turn_ended(self.host.end_turn(self._scheduler.now_ns))

    def _turn_ended(self, end: TurnEnd) -> None:
        if end.ended is not None:
            self._is_gone({"exit_signal": end.ended.signal, "exit_code": end.ended.code})
            self._on_end(self.replica, end.ended)
            return
        self._up = True
        self._leave(self.replica, end.sends)
        if self.state == "dead":  # killed for what it just sent
            return
        if end.next_due_ns is None:
            self._wake_ns = None
        elif end.next_due_ns != self._wake_ns:
            self._schedule_wake(end.next_due_ns)
        self._take_waiting()

    def _take_waiting(self) -> None:
        """What waited, as far as a turn has room."""
        while self._waiting and not (self._open and self._events >= MAX_DATAGRAMS_PER_TURN):
            datagram = self._waiting.popleft()
            self._waiting_bytes -= len(datagram)
            self.arrive(datagram)

    def _schedule_wake(self, due_ns: int) -> None:
        self._wakes += 1
        self._wake_ns = due_ns
        self._scheduler.at(due_ns, self._wake, self._wakes)

    def _wake(self, wake: int) -> None:
        """Timers are due. In an open turn, or while it stands still, they wait for the end of that."""
        if wake != self._wakes or self._wake_ns is None or self.state != "running":
            return
        self._wake_ns = None
        if self._open:
            return
        self._open_turn()
        self.host.fire_due(self._scheduler.now_ns)
