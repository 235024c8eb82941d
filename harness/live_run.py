"""A live run as it happens inside the sandbox: ``python -m harness inside FOLDER``.

Reads ``plan.json`` from the folder, makes the cluster and its keys from the seed, and runs. The outer
process, which made the folder and the sandbox, judges afterwards. SIGINT and SIGTERM stop the run in order;
a second one at once.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

from harness.adapter import PbftNodeAdapter
from harness.clients_journal import ClientsJournal
from harness.cluster_settings import DURABILITY
from harness.console import tell
from harness.errors import HarnessError
from harness.identities import HONEST, genesis_of
from harness.interception import make_interception
from harness.live import LiveWorld
from harness.live_twins import LiveTwins, TwinMaker
from harness.plan import Plan
from harness.plan_file import read_plan
from harness.progress import make_progress
from harness.run import Beside, Run
from harness.run_record import RunRecord, write_json
from harness.scene import doubled, intercepts, moves_clocks
from harness.sessions import ClientPort
from harness.store import utc_now
from harness.watch import Watch
from pbft_node.config import load_client
from pbft_node.core.client import Client
from pbft_node.core.client_codec import reply_client
from pbft_node.genesis import Genesis
from pbft_node.keys import NodeKeys

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH")
"""To the replicas. The interpreter is the user's own, so where it finds its packages is, too."""


def run_here(folder: Path, quiet: bool) -> int:
    """Carry out the plan of a run folder, in this sandbox. Returns the exit code."""
    plan = read_plan(folder / "plan.json")
    record = RunRecord(started_utc=utc_now().isoformat(timespec="seconds").replace("+00:00", "Z"))
    adapter = _adapter(plan)
    prepare(folder, adapter.genesis)
    programs = [adapter.prepare(replica, folder / "replicas" / str(replica)) for replica in range(plan.nodes)]
    interception = make_interception(plan, adapter.genesis, folder) if intercepts(plan) else None
    world = LiveWorld(
        n=plan.nodes,
        f=plan.f,
        folder=folder,
        programs=programs,
        interception=interception,
        twins=_twins(plan, adapter, folder),
    )
    watch = Watch(world, folder)

    def watched() -> None:
        watch.stop()
        record.processor = watch.processor()
        if interception is not None:
            interception.end()
            record.interception = interception.statistics

    journal = ClientsJournal(folder, adapter.genesis.cluster.cluster_id)
    run = Run(
        plan,
        world,
        client_port(adapter.genesis),
        folder,
        record,
        make_progress(quiet),
        Beside(watch.start, watched, journal),
    )
    _stop_on_signals(world)
    try:
        code = run.execute()
    finally:
        journal.close()
    for error in dict.fromkeys(record.harness_errors):
        tell(f"traitor: {error}")
    return code


def client_port(genesis: Genesis, keys: NodeKeys | None = None) -> ClientPort:
    """Clients of ``pbft_node``: the first block of the genesis, with its own keys or these."""
    config = load_client(genesis.client_config(HONEST))
    keyring = keys or config.keyring

    def make(client: int, retry: bool) -> Client:
        return Client(config.cluster, client, keyring, retry=retry)

    return ClientPort(config.first, config.last, make, reply_client)


def replica_environment() -> dict[str, str]:
    """Of the harness' own, what its replicas get."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _adapter(plan: Plan) -> PbftNodeAdapter:
    return PbftNodeAdapter(
        genesis_of(plan),
        replica_environment() | {"PYTHONHASHSEED": "0"},
        durability=str(plan.cluster[DURABILITY]),
        clock="clock" if moves_clocks(plan) else None,
    )


def _twins(plan: Plan, adapter: PbftNodeAdapter, folder: Path) -> LiveTwins | None:
    """With durability ``none`` a copy of a log would be one of nothing."""
    identities = doubled(plan)
    copies = str(plan.cluster[DURABILITY]) != "none"
    return LiveTwins(folder, identities, TwinMaker(adapter, folder, copies=copies)) if identities else None


def prepare(folder: Path, genesis: Genesis) -> None:
    """What of the cluster is not a replica's own: the public keys. Raises HarnessError."""
    try:
        (folder / "keys").mkdir(exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"cannot write into {folder}: {error.strerror}", "Choose another place: --out DIR."
        ) from None
    write_json(folder / "keys" / "public.json", genesis.public())


def _stop_on_signals(world: LiveWorld) -> None:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        if world.stopped:
            raise KeyboardInterrupt
        world.stop(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
