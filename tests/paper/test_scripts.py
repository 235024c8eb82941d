"""Each file in ``scripts/`` is one corner of the protocol, played by real cores and told line by line.

A script is blocks: commands, ``----``, what they cause, an empty line. ``#`` begins a comment. After a change
that is meant, ``pytest tests/paper/test_scripts.py --rewrite`` writes what happens now into the files; read
the difference as carefully as code. Replicas are ``0`` …, clients ``c1`` …; ``*`` matches any.

    cluster n=4 K=4 L=8 pipeline=8 batch=64   begin (these are the defaults)
    request c1 a to 0,1            c1 asks to append element a; the request reaches 0 and 1 at once
    read c1 to 0                   c1 asks for the list
    again c1 to all                the same bytes again
    deliver 0->1 PRE-PREPARE       what is in flight now and matches, oldest first; tells all that follows
    deliver all                    everything, and what follows from it; tells no sends
    drop 0->2 *                    out of the air
    hold *->2 COMMIT               ``deliver all`` leaves such messages in flight until ``release``
    in flight                      what is
    fire request 1                 the timer runs out, at its time (also: new-view, status)
    pass 100                       milliseconds go by
    crash 2                        the process dies; its log stays
    crash 2 before NEW-VIEW        it dies as the first such message is about to leave
    restart 2
    show 1                         view, window, log, certificates, who waits, timers
    same 1 VIEW-CHANGE 0           says whether 1's two latest such messages to 0 are equal bytes
    lie 3->0 PRE-PREPARE v0 n1 c9 x        sealed by 3, whatever it is: a batch of c9's request x
    lie 3->0 PREPARE v0 n1 [a]             also COMMIT
    lie 3->0 VIEW-CHANGE v1 P=1,2 like 2   its certificates for n1 and n2 are those of 2; P=none
    lie 1->2 NEW-VIEW v1 V=0,1,2 n2=[]     O follows from V, but for n2; n2=missing leaves it out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from members import wire
from script_stage import Stage, number, who

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.operations import encode_fields
from pbft_node.core.replica import Replica

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


class Player:
    """Runs commands on a stage."""

    def __init__(self) -> None:
        self.stage = Stage()

    def play(self, line: str) -> list[str]:
        word, _, rest = line.partition(" ")
        verb: Callable[[str], list[str] | None] | None = getattr(self, f"do_{word}", None)
        assert verb is not None, f"no command {word!r}: see the top of test_scripts.py"
        self.stage.tells_sends = line != "deliver all"
        said = verb(rest)
        return said if said is not None else self.stage.take_told()

    def do_cluster(self, rest: str) -> None:
        settings = [part.split("=") for part in rest.split()]
        self.stage = Stage(**{name: int(value) for name, value in settings})

    def do_request(self, rest: str) -> None:
        client, element, _, to = rest.split()
        operation = encode_fields(b"append", b"k", element.encode())
        self.stage.invoke(number(client), operation, self.targets(to))

    def do_read(self, rest: str) -> None:
        client, _, to = rest.split()
        self.stage.invoke(number(client), encode_fields(b"read", b"k"), self.targets(to))

    def do_again(self, rest: str) -> None:
        client, _, to = rest.split()
        self.stage.ask_again(number(client), self.targets(to))

    def targets(self, text: str) -> list[int]:
        return list(range(self.stage.cluster.n)) if text == "all" else [int(part) for part in text.split(",")]

    def do_deliver(self, rest: str) -> None:
        if rest == "all":
            self.stage.deliver_all()
            return
        taken = self.stage.take(rest)
        assert taken, f"nothing in flight matches {rest}: {self.in_flight()}"
        for flying in taken:
            self.stage.arrive(flying)

    def do_drop(self, rest: str) -> list[str]:
        return [f"{len(self.stage.take(rest))} dropped"]

    def do_hold(self, rest: str) -> None:
        self.stage.held.append(rest)

    def do_release(self, rest: str) -> None:
        self.stage.held = [pattern for pattern in self.stage.held if rest not in ("", pattern)]

    def do_in(self, rest: str) -> list[str]:
        assert rest == "flight"
        return self.in_flight()

    def in_flight(self) -> list[str]:
        lines: dict[str, list[str]] = {}
        for flying in self.stage.flying:
            lines.setdefault(f"{who(flying.source)} {flying.type.name}", []).append(who(flying.to))
        return [f"{name.replace('_', '-')} to {','.join(to)}" for name, to in lines.items()]

    def do_fire(self, rest: str) -> None:
        name, index = rest.split()
        self.stage.fire(name, int(index))

    def do_pass(self, rest: str) -> None:
        self.stage.now_ns += int(rest) * MILLISECOND_NS

    def do_crash(self, rest: str) -> None:
        index, *when = rest.split()
        if when:
            self.stage.dying[int(index)] = when[1]
        else:
            del self.stage.replicas[int(index)]

    def do_restart(self, rest: str) -> None:
        self.stage.start(int(rest))

    def do_same(self, rest: str) -> list[str]:
        source, name, to = rest.split()
        found = [flying.data for flying in self.stage.flying if flying.matches(f"{source}->{to} {name}")]
        assert len(found) >= 2, f"{len(found)} in flight, two to compare are needed"
        return ["the same bytes" if found[-1] == found[-2] else "DIFFERENT BYTES"]

    def do_show(self, rest: str) -> list[str]:
        index = int(rest)
        return list(self.shown(index, self.stage.replicas[index]))

    def shown(self, index: int, replica: Replica) -> Iterator[str]:
        words = self.stage.words
        where = "in" if replica.active else "waits for"
        low, high = replica.stable, replica.high_watermark
        yield f"{index} {where} v{replica.view}, executed {replica.executed}, window {low}..{high}"
        for seq in sorted(replica.slots):
            slot = replica.slots[seq]
            batch = words.batch(slot.pre_prepare.digest) if slot.pre_prepare else "no proposal"
            marks = "".join([" prepared" * slot.prepared, " committed" * slot.committed])
            yield f"  log: v{slot.view} n{seq} {batch}{marks}"
        for seq in sorted(replica.certificates):
            proposal = replica.certificates[seq].pre_prepare
            yield f"  P: n{seq} {words.batch(proposal.digest)} of v{proposal.view}"
        for client in replica.pending:
            yield f"  waits: {words.request(replica.pending[client].request)} of {who(client)}"
        for (owner, name), (_, due_ns) in sorted(self.stage.timers.items()):
            if owner == index and name in ("request", "new-view"):
                yield f"  timer: {name} in {self.stage.in_ms(due_ns)} ms"

    def do_lie(self, rest: str) -> None:
        link, name, *words = rest.split()
        source, to = (int(part) for part in link.split("->"))
        stage, cast = self.stage, self.stage.cast(to)
        view = number(words[0])
        match name:
            case "PRE-PREPARE":
                request = cast.request(
                    stage.now_ns + 1, b"append", b"k", words[3].encode(), client=number(words[2])
                )
                data = wire(cast.pre_prepare(number(words[1]), request, view=view, by=source))
            case "PREPARE" | "COMMIT":
                digest = stage.words.digest_of(words[2])
                proposal = cast.pre_prepare(number(words[1]), view=view, by=source, digest=digest)
                data = wire(
                    cast.prepare(proposal, source) if name == "PREPARE" else cast.commit(proposal, source)
                )
            case "VIEW-CHANGE":
                shown, like = words[1].removeprefix("P="), number(words[3])
                message = stage.lying_view_change(source, view, shown, like)
                stage.view_changes[source, view] = message
                data = message.raw
            case "NEW-VIEW":
                order = {number(n): to for n, _, to in (word.partition("=") for word in words[2:])}
                data = stage.lying_new_view(source, view, words[1].removeprefix("V="), order).raw
            case _:
                raise AssertionError(f"no lie {name}")
        stage.lie(to, data)


@dataclass
class Block:
    """Comments and commands as they stand in the file, and what is expected of them."""

    head: list[str]
    expected: list[str]

    @property
    def commands(self) -> list[str]:
        return [line for line in self.head if line.strip() and not line.startswith("#")]


def read_script(text: str) -> list[Block]:
    blocks: list[Block] = []
    for part in text.strip("\n").split("\n\n"):
        head, mark, tail = part.partition("\n----")
        lines = head.splitlines()
        commands = [line for line in lines if line and not line.startswith("#")]
        assert mark or not commands, f"commands without ----: {commands}"
        blocks.append(Block(lines, tail.splitlines()[1:] if mark else []))
    return blocks


def play(blocks: list[Block]) -> list[Block]:
    """The same commands with what they cause now."""
    player = Player()
    played = []
    for block in blocks:
        said = []
        for command in block.commands:
            try:
                said += player.play(command)
            except (AssertionError, ValueError, KeyError, IndexError) as problem:
                raise AssertionError(f"{command!r}: {problem!r}") from problem
        played.append(Block(block.head, (said or ["ok"]) if block.commands else []))
    return played


def write_script(blocks: list[Block]) -> str:
    parts = ["\n".join([*b.head, *(["----", *b.expected] if b.commands else [])]) for b in blocks]
    return "\n\n".join(parts) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    blocks = read_script(text)
    assert text.startswith("# "), "a script begins by saying what it shows"
    now = write_script(play(blocks))
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert text.splitlines() == now.splitlines(), f"{path.name}: --rewrite writes what happens now"


def test_a_script_that_expects_something_else_fails() -> None:
    text = SCRIPTS[0].read_text()
    blocks = read_script(text)
    spoiled = next(block for block in blocks if block.expected not in ([], ["ok"]))
    spoiled.expected[0] += " or so"
    assert write_script(blocks) != write_script(play(blocks))


@pytest.mark.parametrize("line", ["dance", "deliver 0->1 PRE-PREPARE", "fire request 1", "crash 9"])
def test_a_command_that_makes_no_sense_fails(line: str) -> None:
    with pytest.raises(AssertionError, match=line):
        play([Block(["cluster n=4", line], [])])


def test_every_corner_has_its_script() -> None:
    assert len(SCRIPTS) >= 25
