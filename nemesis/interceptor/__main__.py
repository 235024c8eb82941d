"""``python -m nemesis.interceptor FD FOLDER``: started by the harness, which holds the other end of the
socket FD. FOLDER is the run's, for whoever reads a list of processes.

Exit code 0 when told to end, 1 when the run is void (the reason goes over the socket), 2 for wrong use.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping

from nemesis.interceptor.channel import Channel
from nemesis.interceptor.emitter import Emitter
from nemesis.interceptor.interceptor import Interceptor
from nemesis.interceptor.nfqueue import Heads, Lost, Wholes
from nemesis.interceptor.opening import Opening, read_opening

_PR_SET_PDEATHSIG = 1
_OPENING_S = 30.0


def main(arguments: list[str]) -> int:
    """Until told to end, or the run is void."""
    if len(arguments) != 2 or not arguments[0].isdecimal():
        print("usage: python -m nemesis.interceptor FD FOLDER (the harness starts it)", file=sys.stderr)
        return 2
    _only_with_the_harness()
    channel = Channel(socket.socket(fileno=int(arguments[0])))
    try:
        opening = _first(channel)
        if opening is None:
            return 2
        interceptor = _interceptor(read_opening(opening), channel)
        gc.collect()
        gc.freeze()
        interceptor.run()
    except Lost as lost:
        channel.send({"say": "void", "reason": str(lost)})
        return 1
    except Exception as error:
        traceback.print_exc()
        channel.send({"say": "void", "reason": f"the interceptor failed: {type(error).__name__}: {error}"})
        return 1
    return 0


def _interceptor(opening: Opening, channel: Channel) -> Interceptor:
    for name in opening.imports:
        importlib.import_module(name)
    heads, whole = opening.queues
    return Interceptor(opening, channel, Heads(heads), Wholes(whole), Emitter(opening.hosts))


def _first(channel: Channel) -> Mapping[str, object] | None:
    """The opening. Nothing follows it until it is answered."""
    while select.select([channel], [], [], _OPENING_S)[0] and not channel.over:
        messages = channel.receive()
        if messages:
            return messages[0]
    print(f"no opening came within {_OPENING_S:.0f} s", file=sys.stderr)
    return None


def _only_with_the_harness() -> None:
    """Signals of a terminal are the harness' business; its death is ours."""
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
