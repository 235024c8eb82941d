"""A cluster by hand: ``generate`` writes one for this machine, ``call`` makes one client call and prints the
result, ``metrics`` asks a running replica how it is, ``trace-events`` says what its trace tells.

Exit codes of ``call``: 0 the service answered · 1 it answered with an error · 2 wrong use · 3 no answer in
time (the operation may still take effect) · 4 the machine is at fault.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import shlex
import sys
import time
from hashlib import blake2b
from pathlib import Path

from . import ask_metrics
from .config import ClientConfig, load_client, read_json
from .core import trace_events
from .core.client import Client
from .core.cluster import Cluster
from .core.effects import CancelTimer, Completed, Effect, Send, SetTimer
from .core.events import Event, Received
from .core.operations import MAX_OPERATION_BYTES, decode_fields, encode_fields
from .core.services import SERVICES
from .core.types import MAX_TIMESTAMP
from .errors import ConfigError, LogError, MachineError, NodeError
from .genesis import ClientBlock, make_genesis, write_json, write_replica
from .own_services import load_service
from .timers import Timers
from .transport import AddressBook, UdpTransport

EXIT_SERVICE_ERROR = 1
EXIT_USAGE = 2
EXIT_NO_ANSWER = 3
FIRST_CLIENT, LAST_CLIENT = 1000, 1999
_SECOND_NS = 1_000_000_000


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "generate":
            return generate(options)
        if options.command == "call":
            return call(options)
        if options.command == "trace-events":
            data, table = trace_events.as_data(), trace_events.as_markdown()
            _show(json.dumps(data, indent=2) if options.json else table)
            return 0
        if options.command == "metrics":
            _show(ask_metrics.show(options.path, options.timeout, options.form))
            return 0
    except NodeError as error:
        print(f"pbft_node: {error}", file=sys.stderr)
        return error.exit_code
    _parser().print_usage(sys.stderr)
    print("pbft_node: give --config FILE to run a replica, or a command", file=sys.stderr)
    return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pbft_node",
        description="A PBFT replica and client.",
        epilog="A harness in virtual time starts replicas with --lockstep FD --config FILE [--silent], or by "
        "--nursery FD PARENT: pbft_node/lockstep.py, pbft_node/nursery.py.",
    )
    parser.add_argument("--config", metavar="FILE", help="run the replica configured in this file")
    parser.add_argument(
        "--silent",
        action="store_true",
        help="after --config FILE: if its log is lost, keep what is left of it aside and come back without a "
        "vote until it has the others' state",
    )
    commands = parser.add_subparsers(dest="command")
    new = commands.add_parser("generate", help="write a cluster for this machine, with test keys")
    new.add_argument("folder", type=Path)
    new.add_argument("--nodes", type=int, default=4)
    new.add_argument("--base-port", type=int, default=7000, help="replica i gets this port plus i")
    new.add_argument(
        "--service", default="kv", help=f"{', '.join(SERVICES)}, or a class of yours: package.module:Class"
    )
    new.add_argument("--auth", default="hybrid")
    new.add_argument("--client-auth", default="sign", help="sign, or mac: requests as in the paper")
    new.add_argument("--reads", default="ordered", help="ordered, or fast: reads in one round trip")
    new.add_argument("--digest-replies", action=argparse.BooleanOptionalAction, default=True)
    new.add_argument("--seed", type=int, default=0, help="of the test keys")
    one = commands.add_parser("call", help="one operation, for example: call client.json put k v")
    one.add_argument("config_file", type=Path)
    one.add_argument("operation", nargs="+")
    one.add_argument("--timeout", type=_seconds, default=10.0, metavar="SECONDS")
    one.add_argument(
        "--read-only", action="store_true", help="it changes nothing: do not order it, if reads are fast"
    )
    one.add_argument(
        "--client", type=int, metavar="ID", help="which of the file's clients; the first unless told"
    )
    asked = commands.add_parser("metrics", help="what a running replica does; asks its metrics.sock")
    asked.add_argument("path", type=Path, metavar="CONFIG_OR_FOLDER")
    form = asked.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", default="text")
    form.add_argument("--prometheus", dest="form", action="store_const", const="prometheus")
    asked.add_argument("--timeout", type=_seconds, default=5.0, metavar="SECONDS")
    events = commands.add_parser("trace-events", help="every kind of event in trace.jsonl, with its fields")
    events.add_argument("--json", action="store_true", help="instead of a Markdown table")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r:.40}: give seconds above 0, at most a day")
    return value


def generate(options: argparse.Namespace) -> int:
    """Write ``replicas/<i>/``, ``client.json`` and ``public.json``; say how to go on."""
    folder: Path = options.folder
    load_service(options.service, print)  # it exists, and can be loaded here at least
    name = b"traitor by hand/%d/%d" % (options.seed, options.nodes)
    try:
        cluster_id = blake2b(name, digest_size=16).digest()
        cluster = Cluster(
            cluster_id=cluster_id,
            n=options.nodes,
            service=options.service,
            auth=options.auth,
            client_auth=options.client_auth,
            reads=options.reads,
            digest_replies=options.digest_replies,
        )
    except ValueError as problem:
        raise ConfigError(str(problem)) from None
    if not 1 <= options.base_port <= 65_535 - cluster.n:
        raise ConfigError(
            f"--base-port {options.base_port}: {cluster.n} replicas and a client need the ports from it "
            f"up to it plus {cluster.n}: give 1 to {65_535 - cluster.n}"
        )
    _refuse_what_is_there(folder)
    replicas = [("127.0.0.1", options.base_port + i) for i in range(cluster.n)]
    block = ClientBlock(FIRST_CLIENT, LAST_CLIENT, "127.0.0.1", options.base_port + options.nodes)
    genesis = make_genesis(cluster, options.seed, replicas, [block])
    try:
        configs = [write_replica(genesis, i, folder / "replicas" / str(i)) for i in range(cluster.n)]
        write_json(folder / "client.json", genesis.client_config(0))
        write_json(folder / "public.json", genesis.public())
    except OSError as error:
        raise MachineError(f"{folder}: {error.strerror} ({error.filename}): choose a new folder") from None
    lines = ["Start each replica (test keys: guard nothing real with them):"]
    lines += [f"  python -m pbft_node --config {shlex.quote(str(config))} &" for config in configs]
    example = "put k v" if options.service == "kv" else "OPERATION FIELD..."
    client = shlex.quote(str(folder / "client.json"))
    _show("\n".join([*lines, f"Then: python -m pbft_node call {client} {example}"]))
    return 0


def _refuse_what_is_there(folder: Path) -> None:
    """Before anything is written: where a part of a cluster is gone, a new log in the place of a replica's
    old one would make it forget its promises without a word."""
    for name in ("replicas", "client.json", "public.json"):
        if os.path.lexists(folder / name):
            raise LogError(
                f"{folder / name}: there is a cluster already: choose another folder. A replica that lost "
                "its log is not made anew, it comes back with --silent"
            )


def call(options: argparse.Namespace) -> int:
    """One operation of one client."""
    path: Path = options.config_file
    config = load_client(read_json(path), str(path))
    client_id = config.first if options.client is None else options.client
    if not config.first <= client_id <= config.last:
        raise ConfigError(f"--client {client_id}: {path} speaks for {config.first} to {config.last}")
    operation = encode_fields(*(os.fsencode(field) for field in options.operation))
    if len(operation) > MAX_OPERATION_BYTES:
        raise ConfigError(f"operation of {len(operation)} bytes: the limit is {MAX_OPERATION_BYTES}")
    transport = UdpTransport(config.address, AddressBook(config.replica_addresses))
    try:
        needed = 2 if options.read_only else 1  # a fast read that gets no answer is ordered under another
        last = take_timestamp(path.with_name(path.name + ".timestamp"), needed) - 1
        client = Client(config.cluster, client_id, config.keyring, last_timestamp=last)
        now_ns = time.monotonic_ns()
        begun = client.invoke(operation, now_ns, read_only=options.read_only)
        completed = _run(client, transport, begun, now_ns, options.timeout)
    finally:
        transport.close()
    if completed is None:
        _say_no_answer(config, client, options.timeout)
        return EXIT_NO_ANSWER
    fields = decode_fields(completed.result) or (completed.result,)
    _show(" ".join(field.decode(errors="backslashreplace") for field in fields))
    return EXIT_SERVICE_ERROR if fields[0] == b"error" else 0


def _show(text: str) -> None:
    """To stdout. A reader that has seen enough, ``| head``, is no mistake."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise MachineError(f"stdout: {error.strerror}: not all was shown. Make space there") from None


def take_timestamp(path: Path, count: int = 1) -> int:
    """Take the next ``count`` timestamps of a counter file and give the first. On disk before they are used:
    no timestamp is used twice."""
    try:
        with open(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="ascii"
        ) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read(64)
            if text and not text.strip().isdecimal():
                raise ConfigError(
                    f"{path}: holds {text!r}: write the last timestamp its clients used, a number"
                )
            timestamp = int(text or "0") + 1
            if timestamp + count - 1 > MAX_TIMESTAMP:
                raise ConfigError(
                    f"{path}: holds {text.strip()}: behind {MAX_TIMESTAMP} there is none: write the last "
                    "timestamp its clients used"
                )
            file.seek(0)
            file.write(f"{timestamp + count - 1}\n")
            file.flush()
            os.fsync(file.fileno())
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: holds no number: write the last timestamp its clients used") from None
    except OSError as error:
        raise MachineError(f"{path}: cannot keep the timestamp: {error.strerror or error}. Mend it") from None
    return timestamp


def _run(
    client: Client, transport: UdpTransport, begun: list[Effect], now_ns: int, timeout: float
) -> Completed | None:
    timers = Timers()
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLIN)

    def take(effects: list[Effect], now_ns: int) -> Completed | None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    transport.send(to, data)
                case SetTimer(name, generation, delay_ns):
                    timers.set(name, generation, now_ns + delay_ns)
                case CancelTimer(name):
                    timers.cancel(name)
                case Completed():
                    return effect
        return None

    deadline_ns = now_ns + int(timeout * _SECOND_NS)
    take(begun, now_ns)
    while (now_ns := time.monotonic_ns()) < deadline_ns:
        wake_ns = min(deadline_ns, timers.next_due_ns() or deadline_ns)
        poll.poll(max(0, wake_ns - now_ns) / 1_000_000)
        now_ns = time.monotonic_ns()
        events: list[Event] = [Received(data) for data in transport.receive(256)]
        if fired := timers.take_due(now_ns):
            events.append(fired)
        for event in events:
            completed = take(client.handle(event, now_ns), now_ns)
            if completed:
                return completed
    return None


def _say_no_answer(config: ClientConfig, client: Client, timeout: float) -> None:
    answered = ", ".join(str(reply.replica) for reply in client.replies) or "none"
    needed = config.cluster.reply_quorum
    print(
        f"pbft_node: no {needed} matching replies within {timeout} s (answered: {answered}). "
        "The operation may still take effect, once. Do the replicas run? See their stderr and trace",
        file=sys.stderr,
    )
