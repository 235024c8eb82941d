"""A replica as an object in this process: the same turns as the real one, on a modelled log.

It reads the ``config.json`` a real process would read and writes the trace a real process would write. What
the replicas of one simulation find out about bytes, they share (``shared``). A bug of the core ends the
object as it would end the process. A machine that refuses something (a full disk) ends the run: that is not
the replica's doing.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError, disk_hint
from harness.virtual.host import Ended, TurnEnd, machine_failed
from harness.virtual.memory_log import MemoryLog
from harness.virtual.shared import Shared
from pbft_node import assembly
from pbft_node.clock import Setting
from pbft_node.config import ReplicaConfig
from pbft_node.core.effects import Send
from pbft_node.core.events import Event, Received, Started
from pbft_node.errors import EXIT_BUG, MachineError, NodeError
from pbft_node.journal import Journal
from pbft_node.meter import Meter
from pbft_node.trace import TraceFile
from pbft_node.turns import JournalLike, Turns

LAST_LINES = 20


class _Unmetered(Meter):
    """Nobody asks a simulated replica for metrics."""

    def send(self, outbox: Sequence[Send]) -> None:
        """Not counted."""

    def trace(self, kind: str, fields: Mapping[str, object]) -> None:
        """Not counted."""


_UNMETERED = _Unmetered()


class SimHost:
    """See ``Host``."""

    def __init__(self, config: ReplicaConfig, folder: Path, shared: Shared) -> None:
        self._config = config
        self._shared = shared
        self._said = folder / "stderr.log"
        cluster = config.cluster
        self._log = MemoryLog((cluster.cluster_id, config.replica, config.log_salt), config.durability)
        self._trace: TraceFile | None = None
        self._journal: Journal | None = None
        self._turns: Turns | None = None
        self._ended: Ended | None = None
        self._lives = 0
        self._told_recovered = self._recovered = False
        self.silent = self._must_recover = False

    def begin_life(self, now_ns: int, wall_offset_ns: int, nonce: bytes) -> None:
        """See ``Host``."""
        assert self._turns is None, "it runs already"
        config = self._config
        self._lives += 1
        self._ended, self._told_recovered, self._recovered = None, False, False
        forgetful = config.durability == "none" and self._lives > 1
        silent, self.silent = self.silent, False
        self._must_recover = silent or forgetful
        try:
            records = self._log.open(config.log, silent)
            replica = assembly.make_replica(config, self._say)
            self._shared.equip(replica)
            self._trace = None if config.trace is None else TraceFile(config.trace)
            self._journal = assembly.open_journal(config, self._say)
            self._turns = Turns(replica, self._log, self._trace, self.listening(self._journal))
            self._turns.meter = _UNMETERED
            self._turns.tell = self._tell
            self._turns.step(Started(records, wall_offset_ns, nonce), now_ns)
        except Exception as error:
            self._end(error)

    def listening(self, journal: Journal | None) -> JournalLike | None:
        """What of a new life goes into its journal; the place for who wants to hear it, too."""
        return journal

    def deliver(self, now_ns: int, datagram: bytes) -> None:
        """See ``Host``."""
        if self._turns is not None:
            try:
                self._turns.step(Received(datagram), now_ns)
            except Exception as error:
                self._end(error)

    def step(self, event: Event, now_ns: int) -> None:
        """Any event of the open turn."""
        if self._turns is not None:
            try:
                self._turns.step(event, now_ns)
            except Exception as error:
                self._end(error)

    def fire_due(self, now_ns: int) -> None:
        """See ``Host``."""
        if self._turns is not None:
            try:
                self._turns.fire_due(now_ns)
            except Exception as error:
                self._end(error)

    def move_clock(self, now_ns: int, setting: Setting) -> None:
        """See ``Host``."""
        if self._turns is not None:
            try:
                self._turns.move_clock(setting, now_ns)
            except Exception as error:
                self._end(error)

    def refuse_writes(self, now_ns: int, error: int) -> None:
        """See ``Host``."""
        self._log.refuses = error

    def write_log(self) -> None:
        """See ``Host``."""
        self._write(harmed=True)

    def copy_log(self, path: Path) -> None:
        """See ``Host``."""
        try:
            self._log.copy(path)
        except OSError as error:
            raise _refused(path, error) from None

    def adopt_log(self) -> None:
        """See ``Host``."""
        self._log.adopt()

    def end_turn(self, now_ns: int) -> TurnEnd:
        """See ``Host``."""
        if self._turns is not None:
            try:
                sends = self._turns.finish(now_ns)
                self._recovered = self._told_recovered
                return TurnEnd(sends, self._turns.next_due_ns())
            except Exception as error:
                self._end(error)
        return TurnEnd((), None, self._ended)

    def kill(self) -> None:
        """See ``Host``."""
        self._turns = None
        if self._trace is not None:
            self._trace.close()
            self._trace = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def pause(self) -> None:
        """See ``Host``: an object stands still between calls."""

    def resume(self) -> None:
        """See ``Host``."""

    def is_up(self) -> bool:
        """See ``Host``. One that forgets its promises has no vote before it recovered."""
        return self._turns is not None and (self._recovered or not self._must_recover)

    def close(self) -> None:
        """See ``Host``."""
        self.kill()
        self._write(harmed=False)

    def _write(self, *, harmed: bool) -> None:
        try:
            self._log.write(self._config.log, harmed=harmed)
        except OSError as error:
            raise _refused(self._config.log, error) from None

    def _tell(self, kind: str, _fields: object) -> None:
        self._told_recovered = self._told_recovered or kind == "recovered"

    def _end(self, error: Exception) -> None:
        """As ``pbft_node.node`` would: an exit code, and why on standard error. Raises HarnessError."""
        self.kill()
        if isinstance(error, MachineError) and not self._log.refuses:
            raise machine_failed(self._config.replica, str(error)) from None
        if isinstance(error, NodeError):
            code, text = error.exit_code, f"stopped: {error}"
        else:
            code, text = EXIT_BUG, "".join(traceback.format_exception(error)).rstrip()
        self._say(text)
        self._ended = Ended(code, None, tuple(text.splitlines()[-LAST_LINES:]))

    def _say(self, text: str) -> None:
        try:
            with self._said.open("a", encoding="utf-8") as file:
                file.write(f"simulated replica {self._config.replica}: {text}\n")
        except OSError as error:
            raise _refused(self._said, error) from None


def _refused(path: Path, error: OSError) -> HarnessError:
    return HarnessError(f"cannot write {path}: {error.strerror}", disk_hint(error))
