"""The five phases of the Andrew benchmark, run against a file service through ``file_client``.

1 makes the directories, 2 copies a source tree that lies in the service, 3 looks at the attributes of every
file, 4 reads every byte, 5 compiles and links. Phase 5 is real work: a compiler cannot open files of a
library, so each source and what it includes are read through the service, laid in a scratch folder in
memory, compiled there, and the object file is written through the service; the link reads the objects back.
Each phase begins with an empty cache unless told otherwise: in the paper phases outlasted the cache, ours
would fit into it, and there would be little left to measure.
"""

from __future__ import annotations

import marshal
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from file_client import FileClient
from source_tree import Tree, folders_of

SOURCE, TARGET = "source", "target"
PHASES = ("make directories", "copy", "stat", "read", "compile")
_INCLUDE = re.compile(rb'^#include "(\w+\.h)"', re.MULTILINE)
COMPILE_SECONDS = 120


def find_compiler() -> str | None:
    """A C compiler's path."""
    return next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """What a phase took."""

    seconds: float
    operations: int
    """Sent to the service."""
    waited: float
    """Seconds of it in which the client waited for the service."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the five phases."""

    phases: tuple[PhaseTime, ...]
    server_seconds: float
    """Processor time of all servers."""

    @property
    def total(self) -> PhaseTime:
        """All phases together."""
        return PhaseTime(
            sum(phase.seconds for phase in self.phases),
            sum(phase.operations for phase in self.phases),
            sum(phase.waited for phase in self.phases),
        )

    @property
    def own_seconds(self) -> float:
        """The client's own work, mostly the compiler's: the same whatever the service is."""
        return self.total.seconds - self.total.waited


def median_of(runs: list[Run]) -> Run:
    """The median of each phase, and of the servers' time."""
    phases = [
        PhaseTime(
            statistics.median(one.seconds for one in phase),
            phase[0].operations,
            statistics.median(one.waited for one in phase),
        )
        for phase in zip(*(run.phases for run in runs), strict=True)
    ]
    return Run(tuple(phases), statistics.median(run.server_seconds for run in runs))


class Andrew:
    """One run, on a service whose file system is empty."""

    def __init__(
        self,
        client: FileClient,
        tree: Tree,
        scratch: Path,
        compiler: str | None,
        waited: Callable[[], float],
        *,
        keep_cache: bool,
    ) -> None:
        self._client = client
        self._tree = tree
        self._scratch = scratch
        self._compiler = compiler
        self._waited = waited
        self._keep_cache = keep_cache

    def run(self) -> list[PhaseTime]:
        """All five, in order."""
        phases = (self.make_directories, self.copy, self.stat, self.read, self.compile)
        return [self._timed(phase) for phase in phases]

    def put_sources(self) -> None:
        """The tree to be copied must lie in the service first."""
        client = self._client
        for folder in ("", *folders_of(self._tree)):
            client.mkdir(f"{SOURCE}/{folder}".rstrip("/"))
        for path, content in self._tree.items():
            client.write_file(f"{SOURCE}/{path}", content)

    def _timed(self, phase: Callable[[], None]) -> PhaseTime:
        client = self._client
        if not self._keep_cache:
            client.forget()
        client.operations.clear()
        waited, begin = self._waited(), time.perf_counter()
        phase()
        seconds = time.perf_counter() - begin
        return PhaseTime(seconds, sum(client.operations.values()), self._waited() - waited)

    def make_directories(self) -> None:
        """Phase 1."""
        for folder in ("", *folders_of(self._tree)):
            self._client.mkdir(f"{TARGET}/{folder}".rstrip("/"))

    def copy(self) -> None:
        """Phase 2."""
        for path in self._tree:
            self._client.write_file(f"{TARGET}/{path}", self._client.read_file(f"{SOURCE}/{path}"))

    def stat(self) -> None:
        """Phase 3."""
        seen = [path for path, attributes in self._client.walk(TARGET) if not attributes.directory]
        assert sorted(seen) == sorted(f"{TARGET}/{path}" for path in self._tree)

    def read(self) -> None:
        """Phase 4."""
        for path, content in self._tree.items():
            assert self._client.read_file(f"{TARGET}/{path}") == content, f"{path} reads back otherwise"

    def compile(self) -> None:
        """Phase 5."""
        copies: dict[str, list[str]] = {}
        for path in self._tree:
            copies.setdefault(path.split("/")[0], []).append(path)
        for copy, paths in copies.items():
            if self._compiler:
                self._compile_c(copy, paths, self._compiler)
            else:
                self._compile_python(paths)

    def _compile_c(self, copy: str, paths: list[str], compiler: str) -> None:
        headers = {path.rpartition("/")[2]: path for path in paths if path.endswith(".h")}
        objects = []
        for path in paths:
            if path.endswith(".c"):
                source = self._client.read_file(f"{TARGET}/{path}")
                for name in _INCLUDE.findall(source):
                    header = headers[name.decode()]
                    (self._scratch / name.decode()).write_bytes(self._client.read_file(f"{TARGET}/{header}"))
                (self._scratch / "one.c").write_bytes(source)
                self._run(compiler, "-O", "-c", "one.c", "-o", "one.o")
                objects.append(f"{TARGET}/{path[:-2]}.o")
                self._client.write_file(objects[-1], (self._scratch / "one.o").read_bytes())
        for index, path in enumerate(objects):
            (self._scratch / f"{index}.o").write_bytes(self._client.read_file(path))
        self._run(compiler, *(f"{index}.o" for index in range(len(objects))), "-o", "program")
        self._client.write_file(f"{TARGET}/{copy}/program", (self._scratch / "program").read_bytes())

    def _compile_python(self, paths: list[str]) -> None:
        for path in paths:
            if path.endswith(".py"):
                source = self._client.read_file(f"{TARGET}/{path}")
                code = marshal.dumps(compile(source, path, "exec", optimize=2))
                self._client.write_file(f"{TARGET}/{path}c", code)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self._scratch, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
