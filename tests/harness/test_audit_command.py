"""`traitor audit` on runs as the harness makes them, with fast reads and signed replies, too."""

from __future__ import annotations

import json

import pytest
from journalled_run import journalled_run, small_plan

from harness import store
from harness.cli import main
from harness.plan import make_plan
from harness.spec import make_spec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = journalled_run(tmp_path_factory.mktemp("audit") / "run", small_plan(), patch)
    store.seal_again(folder)
    return folder


def test_a_run_verifies(run, capsys):
    assert main(["audit", str(run), "--mutate", "8"]) == 0
    said = capsys.readouterr().out
    assert "WRONG" not in said
    assert "not checked" not in said
    assert "outputs are those in the replies" in said
    assert "of 8 spoilt copies" in said
    assert "who sent the replies: auth hybrid" in said


def test_fast_reads_and_signed_replies_verify(tmp_path, monkeypatch, capsys):
    keys = {
        "world": "sim",
        "workload": {"name": "append", "keys": 4},
        "time": 1,
        "rate": 60,
        "clients": 3,
        "faults": ["kill"],
        "cluster": {"auth": "sign", "reads": "fast", "K": 8},
        "seed": 5,
    }
    plan = make_plan(make_spec(keys), 5)
    folder = journalled_run(tmp_path / "run", plan, monkeypatch)
    store.seal_again(folder)
    assert main(["audit", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    replies = next(check for check in told["checks"] if check["what"] == "replies")
    assert replies["result"] == "verified"
    assert len(replies["counts"]) == 2, "replies, and signatures of replies"
    assert '"fast"' in (folder / "history.jsonl").read_text()


def test_wrong_use(run, tmp_path, capsys):
    assert main(["audit", str(tmp_path / "nowhere")]) == 2
    assert main(["audit", str(tmp_path)]) == 2
    assert main(["audit", str(run), "--mutate", "999999"]) == 2
    assert "Give a number from 0" in capsys.readouterr().err
