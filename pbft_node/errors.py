"""Why a node does not start or stops, each with the exit code of ``python -m pbft_node``.

A peer's misbehaviour is never here (that is a ``Rejected`` effect), and a bug of ours is not either (that
is a traceback and exit code 70). Every message says what happened, with the value, and what to do.
"""

from __future__ import annotations

EXIT_BUG = 70


class NodeError(Exception):
    """A reason to stop that its reader can act on."""

    exit_code = 4


class ConfigError(NodeError):
    """The configuration is wrong."""

    exit_code = 2


class LogError(NodeError):
    """The log cannot be trusted, or no longer be written: promises would be forgotten."""

    exit_code = 3


class LostLogError(LogError):
    """What the replica promised is not in its log, not all of it: it may come back silent only."""


class HaltedError(NodeError):
    """The core found its own memory contradicting itself (a ``Halt`` effect)."""

    exit_code = 3


class MachineError(NodeError):
    """The machine refuses something: a port in use, no permission, no space for the trace."""

    exit_code = 4


class UnwritableLogError(MachineError, LogError):
    """The disk does not take the log: nothing is wrong with what is in it. The exit code is the machine's."""
