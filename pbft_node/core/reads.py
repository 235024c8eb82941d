"""Section 5.1, the read-only optimisation, corrected: one round trip, no agreement (``reads: fast``).

The client asks everybody; each replica executes the operation on the state it has, and says which state that
is: the number of its last batch. A quorum that gives one result *at one state* is an answer. Three rules
belong together, each closing a hole (ARCHITECTURE.md, Reads; the holes are in ``tests/paper``):
- ordered operations, too, need a quorum of replies (``Cluster.reply_quorum``), or a read may miss one;
- replicas that a lying primary left out learn what was decided from the others (``retransmission``), or
  clients would wait for ever for that quorum;
- the state's number must match, or values that come back (A, B, A) let reads go backwards.
"""

from __future__ import annotations

from .messages import Request
from .requests import Requests
from .store import ReadOnlyStore, WriteRefused


class Reads(Requests):
    """Requests that are not ordered."""

    def take_request(self, request: Request) -> str:
        """Those flagged read-only go another way."""
        return self.take_read(request) if request.read_only else super().take_request(request)

    def take_read(self, request: Request) -> str:
        """Answer from the executed state, at once and without a trace in the client table."""
        if self.cluster.reads != "fast":
            self.reject(request.client, "REQUEST", "read-only, but here reads are ordered")
            return "dropped"
        last = self.clients.get(request.client)
        if last is not None and request.timestamp <= last.timestamp:
            return "dropped"  # the client is past it
        if not self.may_read() or not self.may_answer_again(request.client):
            return "dropped"
        result = self.read_only_result(request)
        self.charge(request.client, len(result or b""))
        if result is None:
            self.reject(request.client, "REQUEST", "flagged read-only, but its operation writes")
            return "dropped"
        whole = self.sends_whole(request, result)
        reply = self.seal.read_reply(
            request.client, self.view, request.timestamp, self.executed, result, whole=whole
        )
        self.send_raw(request.client, reply)
        return "read"

    def may_read(self) -> bool:
        """Section 5.1 waits until all that the state reflects is committed: nothing else is executed here.

        A state that is wrong answers nothing, nor does one that may be older than an earlier answer. Who lost
        its log has it all back when it executed what the NEW-VIEW that ended its silence settled.
        """
        if self.silent or self.state_is_wrong or not self.may_vote:
            return False
        return self.executed >= self.settled

    def read_only_result(self, request: Request) -> bytes | None:
        """What the operation gives on the state as it is; None when it would write."""
        try:
            return self.service.execute(ReadOnlyStore(self.store), request.client, request.operation)
        except WriteRefused:
            return None
