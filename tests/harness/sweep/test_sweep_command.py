"""``traitor sweep``: real seeds in ``sim``, failures kept and made again, and an honest summary."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import cli, one_run
from harness.errors import HarnessError, UsageError
from harness.plan import make_plan
from harness.sweep import seed_run
from harness.sweep.outcome import Outcome, verdict_of
from harness.sweep.source import Source, seeds_of
from harness.sweep.tally import Tally

LOAD = ("--time", "5", "--rate", "16", "--clients", "4", "--set", "contention=0.7")
SMALL = (*LOAD, "--fault", "none")


def sweep(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = cli.main(["sweep", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    code, out, err = sweep(capsys, *words, "--json")
    assert err == ""
    result = json.loads(out)
    assert result["exit_code"] == code
    return code, result


def test_a_line_for_each_seed_and_a_summary(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    code, text, err = sweep(capsys, *LOAD, "--fault", "kill", "--seeds", "3..5", "--jobs", "2", "--out", out)
    lines = [line for line in text.splitlines() if line.startswith("seed ")]
    assert sorted(line.split()[1] for line in lines) == ["3", "4", "5"]
    for line in lines:
        assert re.search(
            r"valid +operations \d+ ok 0 fail \d+ info +faults [12]/[12] +view \d+ +virtual +\d+\.\d s +"
            r"real +\d+\.\d\d s +kv n=4 c=4 200us\.\.1ms",
            line,
        ), line
    assert "seeds            3 of 3: 3 valid\n" in text
    assert "liveness         3 valid\n" in text
    assert re.search(r"^faults +([3-6]) of \1 kill took effect", text, re.MULTILINE)
    assert text.endswith("exit code        0\n")
    assert (code, err) == (0, "")
    assert not out.exists(), "passes leave nothing"


def test_the_summary_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, result = as_json(capsys, *SMALL, "--seeds", "7", "--out", tmp_path)
    assert code == 0
    assert result["schema"] == "traitor/sweep/1"
    assert (result["asked"], result["done"], result["verdicts"]["valid"]) == (1, 1, 1)
    assert result["operations"]["ok"] > 50
    assert result["seeds_per_minute_and_core"] > 0
    assert result["virtual_to_real"] > 0
    assert result["failures"] == []


def test_too_little_tested_is_told_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny = ("--time", "1", "--rate", "5", "--fault", "none", "--seeds", "1..2", "--out", tmp_path)
    code, text, _ = sweep(capsys, *tiny)
    assert code == 3
    assert text.count(" uncovered ") == 2
    assert "2 of 2: 2 uncovered" in text
    assert not os.listdir(tmp_path), "it is no failure: there is nothing to look at"


def test_a_seed_without_a_plan_is_a_line(tmp_path: Path) -> None:
    asked = {"time": 1.5, "faults": ["kill", "pause"], "rate": 20}

    def fits(seed: int) -> bool:
        try:
            make_plan(Source(asked).spec_of(seed), seed)
        except UsageError:
            return False
        return True

    first = next(seed for seed in itertools.count() if fits(seed) and not fits(seed + 1))
    made = one_run.MadeBy("traitor sweep", "traitor")
    outcome = seed_run.run_seed(seed_run.Sweep(Source(asked), tmp_path, made), tmp_path, first + 1, True)
    assert (outcome.verdict, outcome.exit_code) == ("uncovered", 3)
    assert "no plan" in outcome.reason


def spoilt(folder: Path) -> None:
    """The last answered read of the load never saw a write."""
    path = folder / "history.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    read = next(e for e in reversed(events) if e.get("type") == "ok" and e["f"] == "get" and e["output"])
    read["output"] = "never written"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def spoil(monkeypatch: pytest.MonkeyPatch, after: Callable[[Path], None]) -> None:
    real = one_run.virtual_world()

    def world(folder: Path, quiet: bool) -> int:
        code = real(folder, quiet)
        after(folder)
        return code

    for name in ("virtual_world", "lean_world"):
        monkeypatch.setattr(one_run, name, lambda: world)


def test_a_failure_is_kept_and_said_how_to_repeat(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, spoilt)
    code, result = as_json(capsys, *SMALL, "--seeds", "1..2", "--jobs", "1", "--keep", "1", "--out", tmp_path)
    assert code == 1
    assert result["verdicts"] == {"valid": 0, "invalid": 2, "unknown": 0, "uncovered": 0, "harness": 0}
    assert result["kept"] == 1
    assert result["lines"]["linearizability"] == {"invalid": 2}
    kept = [failure for failure in result["failures"] if failure["folder"]]
    assert sorted(str(tmp_path / name) for name in os.listdir(tmp_path)) == sorted(f["folder"] for f in kept)
    for failure in result["failures"]:
        assert failure["reason"].startswith("linearizability: value from nowhere")
        assert (
            f"run --world sim --workload kv --nodes 4 --clients 4 --rate 16 --time 5 --seed {failure['seed']}"
            in (failure["reproduce"])
        )
    folder = Path(kept[0]["folder"])
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "invalid"
    assert (folder / "report.html").exists()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["reproduce"] == kept[0]["reproduce"]
    assert "sweep --time 5" in manifest["command"]


def test_a_run_that_does_not_come_out_the_same_is_our_defect(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "count"

    def differently(folder: Path) -> None:
        with runs.open("a") as file:
            file.write("x")
        if len(runs.read_text()) % 2:
            spoilt(folder)

    spoil(monkeypatch, differently)
    code, text, _ = sweep(capsys, *SMALL, "--seeds", "1", "--out", tmp_path / "runs")
    assert code == 4
    assert (
        "NOT REPRODUCED: the same plan gave another run, which is a defect of Traitor: they differ in "
        in text
    )
    assert "history.jsonl" in text


def test_a_failure_that_cannot_be_kept_is_no_defect_of_ours(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise HarnessError("cannot write plan.json: No space left on device", "Free some space.")

    spoil(monkeypatch, spoilt)
    monkeypatch.setattr(one_run, "run_plan", full)
    code, text, _ = sweep(capsys, *SMALL, "--seeds", "1", "--out", tmp_path / "runs")
    assert code == 1, "the violation stays one"
    assert "NOT REPRODUCED" not in text
    assert "No space left on device (Free some space.)" in text


def test_a_run_that_dies_is_the_harness(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def world(folder: Path, quiet: bool) -> int:
        raise ZeroDivisionError("a bug")

    for name in ("virtual_world", "lean_world"):
        monkeypatch.setattr(one_run, name, lambda: world)
    code, text, _ = sweep(capsys, *SMALL, "--seeds", "1", "--out", tmp_path / "runs")
    assert code == 4
    assert "1 of 1: 1 harness" in text
    assert "the run died: it ended with exit code 1: ZeroDivisionError: a bug" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seeds", "9..3"], "--seeds '9..3'"),
        (["--seeds", "1-3"], "FIRST..LAST"),
        (["--seeds", "0..99999999999"], "at most 10000000"),
        (["--seeds", "9" * 19], "--seeds"),
        (["--jobs", "0"], "--jobs = 0"),
        (["--jobs", "many"], "--jobs = 'many'"),
        (["--keep", "-1"], "--keep = -1"),
        (["--stop-after", "soon"], "--stop-after = 'soon'"),
        (["--world", "live"], "a sweep runs in virtual time"),
        (["--world", "moon"], "'moon'"),
        (["--fault", "kil"], "did you mean 'kill'"),
        (["--set", "los=1"], "did you mean 'loss'"),
        (["--swarm", "--set", "loss=2"], "virtual.loss = 2"),
        (["--time", "1"], "no room"),
        (["nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
)
def test_wrong_use_is_told_before_anything_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], told: str
) -> None:
    out = tmp_path / "runs"
    code, text, err = sweep(capsys, *words, "--out", out)
    assert (code, text) == (2, "")
    assert told in err
    assert not out.exists()


def test_seeds() -> None:
    assert list(seeds_of("3..5")) == [3, 4, 5]
    assert list(seeds_of("7")) == [7]
    assert seeds_of(f"{2**63 - 1}") == range(2**63 - 1, 2**63)


def test_a_spec_file_goes_below_the_flags(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "nodes: 5\nclients: 3\ntime: 5\nrate: 14\nfaults: none\nvirtual: {loss: 0.001}\nseed: 99\n"
    )
    words = (spec, "--nodes", "7", "--set", "turn=1ms", "--seeds", "2", "--out", tmp_path)
    _, text, _ = sweep(capsys, *words)
    assert "kv n=7 c=3 200us..1ms loss=0.001" in text
    assert text.startswith("seed 2 ")


def test_verdicts_and_the_worst_of_them() -> None:
    covered = {"agreement": "valid", "coverage": "valid"}
    assert verdict_of(0, covered) == "valid"
    assert verdict_of(3, covered | {"coverage": "unknown"}) == "uncovered"
    assert verdict_of(3, covered | {"coverage": "unknown", "agreement": "unknown"}) == "unknown"
    assert verdict_of(1, covered) == "invalid"
    assert verdict_of(4, {}) == verdict_of(77, {}) == "harness"
    tally = Tally(5)
    for words, code in (
        ("", 3),
        ("valid", 0),
        ("uncovered", 3),
        ("unknown", 3),
        ("harness", 4),
        ("invalid", 1),
    ):
        if words:
            tally.add(Outcome(0, words))
        assert tally.exit_code == code


def test_a_tally_does_not_grow() -> None:
    tally = Tally(3000)
    for seed in range(3000):
        tally.add(Outcome(seed, "invalid", faults={"kill": [2, 1]}, lines={"agreement": "invalid"}, view=1))
    assert len(tally.failures) == 1000
    data = tally.data()
    assert data["failures_left_out"] == 2000
    assert data["faults"] == {"kill": {"planned": 6000, "took_effect": 3000}}
    assert len(tally.text()) < 1000
    for seed in range(3000):
        tally.add(Outcome(seed, "uncovered"))
    assert tally.data()["uncovered_seeds"] == list(range(1000))
    assert len(tally.failures) == 1000


def test_no_further_seed_is_begun_after_the_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    begin = time.monotonic()
    words = (*SMALL, "--seeds", "0..999999", "--stop-after", "1s", "--jobs", "1", "--out", tmp_path)
    code, text, err = sweep(capsys, *words)
    assert code == 0
    assert 1 <= text.count("seed ") < 100
    assert " of 1000000: " in text
    assert "--stop-after 1s was over" in err
    assert time.monotonic() - begin < 60


def test_ctrl_c_prints_what_there_is_and_leaves_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "harness", "sweep", *SMALL, "--seeds", "0..9999", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "runs")], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("seed ")
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    try:
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.search(r"^seeds +\d+ of 10000: \d+ valid$", rest, re.MULTILINE)
    assert rest.endswith("exit code        130 (interrupted)\n")
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not (tmp_path / "runs").exists()
