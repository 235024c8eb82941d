"""Finds the service a cluster names: one of ours, or a class of the user's, ``package.module:Class``.

The class must be importable in the replica's process (``PYTHONPATH``) and have ``execute``. It is not ours,
so it runs behind a guard: what it writes reaches the store only when it returns a result. An exception in
it is its answer to that operation, ``error exception TypeError``, and changes nothing: the same at every
replica, since ``execute`` is a function of its arguments. So no client can stop the cluster by an operation
that its author forgot. It always begins with the same room on the stack, however deep the replica's own
calls are, so that even endless recursion (JSON nested deeper than its parser likes) ends alike everywhere.
Running out of memory says something about the machine rather than the operation: it stops the replica, exit
code 70, with the operation named.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from .core.operations import MAX_OPERATION_BYTES, encode_fields
from .core.services import SERVICES, Service
from .core.staged_store import StagedStore
from .core.store import Store, WriteRefused
from .core.types import ClientId
from .errors import EXIT_BUG, ConfigError, NodeError

MAX_RESULT_BYTES = 2 * 1024 * 1024
"""A reply is one message, and the client table keeps one of every client."""
STACK_ROOM = 1000
"""Calls that ``execute`` may nest."""
MAX_TRACEBACKS = 10
"""Of one service in one life; a client can provoke as many as it likes."""
_MAX_NAME = 200


class ServiceError(NodeError):
    """A service of the user's cannot go on here, though others perhaps can: not the operation's fault."""

    exit_code = EXIT_BUG


def is_own(name: str) -> bool:
    """It has the form ``package.module:Class``."""
    module, colon, class_name = name.partition(":")
    words = [*module.split("."), class_name]
    return bool(colon) and len(name) <= _MAX_NAME and all(w.isascii() and w.isidentifier() for w in words)


def load_service(name: str, report: Callable[[str], None]) -> Service:
    """A new service of that name. ``report`` takes a text for the log when a class of the user's raises.
    Raises ConfigError."""
    if name in SERVICES:
        return SERVICES[name]()
    if not is_own(name):
        known = ", ".join(sorted(SERVICES))
        raise ConfigError(
            f"service {name!r:.220}: choose one of {known}, or name your own: package.module:Class"
        )
    return GuardedService(name, _load(name), report)


def _load(name: str) -> Service:
    module_name, class_name = name.split(":")
    try:
        made = getattr(importlib.import_module(module_name), class_name)()
    except ModuleNotFoundError as error:
        where = ":".join(sys.path) or "empty"
        raise ConfigError(
            f"service {name}: no module {error.name!r} on the path ({where}): "
            "add the folder it is in to PYTHONPATH of the replica"
        ) from None
    except AttributeError as error:
        if not hasattr(sys.modules.get(module_name), class_name):
            raise ConfigError(
                f"service {name}: module {module_name} has no {class_name}: correct one of them"
            ) from None
        raise _raised(name, error) from None
    except (Exception, SystemExit) as error:
        raise _raised(name, error) from None
    _check_execute(name, made)
    return made  # type: ignore[no-any-return]


def _check_execute(name: str, made: object) -> None:
    import inspect  # not needed for a start with a service of ours, which must be quick

    execute = getattr(made, "execute", None)
    if not callable(execute):
        raise ConfigError(f"service {name}: it has no method execute: see pbft_node/core/services")
    try:
        inspect.signature(execute).bind(Store(), ClientId(1000), b"")
    except (TypeError, ValueError) as error:
        raise ConfigError(f"service {name}: execute must take (store, client, operation): {error}") from None


def _raised(name: str, error: BaseException) -> ConfigError:
    return ConfigError(
        f"service {name}: importing or making it raised {type(error).__name__}: {error} ({_place(error)}): "
        "mend it there"
    )


def _place(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "nowhere in Python"


class GuardedService:
    """Somebody else's service, made safe to call with anything."""

    def __init__(self, name: str, service: Service, report: Callable[[str], None]) -> None:
        self._name = name
        self._service = service
        self._report = report
        self._failures = 0

    def execute(self, store: Store, client: ClientId, operation: bytes) -> bytes:
        """Never half done; raises only ServiceError, and what the store raises at a write through a view."""
        staged = StagedStore(store)
        try:
            result = _with_room(lambda: self._service.execute(staged, client, operation))
        except WriteRefused:
            raise
        except MemoryError as error:
            raise ServiceError(
                f"service {self._name}: out of memory at {_place(error)} in "
                f"{_shown(client, operation)}. Other replicas may have had room for it, so going on could "
                "contradict them: mend the service"
            ) from None
        except (Exception, SystemExit) as error:
            self._failed(error, client, operation)
            return encode_fields(b"error", b"exception", type(error).__name__.encode())
        if type(result) is not bytes:
            return encode_fields(b"error", b"no bytes", type(result).__name__.encode())
        if len(result) > MAX_RESULT_BYTES:
            return encode_fields(b"error", b"result too large", b"%d" % len(result))
        staged.commit()
        return result

    def _failed(self, error: BaseException, client: ClientId, operation: bytes) -> None:
        self._failures += 1
        if self._failures > MAX_TRACEBACKS:
            return
        import traceback

        text = "".join(traceback.format_exception(error, limit=-8))
        last = " (the last of these that is shown)" if self._failures == MAX_TRACEBACKS else ""
        self._report(
            f"service {self._name} raised in {_shown(client, operation)}; the operation changed nothing and "
            f"its result is an error{last}:\n{text}"
        )


def _with_room(call: Callable[[], bytes]) -> bytes:
    """``call()``, with ``STACK_ROOM`` left for it."""
    depth, frame = 1, sys._getframe()
    while (below := frame.f_back) is not None:
        depth, frame = depth + 1, below
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + STACK_ROOM)
    try:
        return call()
    finally:
        sys.setrecursionlimit(before)


def _shown(client: ClientId, operation: bytes) -> str:
    text = repr(operation) if len(operation) <= 100 else f"{operation[:100]!r}… of {len(operation)} bytes"
    assert len(operation) <= MAX_OPERATION_BYTES, "requests are bounded"
    return f"client {client}'s operation {text}"
