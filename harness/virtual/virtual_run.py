"""A run in virtual time, in this process: the counterpart of ``live_run``, without a sandbox.

Reads ``plan.json`` from the folder, makes the cluster and its keys from the seed, and runs. SIGINT and
SIGTERM stop the run in order; a second one at once.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from harness.cluster_settings import DURABILITY
from harness.console import tell
from harness.errors import HarnessError
from harness.identities import HONEST, genesis_of
from harness.live_run import client_port, prepare, replica_environment
from harness.plan import Plan
from harness.plan_file import read_plan
from harness.progress import make_progress
from harness.run import Run
from harness.run_record import RunRecord
from harness.scene import intercepts, make_scene
from harness.schedule.followed_host import FollowedHost
from harness.schedule.recorded_world import RecordedWorld
from harness.schedule.schedule_file import read_schedule
from harness.store import utc_now
from harness.virtual import nursery
from harness.virtual.hashed_keys import HashedKeys
from harness.virtual.host import Host
from harness.virtual.lockstep_host import LockstepHost
from harness.virtual.one_core import OneCore
from harness.virtual.settings import KEYED_HASH, Virtual
from harness.virtual.shared import Shared
from harness.virtual.sim_host import SimHost
from harness.virtual.world import VirtualWorld
from nemesis.packets.scene import Scene
from pbft_node.config import load_replica
from pbft_node.genesis import Genesis, write_replica
from pbft_node.keys import NodeKeys, SecretKeys


def run_virtual(
    folder: Path,
    quiet: bool,
    *,
    journal: bool = True,
    share: bool = True,
    look: Callable[[VirtualWorld], None] = lambda world: None,
) -> int:
    """Carry out the plan of a run folder in ``sim`` or ``lockstep``. Returns the exit code.

    ``journal``: replicas keep one, as in ``live``. ``share``: those of ``sim`` work out once what is the same
    for all (see ``shared``). ``look`` is shown the world before it begins.
    """
    plan = read_plan(folder / "plan.json")
    record = RunRecord(started_utc=utc_now().isoformat(timespec="seconds").replace("+00:00", "Z"))
    genesis = genesis_of(plan)
    prepare(folder, genesis)
    shared = Shared(remembers=share)
    world = make_world(plan, genesis, folder, shared, journal=journal)
    look(world)
    port = client_port(genesis, _client_keys(plan, genesis, shared))
    run = Run(plan, world, port, folder, record, make_progress(quiet))
    with _stopped_by_signals(world):
        code = run.execute()
    if isinstance(world, RecordedWorld):
        record.schedule = world.extent.told()
        record.write(folder)
        if not quiet:
            tell(world.extent.words())
    for error in dict.fromkeys(record.harness_errors):
        tell(f"traitor: {error}")
    return code


def make_world(plan: Plan, genesis: Genesis, folder: Path, shared: Shared, *, journal: bool) -> VirtualWorld:
    """The world of a plan; its replicas' files in ``folder``."""
    virtual = plan.virtual
    if virtual is None:
        raise HarnessError(f"a run in world {plan.world} needs a virtual network: the plan has none")
    if plan.world == "lockstep":
        make_host, release = _lockstep_hosts(plan)
    else:
        make_host, release = _sim_hosts(virtual, genesis, shared)
    durability, kept = str(plan.cluster[DURABILITY]), "journal" if journal else None

    def host(replica: int, name: str = "", of: Host | None = None) -> Host:
        place = folder / "replicas" / (name or str(replica))
        written = write_replica(genesis, replica, place, durability=durability, journal=kept)
        made = make_host(replica, written)
        if of is not None and durability != "none":  # that keeps nothing: a copy would be of nothing
            of.copy_log(place / "wal")
            made.adopt_log()
        return made

    scene = _scene(plan, genesis, shared) if intercepts(plan) else None
    if virtual.schedule is not None:
        schedule = read_schedule(virtual.schedule)
        return RecordedWorld(
            schedule=schedule,
            n=plan.nodes,
            f=plan.f,
            seed=plan.seed,
            virtual=virtual,
            host=host,
            scene=scene,
            folder=folder,
            twin_host=host,
        )
    return VirtualWorld(
        name=plan.world,
        n=plan.nodes,
        f=plan.f,
        seed=plan.seed,
        virtual=virtual,
        host=host,
        release=release,
        scene=scene,
        folder=folder,
        twin_host=host,
    )


def get_ready(plan: Plan) -> None:
    """Make what many such runs share, in the process that is forked for each. Raises HarnessError."""
    if plan.world == "lockstep":
        nursery.shared(_environment())


def _scene(plan: Plan, genesis: Genesis, shared: Shared) -> Scene:
    def keys_of(secret: SecretKeys) -> NodeKeys:
        return _keys(plan, genesis, shared, secret)

    return make_scene(plan, genesis, keys_of)


_Hosts = tuple[Callable[[int, Path], Host], Callable[[], None]]
"""(replica, its config file) -> its host, and what to call when all of them are closed."""


def _client_keys(plan: Plan, genesis: Genesis, shared: Shared) -> NodeKeys:
    return _keys(plan, genesis, shared, genesis.client_secrets[HONEST])


def _keys(plan: Plan, genesis: Genesis, shared: Shared, secret: SecretKeys) -> NodeKeys:
    """A keyring with that secret, of the kind the plan wants."""
    if plan.virtual is not None and plan.virtual.signer == KEYED_HASH:
        return HashedKeys(genesis.directory(), secret)
    keys = NodeKeys(genesis.directory(), secret)
    if plan.world == "sim":
        shared.join(keys)
    return keys


def _sim_hosts(virtual: Virtual, genesis: Genesis, shared: Shared) -> _Hosts:
    directory = genesis.directory()
    kind = SimHost if virtual.schedule is None else FollowedHost

    def host(replica: int, path: Path) -> Host:
        config = load_replica(path)
        if virtual.signer == KEYED_HASH:
            keys = HashedKeys(directory, genesis.replica_secrets[replica])
            config = dataclasses.replace(config, keyring=keys)
        else:
            shared.join(config.keyring)
        return kind(config, path.parent, shared)

    return host, lambda: None


def _lockstep_hosts(plan: Plan) -> _Hosts:
    forgetful = plan.cluster[DURABILITY] == "none"
    closing = ExitStack()
    rooms: list[nursery.Room] = []

    def host(replica: int, path: Path) -> Host:
        if not rooms:
            home = nursery.shared(_environment())
            closing.callback(OneCore().release)
            rooms.append(home.room())
            closing.callback(rooms[0].close)
        return LockstepHost(replica, path, rooms[0], forgetful=forgetful)

    return host, closing.close


def _environment() -> dict[str, str]:
    """Of lockstep replicas. A service of the user's may hang on the order of sets, so that is fixed, unless
    somebody fixes it otherwise."""
    return {"PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"), **replica_environment()}


@contextmanager
def _stopped_by_signals(world: VirtualWorld) -> Iterator[None]:
    """While the run lasts."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if world.stopped:
            raise KeyboardInterrupt
        world.stop(f"stopped by {signal.Signals(number).name}")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
