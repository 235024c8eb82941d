"""The client of the file service (its cache does what it says) and the five phases, in one process."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from andrew_phases import PHASES, Andrew, PhaseTime, Run, find_compiler, median_of
from andrew_tables import DISK, UNREPLICATED, print_tables, verdict
from file_client import ATTRIBUTES_SECONDS, FileClient, FileError
from source_tree import folders_of, make_tree

from pbft_node.core.services.file_volume import MAX_TRANSFER_BYTES
from pbft_node.core.services.files import Files
from pbft_node.core.store import Store
from pbft_node.core.types import ClientId


class Mounts:
    """One service, and clients of it that share a clock."""

    def __init__(self) -> None:
        self.store = Store()
        self.now = 0.0

    def mount(self) -> FileClient:
        return FileClient(self.call, lambda: self.now)

    def call(self, operation: bytes, reads: bool) -> bytes:
        before = self.store.image().digest
        result = Files().execute(self.store, ClientId(1000), operation)
        assert not reads or self.store.image().digest == before, f"{operation!r} is no read"
        return result


@pytest.fixture
def mounts() -> Mounts:
    return Mounts()


def sent(client: FileClient) -> dict[str, int]:
    """What it sent since the last look."""
    operations = dict(client.operations)
    client.operations.clear()
    return operations


def test_attributes_are_trusted_for_a_while_and_data_as_long_as_the_file_is_the_same(mounts: Mounts) -> None:
    writer, reader = mounts.mount(), mounts.mount()
    writer.write_file("f", b"one")
    assert sent(writer) == {"lookup": 1, "create": 1, "write": 1}
    assert writer.read_file("f") == b"one"
    assert sent(writer) == {}, "it wrote them itself"
    assert reader.read_file("f") == b"one"
    assert sent(reader) == {"lookup": 1, "read": 1}
    writer.write_file("f", b"two!")
    assert reader.read_file("f") == b"one", "as with NFS: not seen before the attributes are old"
    mounts.now = ATTRIBUTES_SECONDS
    assert reader.read_file("f") == b"two!"
    assert sent(reader) == {"lookup": 1, "read": 1}
    mounts.now *= 2
    assert reader.read_file("f") == b"two!"
    assert sent(reader) == {"lookup": 1}, "the same file: its data is good"
    reader.forget()
    assert reader.read_file("f") == b"two!"
    assert sent(reader) == {"lookup": 1, "read": 1}


def test_large_and_empty_files_and_folders(mounts: Mounts) -> None:
    writer, reader = mounts.mount(), mounts.mount()
    large = bytes(range(256)) * 256
    for path, content in (("large", large), ("empty", b"")):
        writer.write_file(path, content)
        assert reader.read_file(path) == content
        assert reader.stat(path).size == len(content)
    assert sent(reader)["read"] == -(-len(large) // MAX_TRANSFER_BYTES) + 1
    writer.mkdir("d")
    writer.write_file("d/shorter", large)
    writer.write_file("d/shorter", b"x")
    assert reader.read_file("d/shorter") == b"x"
    assert [path for path, _ in reader.walk()] == ["d", "d/shorter", "empty", "large"]


def test_errors_are_raised_with_their_reason(mounts: Mounts) -> None:
    client = mounts.mount()
    with pytest.raises(FileError, match="noent"):
        client.read_file("nothing")
    client.mkdir("d")
    with pytest.raises(FileError, match="exist"):
        client.mkdir("d")


def test_the_tree_is_of_the_size_of_andrews_and_always_the_same() -> None:
    for language, digest in (("c", "1de9c275"), ("python", "1805964d")):
        tree = make_tree(language)
        assert 60 <= len(tree) <= 80
        assert 180_000 <= sum(map(len, tree.values())) <= 260_000
        whole = b"".join(path.encode() + tree[path] for path in tree)
        assert hashlib.sha256(whole).hexdigest()[:8] == digest, "other bytes than every machine before"
        assert len(folders_of(tree)) == 6
        assert len(make_tree(language, 3)) == 3 * len(tree)


def test_a_kept_cache_saves_what_was_just_seen(mounts: Mounts, tmp_path: Path) -> None:
    tree = {path: content for path, content in make_tree("python").items() if "/base/" in path}
    sent = {}
    for keep in (False, True):
        andrew = Andrew(Mounts().mount(), tree, tmp_path, None, lambda: 0.0, keep_cache=keep)
        andrew.put_sources()
        sent[keep] = [phase.operations for phase in andrew.run()]
    assert sent[True][2:4] == [len(folders_of(tree)) + 1, 0], "readdir only; then nothing"
    assert all(kept <= cold for kept, cold in zip(sent[True], sent[False], strict=True))


@pytest.mark.parametrize("language", ["c", "python"])
def test_the_five_phases(mounts: Mounts, tmp_path: Path, language: str) -> None:
    compiler = find_compiler() if language == "c" else None
    if language == "c" and compiler is None:
        pytest.skip("no C compiler on the PATH")
    tree = make_tree(language)
    few = {
        path: tree[path] for path in tree if "/base/m0." in path or "/base/m1." in path or "/" not in path[8:]
    }
    if language == "c":
        few["copy000/main.c"] = b'#include "m0.h"\nint main(void) { return m0_f0(1, 2) == 0; }\n'
    client = mounts.mount()
    andrew = Andrew(client, few, tmp_path, compiler, lambda: 0.0, keep_cache=False)
    andrew.put_sources()
    phases = andrew.run()
    assert len(phases) == len(PHASES)
    assert phases[0].operations == 1 + len(folders_of(few)), "a MKDIR each"
    assert phases[1].operations > 4 * len(few), "look up, read, create, write"
    assert all(phase.operations for phase in phases)
    made = {path for path, _ in client.walk("target")} - {f"target/{path}" for path in few}
    objects = {f"target/{path[:-2]}.o" for path in few if path.endswith(".c")}
    codes = {f"target/{path}c" for path in few if path.endswith(".py")}
    folders = {f"target/{path}" for path in folders_of(few)}
    assert made - folders == ((objects | {"target/copy000/program"}) if language == "c" else codes)
    if language == "c":
        assert client.read_file("target/copy000/program")[:4] == b"\x7fELF"


def run(own: float, waited: float) -> Run:
    return Run(tuple(PhaseTime((own + waited) / 5, 10, waited / 5) for _ in PHASES), 0.1)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (9.0, ["at most 3% over unreplicated: not reached; the best is +10.0%", "far +30%, near +10%"]),
        (12.0, ["no verdict, since equal own work took 9.00 to 12.00 s", "the best is +10.0%"]),
        (6.0, ["no verdict", "the best is +10.0%"]),
    ],
)
def test_the_verdict_is_none_where_equal_work_takes_unequal_time(own: float, words: list[str]) -> None:
    medians = {UNREPLICATED: run(9, 1), DISK: run(9, 1), "far": run(9, 4), "near": run(own, 2)}
    said = " ".join(verdict(medians, ["far", "near"]))
    assert all(word in said for word in words), said


def test_the_goal_can_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    medians = {UNREPLICATED: run(9, 1), "near": median_of([run(9, 1), run(9, 1.2), run(9, 2)])}
    assert verdict(medians, ["near"]) == ["Goal: at most 3% over unreplicated: reached; the best is +2.0%."]
    print_tables(medians, {name: [one] for name, one in medians.items()}, ["near"])
    printed = capsys.readouterr().out
    assert "10.20    +2%" in printed
    assert "64.48   +26%" in printed, "the paper's"
