"""A small run folder that every judge accepts, as data that a test spoils before writing it."""

from __future__ import annotations

import json
from pathlib import Path

from checker.formats.writer import HistoryWriter

S = 1_000_000_000
MS = 1_000_000
OPERATIONS = 60
TIMERS = {
    "request_timeout_ns": 500 * MS,
    "view_change_timeout_ns": 500 * MS,
    "max_timeout_ns": 30 * S,
    "client_retry_ns": 300 * MS,
    "client_retry_max_ns": 3 * S,
}
"""With f = 1, and nothing for the lag of 3 ms: 5.815 s after a change, 3.815 s once settled."""
PHASES = (
    ("set up", 0),
    ("healthy", 0),
    ("load", 0),
    ("undo", 6),
    ("recover", 7),
    ("final reads", 20),
    ("tear down", 59),
)


def digest(seq: int) -> str:
    return f"{seq:064x}"


class RunFolderBuilder:
    """Two clients put and get on one key for six seconds; replica 2 is killed for a second and comes back."""

    def __init__(self) -> None:
        self.plan = {
            "schema": "traitor/plan/1",
            "operation_timeout_ns": 5 * S,
            "cluster": {"nodes": 4, **TIMERS},
            "clients": [{"retry": True, "operations": []}, {"retry": True, "operations": []}],
            "faults": [{"id": "kill-1", "kind": "kill"}],
            "final_reads": [{"f": "get", "key": "k", "input": None}],
        }
        self.ledger = {
            "schema": "traitor/ledger/1",
            "n": 4,
            "f": 1,
            "byzantine": [],
            "safety_demanded": True,
            "windows": [
                _window(0, 2 * S, []),
                _window(2 * S, 3 * S, [2]),
                _window(3 * S, 60 * S, []),
            ],
        }
        self.run = {
            "schema": "traitor/run/1",
            "phases": [
                {"name": name, "start_ns": at * S, "end_ns": (at + 1) * S, "ok": True, "detail": ""}
                for name, at in PHASES
            ],
            "health": {"deadline_ns": 1, "reached": True, "replies": {str(i): True for i in range(4)}},
            "exits": [
                {
                    "replica": 2,
                    "time_ns": 2 * S,
                    "code": None,
                    "signal": 9,
                    "expected": True,
                    "last_lines": [],
                }
            ],
            "lag": {"max_ns": 3 * MS, "over_50ms": 0},
            "processor": {"ran_ns": 20 * S, "waited_ns": 5 * S},
            "interrupted": None,
            "harness_errors": [],
        }
        self.faults = [
            {"schema": "traitor/faults/1"},
            _step(2 * S, "asked"),
            _step(2 * S, "took-effect", receipt={"state": "gone"}),
            _step(3 * S, "undo-asked"),
            _step(3 * S, "undone", receipt={"pid": 7}),
        ]
        self.events: list[tuple] = []
        """(time_ns, process, "invoke"/"ok"/"info", f, input, output, client, timestamp, phase)."""
        self.traces: dict[int, list[dict]] = {}
        self._history()
        self._traces()

    def _history(self) -> None:
        for i in range(OPERATIONS):
            begin = 100 * MS * i
            client, timestamp = 1000 + i % 2, i + 1
            f, given = ("put", f"v{i}") if i % 4 < 2 else ("get", None)
            output = f"v{i - i % 4 + 1}" if f == "get" else None
            self.operation(i % 2, f, given, output, begin, begin + 110 * MS, client, timestamp)
        self.operation(0, "get", None, "v57", 20 * S, 20 * S + MS, 1000, 500, "final")

    def operation(self, process, f, given, output, call, end, client, timestamp, phase="load", type_="ok"):
        self.events.append((call, process, "invoke", f, given, None, client, timestamp, phase))
        if end is not None:
            self.events.append((end, process, type_, f, given, output, client, timestamp, phase))

    def _traces(self) -> None:
        names = [(e[6], e[7]) for e in self.events if e[2] == "invoke"]
        for replica in range(4):
            lines = [_started(replica, 0)]
            for seq, (client, timestamp) in enumerate(names, 1):
                t_ns = 1000 * seq
                if replica == 2 and seq == 21:
                    again = [line for line in lines[1:] if line["e"] == "executed" and line["seq"] > 10]
                    lines.append(_started(replica, 10, t_ns, records=40))
                    lines += [{**line, "t_ns": t_ns} for line in again]
                about = {"seq": seq, "digest": digest(seq)}
                request = [client, timestamp, digest(seq + 1_000), "executed"]
                lines += [
                    {"t_ns": t_ns, "e": "pre-prepare", "view": 0, **about, "requests": 1, "role": "backup"},
                    {"t_ns": t_ns + 1, "e": "prepared", "view": 0, **about},
                    {"t_ns": t_ns + 2, "e": "committed", "view": 0, **about},
                    {"t_ns": t_ns + 3, "e": "executed", **about, "requests": [request]},
                ]
                if seq % 10 == 0:
                    lines.append({"t_ns": t_ns, "e": "checkpoint", "seq": seq, "digest": digest(seq + 500)})
            self.traces[replica] = lines

    def executed(self, replica: int, seq: int) -> dict:
        """The first `executed` line of that number."""
        return next(line for line in self.traces[replica] if line["e"] == "executed" and line["seq"] == seq)

    def write(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        for name in ("plan", "ledger", "run"):
            (path / f"{name}.json").write_text(json.dumps(getattr(self, name)))
        (path / "faults.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.faults))
        with (path / "history.jsonl").open("wb") as out:
            writer = HistoryWriter(out.write, "kv")
            for time, process, kind, f, given, output, client, timestamp, phase in sorted(
                self.events, key=lambda e: (e[0], e[2] == "invoke")
            ):
                if kind == "invoke":
                    writer.invoke(
                        time, process, f, "k", given, client=client, timestamp=timestamp, phase=phase
                    )
                elif kind == "ok":
                    writer.ok(time, process, output, view=0, replicas=[0, 1])
                else:
                    writer.info(time, process, "timeout")
        for replica, lines in self.traces.items():
            place = path / "replicas" / str(replica)
            place.mkdir(parents=True, exist_ok=True)
            (place / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path


def _window(start: int, end: int, bad: list[int], within: bool = True) -> dict:
    return {"from_ns": start, "to_ns": end, "bad": bad, "reasons": {}, "within_liveness_budget": within}


def _step(time_ns: int, step: str, **more: object) -> dict:
    return {"time_ns": time_ns, "fault": "kill-1", "kind": "kill", "step": step, **more}


def _started(replica: int, executed: int, t_ns: int = 0, records: int = 0) -> dict:
    more = {"view": 0, "active": True, "executed": executed, "stable": executed, "records": records}
    return {"t_ns": t_ns, "e": "started", "schema": "traitor/trace/1", "replica": replica, **more}
