"""An audit where something is missing, of a copied folder with the checker alone, and as a command."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from audited_run import AuditedRun, audited, found, judge_and_seal, results, seal

from checker.audit_run import program
from checker.bare import judge_history
from checker.results import write_results
from pbft_node.journal_file import FrameType, encode_frame

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that verifies. Copied before it is changed."""
    return AuditedRun().write(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


# ------------------------------------------------------------------ what is not there


def _no_manifest(copy):
    (copy / "manifest.json").unlink()


def _no_verdict(copy):
    (copy / "verdict.json").unlink()
    seal(copy)


def _no_certificate(copy):
    (copy / "witness.jsonl").unlink()
    seal(copy)


def _no_clients_journal(copy):
    (copy / "clients.journal").unlink()
    seal(copy)


def _no_journals(copy):
    for journal in copy.glob("replicas/*/journal"):
        journal.unlink()
    seal(copy)


def _clients_journal_cut_short(copy):
    path = copy / "clients.journal"
    content = path.read_bytes()
    path.write_bytes(
        content[: content.index(b"\xf5JRN", 3000)] + encode_frame(FrameType.LIMIT, 0, 0, bytes(8))
    )
    seal(copy)


def _no_keys(copy):
    (copy / "keys" / "public.json").unlink()
    seal(copy)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_no_manifest, "files"),
        (_no_verdict, "verdict"),
        (_no_certificate, "certificate"),
        (_no_clients_journal, "replies"),
        (_no_journals, "requests"),
        (_clients_journal_cut_short, "replies"),
        (_no_keys, "requests"),
    ],
)
def test_what_is_missing_is_not_checked(copy, spoil, what):
    spoil(copy)
    audit = audited(copy)
    assert found(audit, what).result == "unchecked", "\n".join(audit.lines())
    assert audit.exit_code == 3


def test_a_virtual_run_has_no_journal_of_clients(copy):
    plan = json.loads((copy / "plan.json").read_text())
    (copy / "plan.json").write_text(json.dumps(plan | {"world": "sim"}))
    (copy / "clients.journal").unlink()
    judge_and_seal(copy)
    audit = audited(copy)
    assert found(audit, "replies").result == "on trust"
    assert audit.exit_code == 0


def test_a_history_by_itself(copy, tmp_path):
    """What `traitor check FILE` leaves: nothing seals it, the rest verifies."""
    shutil.copy(copy / "history.jsonl", tmp_path / "history.jsonl")
    write_results(judge_history(tmp_path / "history.jsonl"), tmp_path)
    audit = audited(tmp_path)
    assert results(audit) == {"files": "unchecked", "certificate": "verified", "verdict": "verified"}
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    verdict["lines"][0]["verdict"] = "invalid"
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    assert found(audited(tmp_path), "verdict").result == "wrong"


def test_other_files_are_listed(copy):
    (copy / "notes\x1b[2J.txt").write_text("")
    audit = audited(copy)
    assert audit.exit_code == 0
    text = "\n".join(audit.lines())
    assert "1 other files: not in manifest.json" in text
    assert "\x1b" not in text


def test_without_openssl_signatures_are_not_checked(copy, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    audit = audited(copy)
    assert found(audit, "requests").result == "unchecked"
    assert "cryptography is not installed" in found(audit, "requests").told
    assert audit.exit_code == 3


def test_a_history_that_cannot_be_read(copy):
    (copy / "history.jsonl").write_text("{")
    seal(copy)
    audit = audited(copy)
    assert found(audit, "history").result == "wrong"
    assert audit.exit_code == 1


# ------------------------------------------------------------------ sensitivity, and the command


def test_spoilt_copies_are_noticed(copy):
    finding = found(audited(copy, mutate=20), "sensitivity")
    assert finding.result == "verified", finding.told
    assert finding.told.startswith("of 20 spoilt copies")


def test_it_runs_with_the_checker_alone(copy, tmp_path):
    """On a copied folder, with a copy of this one package, and none of the others is imported."""
    shutil.copytree(
        ROOT / "checker", tmp_path / "alone" / "checker", ignore=shutil.ignore_patterns("__pycache__")
    )
    others = ("harness", "pbft_node", "workloads", "nemesis", "reports")
    script = (
        "import runpy, sys, checker\n"
        f"assert checker.__file__.startswith({str(tmp_path)!r})\n"
        "try:\n    runpy.run_module('checker.audit_run', run_name='__main__')\n"
        f"finally:\n    assert not set(sys.modules) & set({others!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(copy), "--json"],
        cwd=tmp_path / "alone",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "alone")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "traitor/audit/1"


@pytest.mark.parametrize("words", [["nowhere"], ["."], [".", "--mutate", "-1"], [".", "--time-limit", "0"]])
def test_wrong_use(copy, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path if words == ["."] else copy)
    with pytest.raises(SystemExit) as ended:
        program.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err


def test_the_program_prints_and_ends_with_the_code(copy, capsys):
    assert program.main([str(copy)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("files          verified")
    assert said[-1] == "audit          everything verified, exit code 0"
    assert said.index("verified") < said.index("taken on trust")
