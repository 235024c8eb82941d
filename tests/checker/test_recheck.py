"""`recheck.py` stands alone, verifies what is so, and rejects whatever was changed."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from brute_force import random_history

import checker.audit
import checker.moves
from checker.bare import judge_history
from checker.formats.traitor import read_bytes
from checker.formats.writer import HistoryWriter
from checker.models import MODEL_NAMES, model_named
from checker.recheck import NotCarried, assemble, assemble_with, by_grammar
from checker.recheck.reader import Refused, read_header, read_operations
from checker.results import write_results

HERE = Path(__file__).parent


def recheck(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the folder's program as somebody else would: isolated, in another directory."""
    command = [sys.executable, "-I", str(folder / "recheck.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={}, timeout=60)


@pytest.fixture
def judged(tmp_path):
    """A folder with a golden history, its verdict and its certificate."""

    def make(kind: str, name: str = "stale_read") -> Path:
        folder = tmp_path / "somewhere else" / f"{kind}_{name}"
        folder.mkdir(parents=True)
        shutil.copy(HERE / f"{kind}_histories" / f"{name}.jsonl", folder / "history.jsonl")
        write_results(judge_history(folder / "history.jsonl"), folder)
        return folder

    return make


@pytest.mark.parametrize(("kind", "says"), [("bad", "not linearizable"), ("good", "is linearizable")])
@pytest.mark.parametrize("name", ["stale_read", "lists_diverge"])
def test_it_verifies_both_verdicts_on_a_copied_folder(judged, tmp_path, kind, says, name):
    folder = tmp_path / "copy"
    shutil.copytree(judged(kind, name), folder)
    said = recheck(folder)
    assert (said.returncode, said.stderr) == (0, "")
    assert says in said.stdout.splitlines()[-1]
    assert recheck(folder, str(folder)).stdout == said.stdout


def test_it_takes_a_history_from_elsewhere(judged, tmp_path):
    folder = judged("good")
    (folder / "history.jsonl").rename(tmp_path / "h.jsonl")
    assert recheck(folder, str(folder), str(tmp_path / "h.jsonl")).returncode == 0
    said = recheck(folder)
    assert said.returncode == 2
    assert "history.jsonl" in said.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("a", "b", "c"), ("/no/such/folder",)])
def test_wrong_use_is_2(judged, arguments):
    assert recheck(judged("good"), *arguments).returncode == 2


def _edit(path: Path, change) -> None:
    """Change a JSON file, or the second line of a JSONL file."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    value = json.loads(lines[-1])
    change(value)
    path.write_text("\n".join([*lines[:-1], json.dumps(value)]) + "\n")


def _bind(folder: Path) -> None:
    """Make the certificate claim to be for the history as it is now."""
    digest = hashlib.sha256((folder / "history.jsonl").read_bytes()).hexdigest()
    for name in ("witness.jsonl", "counterexample.json"):
        if (folder / name).exists():
            text = (folder / name).read_text()
            before = json.loads(text.splitlines()[0] if name.endswith("l") else text)["history_sha256"]
            (folder / name).write_text(text.replace(before, digest))


def _swap(claim):
    order = claim["order"]
    order[0], order[-1] = order[-1], order[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_swap, "ordered ahead of it was called"),
        (lambda claim: claim["order"].pop(), "neither in the order nor dropped"),
        (lambda claim: claim["dropped"].append(claim["order"].pop()), "is dropped, but it completed"),
        (lambda claim: claim["order"].append(claim["order"][0]), "twice"),
        (lambda claim: claim["order"].append(10_000), "did not happen"),
        (lambda claim: claim.update(key="other"), "each key of the history once"),
        (lambda claim: claim.pop("order"), "KeyError"),
    ],
)
def test_it_rejects_a_changed_order(judged, change, why):
    folder = judged("good")
    _edit(folder / "witness.jsonl", change)
    said = recheck(folder)
    assert said.returncode == 1
    assert why in said.stdout


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_it_rejects_another_history(judged, kind):
    folder, other = judged(kind), judged(kind, "old_after_new")
    shutil.copy(other / "history.jsonl", folder / "history.jsonl")
    said = recheck(folder)
    assert said.returncode == 1
    assert "another history" in said.stdout


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_it_rejects_a_changed_value_even_if_the_certificate_is_bound_to_it(judged, kind):
    folder = judged(kind)
    text = (folder / "history.jsonl").read_text()
    (folder / "history.jsonl").write_text(text.replace('"v2"', '"v3"', 1))
    assert "another history" in recheck(folder).stdout
    at = text.rindex('"output": "v') + len('"output": "v')
    (folder / "history.jsonl").write_text(text[:at] + "9" + text[at + 1 :])
    _bind(folder)
    said = recheck(folder)
    assert said.returncode == 1, said.stdout


def _new_output(claim):
    claim["operations"][-1]["output"] = "v2"


def _fewer(claim):
    del claim["operations"][0]
    claim["moves"] = [[name, values[1:] if name == "keep" else values] for name, values in claim["moves"]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_new_output, "not those that are left"),
        (_fewer, ""),
        (lambda claim: claim.update(moves=[]), "not those that are left"),
        (lambda claim: claim.update(moves=[["forget", []]]), "no move"),
        (lambda claim: claim.update(moves=[["cut", ["soon"]]]), "no move"),
        (lambda claim: claim.update(frontier={"kind": "frontier", "levels": []}), "frontier is not closed"),
        (lambda claim: claim.update(model="append"), "model append"),
        (lambda claim: claim.update(key="k2"), "not those that are left"),
        (lambda claim: claim.update(schema="traitor/counterexample/0"), "schema"),
    ],
)
def test_it_rejects_a_changed_counterexample(judged, change, why):
    folder = judged("bad")
    _edit(folder / "counterexample.json", change)
    said = recheck(folder)
    assert said.returncode == 1
    assert why in said.stdout


def test_it_rejects_a_verdict_that_says_otherwise_and_two_certificates(judged):
    folder, other = judged("bad"), judged("good")
    shutil.copy(other / "verdict.json", folder / "verdict.json")
    assert "verdict.json says valid" in recheck(folder).stdout
    shutil.copy(other / "witness.jsonl", folder / "witness.jsonl")
    assert recheck(folder).returncode == 1


def test_no_certificate_no_program(judged):
    folder = judged("good")
    verdict = judge_history(folder / "history.jsonl")
    object.__setattr__(verdict, "witness", ())
    write_results(verdict, folder)
    assert {path.name for path in folder.iterdir()} == {"history.jsonl", "verdict.json"}


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_it_carries_the_auditor_word_for_word_and_imports_nothing_of_ours(model):
    text = assemble(model)
    assert text == assemble(model) == assemble_with(by_grammar, model)
    for module in (checker.audit, checker.moves):
        source = Path(module.__file__).read_text()
        assert source[source.index("\n\n\ndef") :].strip() in text
    assert "import checker" not in text
    assert "from checker" not in text
    compile(text, "recheck.py", "exec")


def test_a_model_that_needs_more_is_not_carried(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(
        "import psutil\nfrom checker.models.base import Model\n"
        "class Own(Model):\n    def step(self, state, call):\n        return True, state\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotCarried, match="imports psutil"):
        assemble("own_model:Own")


@pytest.mark.parametrize("model", ["register", "append"])
def test_its_reader_reads_what_the_other_reads(model):
    rng = random.Random(4)
    for _ in range(300):
        content = written(model, random_history(rng, model), rng)
        lines = content.splitlines()
        spec = model_named(model, read_header(lines[0]))
        seen = [op.to_json() for op in read_operations(lines[1:], spec)]
        assert seen == [op.to_json() for op in read_bytes(content, "h").operations]


def written(model, operations, rng) -> bytes:
    lines: list[bytes] = []
    writer = HistoryWriter(lines.append, model)
    ends = {
        op.index: op.call_ns + rng.randrange(5) if op.return_ns is None else op.return_ns for op in operations
    }
    events = [(op.call_ns, 0, op) for op in operations] + [(ends[op.index], 1, op) for op in operations]
    for at_ns, is_end, op in sorted(events, key=lambda event: (event[0], event[1], event[2].index)):
        if not is_end:
            writer.invoke(at_ns, op.process, op.f, op.key, op.input)
        elif op.type == "ok":
            writer.ok(at_ns, op.process, op.output)
        elif op.type == "fail":
            writer.fail(at_ns, op.process, "no")
        elif rng.random() < 0.5:
            writer.info(at_ns, op.process, "timeout")
    return b"".join(lines)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b'{"index": 0, "time_ns": 5, "process": 0, "type": "ok", "output": null}',
        b'{"index": 0, "time_ns": -5, "process": 0, "type": "invoke", "f": "read", "key": "k"}',
        b'{"index": 0, "time_ns": 5, "process": 0, "type": "invoke", "f": "dance", "key": "k"}',
        b'{"index": 0, "time_ns": 5, "process": 0, "type": "invoke", "f": "write", "key": "k", "input": [1]}',
        b'{"index": 0, "time_ns": 5, "process": 0, "type": "invoke", "f": "read", "key": "k", "key": "k"}',
    ],
)
def test_its_reader_refuses(line):
    with pytest.raises(Refused, match="line 2"):
        read_operations([line, b"{}"], model_named("register"))


def test_a_name_twice_is_no_half_line():
    call = (
        b'{"index": 0, "time_ns": 5, "process": 0, "type": "invoke", "f": "read", "key": "k", "input": null'
    )
    assert read_operations([call], model_named("register")) == []
    with pytest.raises(Refused, match="line 2: a name is in one object twice"):
        read_operations([call + b', "f": "read"}'], model_named("register"))
    with pytest.raises(Refused, match="line 1: a name is in one object twice"):
        read_header(b'{"schema": "traitor/history/1", "initial": 0, "initial": 1}')
