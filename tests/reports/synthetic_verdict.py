"""The shape of a made-up run, and the verdict and counterexample that go with it. Nothing was judged."""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND = 1_000_000_000
START = 5_000_000_000_000
LOAD = START + 2 * SECOND


@dataclass
class Shape:
    """What kind of run to make up."""

    seed: int = 7
    operations: int = 4_000
    clients: int = 8
    nodes: int = 4
    seconds: int = 30
    keys: int = 20
    invalid: bool = False
    events: list[dict[str, object]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return LOAD + self.seconds * SECOND

    def at(self, part: float) -> int:
        return LOAD + int(part * self.seconds * SECOND)


def counterexample(shape: Shape) -> dict[str, object]:
    """The operations of the history's busiest moments on one key, with a read that went back in time."""
    done = {}
    for event in shape.events[1:]:
        if event["process"] == "nemesis":
            continue
        if event["type"] == "invoke":
            done[event["process"]] = event
        elif event["f"] == "put" and event["time_ns"] > shape.at(0.4):  # type: ignore[operator]
            call = done[event["process"]]
            break
    key, base = call["key"], int(str(call["time_ns"]))

    def operation(
        index: int, process: int, f: str, given: object, output: object, start: int, end: int | None
    ):
        kind = "info" if end is None else "ok"
        times = {
            "call_ns": base + start * 100_000,
            "return_ns": None if end is None else base + end * 100_000,
        }
        return {
            "index": index,
            "process": process,
            "f": f,
            "input": given,
            "output": output,
            "type": kind,
            **times,
        }

    first = int(str(call["index"]))
    return {
        "schema": "traitor/counterexample/1",
        "key": key,
        "model": "kv",
        "operations": [
            operation(first, 0, "put", "v811", None, 0, 30),
            operation(first + 3, 1, "put", "v815", None, 42, 71),
            operation(first + 4, 2, "cas", ["v811", "v818"], [False, "v815"], 60, 96),
            operation(first + 9, 3, "put", "v820", None, 20, None),
            operation(first + 11, 0, "get", None, "v815", 80, 110),
            operation(first + 15, 1, "get", None, "v811", 121, 150),
        ],
        "longest_prefix": [first, first + 3, first + 4, first + 11],
        "state_then": "v815",
        "stuck_on": first + 15,
        "reasons": [
            f"#{first + 15} get of process 1 returned v811, which #{first} put.",
            f"#{first + 3} put v815 began 1.2 ms after #{first} had ended, so it comes later in every order.",
            f"#{first + 15} began 5.0 ms after #{first + 3} had ended, so it must not see v811.",
        ],
        "moves": [
            ["cut", [base + 20_000_000]],
            ["project", ["v700"]],
            ["weaken", [first + 4]],
            ["keep", [first + place for place in (0, 3, 4, 9, 11, 15)]],
        ],
        "steps": [
            {
                "rule": "real-time",
                "operations": [first, first + 3],
                "value": None,
                "margin_ns": 599_999,
                "text": f"#{first} ended 1.2 ms before #{first + 3} began",
            }
        ],
        "margin_known": True,
        "margin_ns": 599_999,
    }


def verdict(shape: Shape) -> dict[str, object]:
    ops = shape.operations
    stale = (
        f"key k3 alone has no order: a get returned v811 after v815 had been written (of {ops} operations)"
    )
    lines = [
        ("linearizability", "invalid" if shape.invalid else "valid", stale if shape.invalid else
         "a witness order for each of 20 keys was found and verified"),
        ("witness", "unknown", "nothing explains what clients saw, nor does the order of execution")
        if shape.invalid else ("witness", "valid", "the order the replicas executed explains all 20 keys"),
        ("agreement", "valid", "4 replicas, one digest for each sequence number, 9 checkpoints agree"),
        ("exactly-once", "valid", "no request was executed twice"),
        ("durability", "valid", "every acknowledged write is in the final state or was overwritten"),
        ("liveness", "valid", "operations completed in all 5 windows within the budget"),
        ("accountability", "unknown", "not yet judged"),
        ("recovery", "valid", "4 of 4 faults proved undone; every replica answered after 0.4 s"),
        ("coverage", "valid", f"{ops} operations, 4 faults with receipts, 3 view changes"),
        ("harness", "valid", "worst lag 8.4 ms"),
    ]  # fmt: skip
    return {
        "schema": "traitor/verdict/1",
        "verdict": "invalid" if shape.invalid else "valid",
        "exit_code": 1 if shape.invalid else 0,
        "lines": [
            {
                "name": name,
                "verdict": verdict,
                "judged": verdict != "unknown",
                "reason": reason,
                "details": _details(shape) if name == "linearizability" else {},
            }
            for name, verdict, reason in lines
        ],
        "operations": {},
    }


def _details(shape: Shape) -> dict[str, object]:
    """What the judge tells beside the line linearizability."""
    if not shape.invalid:
        return {"keys": shape.keys, "placed": shape.operations, "engines": {"witness": shape.keys}}
    return {
        "kind": "stale read",
        "engine": "polynomial",
        "audited": True,
        "margin_ns": 599_999,
        "guarantees": {"sequential": {"status": "holds", "why": "an order keeps each process' own"}},
        "still": "still sequentially consistent: yes; no read was staler than 5 ms",
        "anomalies": [{"type": "stale read", "transactions": [0], "sentences": ["T1 read v811"]}],
    }
