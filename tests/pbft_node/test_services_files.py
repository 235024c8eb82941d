"""The file service: NFS' rules, its limits, and random operations against a model that keeps whole files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replicated import CLIENT, Replicated

from pbft_node.core.operations import MAX_OPERATION_BYTES, decode_fields, encode_fields
from pbft_node.core.services import file_volume
from pbft_node.core.services.file_volume import (
    BLOCK_BYTES,
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_TRANSFER_BYTES,
    MAX_VOLUME_BYTES,
)
from pbft_node.core.store import ReadOnlyStore, WriteRefused

ROOT = b"1"


def error(reason: str) -> tuple[bytes, ...]:
    return (b"error", reason.encode())


def number_of(result: tuple[bytes, ...]) -> bytes:
    assert result[0] == b"ok", result
    return result[1]


def test_a_file_is_made_written_read_renamed_and_removed() -> None:
    files = Replicated("files")
    files.store.time_ns = 1000
    folder = number_of(files.call("mkdir", ROOT, "src", "755"))
    file = number_of(files.call("create", folder, "a.c", "644"))
    assert files.call("getattr", file) == (b"ok", file, b"file", b"644", b"0", b"1001", b"1001")
    assert files.call("write", file, 0, b"hello world")[4] == b"11"
    assert files.call("read", file, 6, 100)[-1] == b"world"
    assert files.call("read", file, 11, 100)[-1] == b""
    assert files.call("lookup", folder, "a.c")[1] == file
    assert files.call("readdir", ROOT, "") == (b"end", b"src", folder)
    assert files.call("rename", folder, "a.c", ROOT, "b.c") == (b"ok",)
    assert files.call("lookup", folder, "a.c") == error("noent")
    assert files.call("rmdir", ROOT, "src") == (b"ok",)
    assert files.call("remove", ROOT, "b.c") == (b"ok",)
    assert files.call("getattr", file) == error("stale")
    assert files.call("statfs")[1:4:2] == (b"1", b"0"), "one inode, no bytes"


def test_time_stamps_follow_the_agreed_time_and_never_repeat() -> None:
    files = Replicated("files")
    stamps = []
    file = number_of(files.call("create", ROOT, "f", "644"))
    for time_ns in (50, 50, 10, 2000):
        files.store.time_ns = time_ns
        stamps.append(int(files.call("write", file, 0, b"x")[5]))
    assert stamps[0] == 50
    assert stamps == sorted(set(stamps))
    assert stamps[-1] == 2000
    assert files.call("setattr", file, "mtime", 7)[5] == b"7"
    assert files.call("setattr", file, "mode", "600")[3:6:2] == (b"600", b"7"), "not its contents"
    assert int(files.call("setattr", file, "size", 0)[5]) > 2000


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (("lookup", 1, "nothing"), "noent"),
        (("lookup", 2, "x"), "notdir"),
        (("lookup", 99, "x"), "stale"),
        (("create", 1, "f", "644"), "exist"),
        (("create", 1, "new", "888"), "inval"),
        (("create", 1, "new", "77777"), "inval"),
        (("create", 1, "..", "644"), "inval"),
        (("create", 1, "", "644"), "inval"),
        (("create", 1, "a/b", "644"), "inval"),
        (("create", 1, b"a\0b", "644"), "inval"),
        (("create", 1, "n" * 256, "644"), "nametoolong"),
        (("write", 1, 0, "x"), "isdir"),
        (("write", 2, -1, "x"), "inval"),
        (("write", 2, 0, bytes(MAX_TRANSFER_BYTES + 1)), "inval"),
        (("write", 2, MAX_FILE_BYTES, "x"), "fbig"),
        (("read", 2, 0, MAX_TRANSFER_BYTES + 1), "inval"),
        (("read", 2, "01", 1), "inval"),
        (("setattr", 2, "size", MAX_FILE_BYTES + 1), "fbig"),
        (("setattr", 1, "size", 0), "isdir"),
        (("setattr", 2, "owner", 0), "inval"),
        (("remove", 1, "d"), "isdir"),
        (("rmdir", 1, "f"), "notdir"),
        (("rmdir", 1, "d"), "notempty"),
        (("rename", 1, "d", 3, "e"), "xdev"),
        (("rename", 1, "f", 1, "d"), "exist"),
        (("rename", 1, "d", 1, "f"), "exist"),
        (("rename", 1, "gone", 1, "x"), "noent"),
        (("readdir", 2, ""), "notdir"),
        (("fly",), "unknown operation"),
        (("lookup", 1), "unknown operation"),
    ],
)
def test_a_refusal_names_its_reason_and_changes_nothing(
    operation: tuple[str | int | bytes, ...], reason: str
) -> None:
    files = Replicated("files")
    files.call("create", ROOT, "f", "644")
    files.call("mkdir", ROOT, "d", "755")
    files.call("create", 3, "inner", "644")
    before = files.digest()
    assert files.call(*operation) == error(reason)
    assert files.digest() == before


def test_a_rename_replaces_a_file_and_keeps_the_books() -> None:
    files = Replicated("files")
    folder = number_of(files.call("mkdir", ROOT, "d", "755"))
    one, two = (number_of(files.call("create", ROOT, name, "644")) for name in ("one", "two"))
    files.call("write", one, 0, b"1")
    files.call("write", two, 0, b"22")
    assert files.call("rename", ROOT, "one", ROOT, "two") == (b"ok",)
    assert files.call("getattr", two) == error("stale")
    assert files.call("lookup", ROOT, "two")[1] == one
    assert files.call("rename", ROOT, "two", ROOT, "two") == (b"ok",)
    assert files.call("rename", ROOT, "d", ROOT, "e") == (b"ok",)
    assert files.call("rename", ROOT, "two", folder, "one") == (b"ok",)
    assert files.call("getattr", ROOT)[4] == b"1"
    assert files.call("getattr", folder)[4] == b"1"
    assert files.call("statfs")[1:4:2] == (b"3", b"1")


def test_what_was_cut_off_never_shows_again() -> None:
    files = Replicated("files")
    file = number_of(files.call("create", ROOT, "f", "644"))
    for start in range(0, 3 * BLOCK_BYTES, BLOCK_BYTES):
        files.call("write", file, start, b"x" * BLOCK_BYTES)
    files.call("setattr", file, "size", 10)
    files.call("setattr", file, "size", 3 * BLOCK_BYTES)
    content = b"".join(files.call("read", file, i * BLOCK_BYTES, BLOCK_BYTES)[-1] for i in range(3))
    assert content == b"x" * 10 + bytes(3 * BLOCK_BYTES - 10)


def test_the_largest_results_and_operations_fit() -> None:
    files = Replicated("files")
    file = number_of(files.call("create", ROOT, "f", "644"))
    write = encode_fields(b"write", file, b"%d" % MAX_FILE_BYTES, bytes(MAX_TRANSFER_BYTES))
    assert len(write) <= MAX_OPERATION_BYTES
    folder = number_of(files.call("mkdir", ROOT, "d", "755"))
    names = {f"{i:04}".ljust(255, "x").encode() for i in range(MAX_ENTRIES)}
    for name in sorted(names):
        assert files.call("create", folder, name, "644")[0] == b"ok"
    assert files.call("create", folder, "one more", "644") == error("nospc")
    assert files.call("rename", ROOT, "f", folder, "one more") == error("nospc")
    seen: list[bytes] = []
    end = b"more"
    while end == b"more":
        operation = encode_fields(b"readdir", folder, seen[-1] if seen else b"")
        result = files.execute(operation)
        assert len(result) <= MAX_OPERATION_BYTES
        end, *listed = decode_fields(result) or ()
        assert listed, "no progress"
        seen += listed[::2]
    assert set(seen) == names


def test_the_volume_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Replicated("files")
    for i in range(MAX_VOLUME_BYTES // MAX_FILE_BYTES):
        file = number_of(files.call("create", ROOT, f"f{i}", "644"))
        assert files.call("setattr", file, "size", MAX_FILE_BYTES)[0] == b"ok"
    file = number_of(files.call("create", ROOT, "last", "644"))
    before = files.digest()
    assert files.call("write", file, 0, b"x") == error("nospc")
    assert files.digest() == before
    files.call("remove", ROOT, "f0")
    assert files.call("write", file, 0, b"x")[0] == b"ok"
    monkeypatch.setattr(file_volume, "MAX_INODES", int(files.call("statfs")[1]))
    assert files.call("mkdir", ROOT, "d", "755") == error("nospc")


def test_operations_that_only_read_never_write() -> None:
    files = Replicated("files")
    view = ReadOnlyStore(files.store)
    for fields in ((b"getattr", ROOT), (b"readdir", ROOT, b""), (b"lookup", ROOT, b"x"), (b"statfs",)):
        assert decode_fields(files.service.execute(view, CLIENT, encode_fields(*fields)))
    file = number_of(files.call("create", ROOT, "f", "644"))
    assert decode_fields(files.service.execute(view, CLIENT, encode_fields(b"read", file, b"0", b"9")))
    with pytest.raises(WriteRefused):
        files.service.execute(view, CLIENT, encode_fields(b"create", ROOT, b"g", b"644"))


OFFSETS = st.sampled_from(
    [0, 1, 5, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 7]
)
NAMES = st.sampled_from(["a", "b", "c"])
ACTIONS = st.one_of(
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("write"), NAMES, OFFSETS, OFFSETS),
    st.tuples(st.just("size"), NAMES, OFFSETS),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
)


@settings(max_examples=60)
@given(actions=st.lists(ACTIONS, max_size=25))
def test_files_hold_what_a_model_holds(actions: list[tuple[str, ...]]) -> None:
    files, model = Replicated("files"), {}
    for step, (action, name, *more) in enumerate(actions):
        found = files.call("lookup", ROOT, name)
        assert (found[0] == b"ok") == (name in model)
        if action == "create" and name not in model:
            files.call("create", ROOT, name, "644")
            model[name] = b""
        elif action == "write" and name in model:
            offset, length = more[0], min(more[1], MAX_TRANSFER_BYTES)
            data = bytes([step + 1]) * length
            files.call("write", found[1], offset, data)
            old = model[name].ljust(offset, b"\0") if length else model[name]
            model[name] = old[:offset] + data + old[offset + length :]
        elif action == "size" and name in model:
            files.call("setattr", found[1], "size", more[0])
            model[name] = model[name][: more[0]].ljust(more[0], b"\0")
        elif action == "remove" and name in model:
            assert files.call("remove", ROOT, name) == (b"ok",)
            del model[name]
        elif action == "rename" and name in model:
            assert files.call("rename", ROOT, name, ROOT, more[0]) == (b"ok",)
            model[more[0]] = model.pop(name)
        files = files.restored() if step % 7 == 3 else files
    check(files, model)


def check(files: Replicated, model: dict[str, bytes]) -> None:
    end, *listed = files.call("readdir", ROOT, "")
    assert (end, [name.decode() for name in listed[::2]]) == (b"end", sorted(model))
    for name, content in model.items():
        attributes = files.call("lookup", ROOT, name)
        assert int(attributes[4]) == len(content)
        read = b""
        while len(read) < len(content):
            read += files.call("read", attributes[1], len(read), MAX_TRANSFER_BYTES)[-1]
        assert read == content
    used = files.call("statfs")
    assert (int(used[1]), int(used[3])) == (1 + len(model), sum(map(len, model.values())))
