"""The command line: quick help, catalogues, and clear refusals that leave nothing behind."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli, one_run, run_command
from harness.run_command import flags_of
from harness.spec import make_spec

ROOT = Path(__file__).resolve().parents[2]
HELP_S = 0.15


def traitor(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = cli.main([str(word) for word in words])
    except SystemExit as end:
        code = int(str(end.code))
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may start a real run."""
    monkeypatch.setattr(one_run.sandbox, "available", lambda *_: "this test wants none")


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    program = "import sys; from harness.cli import make_parser; make_parser(); print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {
        "rich",
        "yaml",
        "psutil",
        "scapy",
        "cryptography",
        "jinja2",
        "pbft_node",
        "checker",
        "workloads",
        "nemesis",
    }
    assert not heavy & set(done.stdout.split())
    before = os.times()
    subprocess.run([sys.executable, "-m", "harness", "--help"], cwd=ROOT, capture_output=True, check=True)
    after = os.times()
    took_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert took_s < HELP_S, f"traitor --help took {took_s * 1000:.0f} ms of CPU"


@pytest.mark.parametrize("command", ["faults", "workloads", "doctor", "list"])
def test_catalogues_in_words_and_as_json(
    capsys: pytest.CaptureFixture[str], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = traitor(capsys, command, "--json")
    assert isinstance(json.loads(out), dict)
    code_in_words, out, _ = traitor(capsys, command)
    assert code == code_in_words
    assert out or command == "list"


def test_the_catalogues_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = traitor(capsys, "faults")
    assert all(word in out for word in ("kill", "pause", "partition", "charges", "receipt", "spec"))
    one = json.loads(traitor(capsys, "faults", "kill", "--json")[1])["faults"]
    assert [each["name"] for each in one] == ["kill"]
    assert one[0]["spec"]["faults"][0]["params"] == one[0]["example"]
    assert traitor(capsys, "faults", "kil")[0] == 2
    _, out, _ = traitor(capsys, "workloads")
    assert all(word in out for word in ("register", "kv", "append", "contention", "value_bytes", "retry"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "3"], "3f+1"),
        (["--nodes", "many"], "nodes = 'many'"),
        (["--workload", "kw"], "Choose one of"),
        (["--fault", "kil"], "did you mean 'kill'"),
        (["--time", "0"], "time = 0"),
        (["--rate", "fast"], "rate = 'fast'"),
        (["--seed", "x"], "seed = 'x'"),
        (["--world", "moon"], "live, lockstep, sim"),
        (["--set", "loss=0.1"], "--world sim"),
        (["--budget", "brake"], "did you mean 'break'"),
        (["--set", "K"], "NAME=VALUE"),
        (["--set", "checkpoint_intervall=4"], "did you mean 'checkpoint_interval'"),
        (["--set", "request_timeout=soon"], "500ms"),
        (["--time", "1"], "no room"),
        (["nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--plan", "nowhere.json"], "cannot read nowhere.json"),
        (["--plan", "nowhere.json", "--nodes", "4"], "--plan together with --nodes"),
        (["--name", "a/b"], "name = 'a/b'"),
    ],
)
def test_wrong_use_of_run_is_told_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = traitor(capsys, "run", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not os.listdir(tmp_path)


def test_more_kills_than_the_budget_allows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("faults: [{kind: kill, params: {replicas: [0, 1]}}]\n")
    code, _, err = traitor(capsys, "run", spec, "--out", tmp_path / "runs")
    assert code == 2
    assert f"{spec}: " in err
    assert "--budget break" in err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_key_in_a_spec(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("noodles: 4\n")
    code, _, err = traitor(capsys, "run", spec)
    assert code == 2
    assert f"{spec}: unknown key 'noodles'" in err
    assert "did you mean 'nodes'" in err


def test_a_flag_is_not_blamed_on_the_spec_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("nodes: 7\n")
    code, _, err = traitor(capsys, "run", spec, "--rate", "fast")
    assert (code, "rate = 'fast'" in err, str(spec) in err) == (2, True, False)
    spec.write_text("nodes: 3\n")
    code, _, err = traitor(capsys, "run", spec)
    assert (code, f"{spec}: nodes = 3" in err) == (2, True)
    code, _, err = traitor(capsys, "run", spec, "--nodes", "2")
    assert (code, "nodes = 2" in err, str(spec) in err) == (2, True, False)


def test_a_machine_that_cannot_is_exit_code_4(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = traitor(capsys, "run", "--out", tmp_path / "runs")
    assert code == 4
    assert "this test wants none" in err
    assert "traitor doctor" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("command", "said"), [("check", "cannot read"), ("report", "does not exist"), ("list", "no runs")]
)
def test_what_is_not_there(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = traitor(capsys, command, "nowhere")
    assert code == (0 if command == "list" else 2)
    assert said in err
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("check", "report"):
        code, _, err = traitor(capsys, command, tmp_path)
        assert code == 2
        assert "not a run folder" in err


BAD_HISTORY = """\
{"schema": "traitor/history/1", "model": "register", "initial": null}
{"index": 0, "time_ns": 1, "process": 0, "type": "invoke", "f": "write", "key": "k", "input": "a"}
{"index": 1, "time_ns": 2, "process": 0, "type": "ok", "f": "write", "key": "k", "input": "a", "output": null}
{"index": 2, "time_ns": 3, "process": 0, "type": "invoke", "f": "read", "key": "k", "input": null}
{"index": 3, "time_ns": 4, "process": 0, "type": "ok", "f": "read", "key": "k", "input": null, "output": null}
"""


def test_a_bad_history_is_judged_and_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "stale read.jsonl"
    path.write_text(BAD_HISTORY)
    code, out, _ = traitor(capsys, "check", path, "--out", tmp_path / "runs")
    assert code == 1
    lines = out.splitlines()
    assert lines[0].startswith("linearizability  invalid")
    report = Path(lines[-2].split(maxsplit=1)[1])
    assert report.name == "report.html"
    assert report.exists()
    assert (report.parent / "history.jsonl").read_text() == BAD_HISTORY
    code, out, _ = traitor(capsys, "check", path, "--out", tmp_path / "runs", "--json")
    assert (code, json.loads(out)["verdict"]["verdict"]) == (1, "invalid")
    code, out, _ = traitor(capsys, "list", tmp_path / "runs")
    assert out.count("invalid") == 2
    code, out, _ = traitor(capsys, "report", report.parent)
    assert (code, out.strip()) == (0, str(report))
    code, out, _ = traitor(capsys, "check", report.parent)
    assert code == 1, "a checked history can be checked again"


def test_what_every_key_holds_at_first_can_be_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "from 0.log"
    path.write_text("INFO  jepsen.util - 0 :invoke :read nil\nINFO  jepsen.util - 0 :ok :read 0\n")
    code, out, _ = traitor(capsys, "check", path, "--out", tmp_path / "runs")
    assert code == 1
    code, out, _ = traitor(capsys, "check", path, "--out", tmp_path / "runs", "--initial", "0")
    assert code == 0
    assert "model cas-register, every key begins at 0" in out
    assert out.splitlines()[-1].endswith(f"check '{path}' --initial=0")
    code, _, err = traitor(capsys, "check", path, "--out", tmp_path / "runs", "--initial", "[0]")
    assert code == 2
    assert "--initial [0] does not fit model cas-register" in err
    judged = next(iter((tmp_path / "runs").iterdir()))
    code, _, err = traitor(capsys, "check", judged, "--initial", "1")
    assert code == 2
    assert "Leave out --initial" in err


def test_an_export_to_nowhere_is_wrong_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text("garbage, which is not read at all")
    flags = ["--export", "edn", "--to", tmp_path / "missing" / "h.edn"]
    code, out, err = traitor(capsys, "check", path, "--out", tmp_path / "runs", *flags)
    assert (code, out) == (2, "")
    assert "No such file" in err
    assert "--to FILE" in err
    assert not os.listdir(tmp_path / "runs")


def test_a_broken_history_is_wrong_use_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "half.jsonl"
    path.write_text(BAD_HISTORY[:-30])
    code, out, err = traitor(capsys, "check", path, "--out", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert "line 5" in err
    assert "Traceback" not in err
    assert not os.listdir(tmp_path / "runs")


def test_no_permission_is_wrong_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = tmp_path / "h.jsonl"
    history.write_text(BAD_HISTORY)
    code, _, err = traitor(capsys, "check", history, "--out", tmp_path / "file")
    assert code == 2
    assert "--out DIR" in err


def test_output_nobody_reads_is_no_error() -> None:
    command = f"{sys.executable} -m harness workloads | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip().endswith("0")


def test_the_reproduce_command_says_the_same_spec() -> None:
    asked: dict[str, object] = {
        "workload": {"name": "register", "keys": 2},
        "nodes": 7,
        "seed": 9,
        "faults": ["kill", "pause"],
        "budget": "break",
        "cluster": {"K": 4, "request_timeout": "300ms"},
    }
    spec = make_spec(asked)
    flags = flags_of(spec)
    assert flags is not None
    options = cli.make_parser().parse_args(flags.split())
    keys: dict[str, object] = {
        name: cli._plain(value) for name in cli._FLAGS if (value := getattr(options, name)) is not None
    }
    keys["faults"] = options.fault
    run_command.overlay_settings(keys, options.set)
    assert make_spec(keys) == spec
    assert flags_of(make_spec({"faults": [{"kind": "kill", "start": 1, "stop": 2}]})) is None
    assert "--fault none" in str(flags_of(make_spec({"faults": "none"})))


def test_the_command_for_again_puts_its_runs_where_this_one_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, words = tmp_path / "my runs", ("run", "--world", "sim", "--time", "1", "--fault", "none", "--json")
    _, result, _ = traitor(capsys, *words, "--seed", "3", "--out", out)
    again = shlex.split(json.loads(result)["again"])
    assert cli.make_parser().parse_args(again[again.index("run") :]).out == out


def test_a_bug_of_ours_accuses_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "_dispatch", broken)
    code, _, err = traitor(capsys, "faults")
    assert code == 4, "1 would be a violation"
    assert "Traceback" in err
    assert "bug of Traitor" in err


@pytest.mark.parametrize("seed", ["1_0", "\N{ARABIC-INDIC DIGIT THREE}", " 5", "1\n"])
def test_only_plain_digits_are_a_number(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    code, _, err = traitor(capsys, "run", "--seed", seed)
    assert (code, "seed = " in err) == (2, True)


def test_options_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """An abbreviation would change its meaning with the next option that begins alike."""
    assert traitor(capsys, "run", "--tim", "5")[0] == 2
