"""A replica that knows no protocol: echoes to the sender, and passes on to others what is asked of it.

``echo_replica.py NUMBER PORT``. Datagrams: ``echo X`` is answered ``echo NUMBER X``; ``pass HOST X`` is
sent on to another replica as ``got NUMBER X``; ``got …`` is counted; ``count`` is answered with how many
came; ``exit N`` leaves with code N after a word on stderr; ``orphan`` starts a daemon that outlives it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys


def main() -> int:
    number, port = sys.argv[1], int(sys.argv[2])
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("0.0.0.0", port))
    print(f"replica {number} is pid {os.getpid()}", file=sys.stderr, flush=True)
    got = 0
    while True:
        datagram, sender = opened.recvfrom(65535)
        word, _, rest = datagram.partition(b" ")
        if word == b"echo":
            opened.sendto(b"echo %s %s" % (number.encode(), rest), sender)
        elif word == b"pass":
            target, _, message = rest.partition(b" ")
            opened.sendto(b"got %s %s" % (number.encode(), message), (target.decode(), port))
        elif word == b"got":
            got += 1
        elif word == b"count":
            opened.sendto(b"count %s %d" % (number.encode(), got), sender)
        elif word == b"exit":
            print("something is wrong here", file=sys.stderr, flush=True)
            return int(rest)
        elif word == b"orphan":
            subprocess.Popen(["sleep", "1000"], start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
