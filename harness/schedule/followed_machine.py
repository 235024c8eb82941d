"""The life of one replica, or of a twin, while a record is followed: nothing happens to it but what was
recorded.

A kill takes effect when the recorded life is through: the signal reached the real process a moment after it
was sent. When the record is no longer followed, the machine goes on as any other.
"""

from __future__ import annotations

from collections import Counter

from harness.schedule.followed_host import FollowedHost
from harness.schedule.record import START, Event, Turn
from harness.virtual.host import TurnEnd
from harness.virtual.machine import Machine
from pbft_node.clock import Setting


class FollowedMachine(Machine):
    """See ``Machine``."""

    host: FollowedHost
    turns_left: Counter[int]
    """Of the record, by life."""
    twin = ""
    """The folder's name, if it is one."""
    copies = False
    """A twin that begins with a copy of its replica's log."""
    following = True
    doomed = False
    """Killed, but for the turns that are still recorded of this life."""
    restart_wanted = False

    def boot(self, after_ns: int, silent: bool = False) -> None:
        """See ``Machine``; the record says when it begins its work."""
        if not self.following:
            super().boot(after_ns, silent)
            return
        assert self.state == "dead", "it runs already"
        self.host.silent = silent
        self.incarnation += 1
        self.state, self._booting, self._up = "running", True, False

    def kill(self) -> bool:
        """See ``Machine``; one of which the record has more is doomed only."""
        self.doomed = self.state != "dead" and self.lives_on()
        return not self.doomed and super().kill()

    def lives_on(self) -> bool:
        """Has the record more turns of this life?"""
        return self.following and self.turns_left[self.incarnation] > 0

    def waits_for_start(self) -> bool:
        """Somebody asked for a new process."""
        return self._booting and self.state == "running"

    def take(self, event: Event, datagram: bytes) -> bool:
        """See ``FollowedHost``."""
        if event.kind == START:
            self._booting = False
        return self.host.take(event, datagram)

    def end(self, turn: Turn) -> None:
        """The recorded turn is over."""
        self._turn_ended(self.host.finish(turn))

    def resume(self) -> None:
        """See ``Machine``."""
        if self.following:
            if self.state == "stopped":
                self.host.resume()
                self.state = "running"
        else:
            super().resume()

    def move_clock(self, setting: Setting) -> None:
        """See ``Machine``; the record says when it noticed, and what its clock showed."""
        if self.following:
            self._clock = setting
        else:
            super().move_clock(setting)

    def leave_the_record(self, restart_ns: int) -> None:
        """From now on as any other; ``following`` is over."""
        now_ns = self._scheduler.now_ns
        if self._booting:
            self._scheduler.at(now_ns + restart_ns, self._begin, self.incarnation)
        elif self.state != "dead":
            end: TurnEnd = self.host.end_turn(now_ns)
            self._turn_ended(end)

    def _schedule_wake(self, due_ns: int) -> None:
        if not self.following:
            super()._schedule_wake(due_ns)
