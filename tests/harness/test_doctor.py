"""``traitor doctor``: each check can fail, and says what to do then."""

from __future__ import annotations

import importlib.metadata
import json
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import doctor, sandbox
from harness.doctor import Check

GOOD: dict[str, str | None] = {
    "sandbox": None, "ip": None, "veth": None, "ip_forward": None, "iptables": None, "nfqueue": None,
    "raw socket": None, "ip rule": None, "iptables backend": "iptables-legacy",
}  # fmt: skip


def examined(monkeypatch: pytest.MonkeyPatch, found: Mapping[str, str | None]) -> dict[str, Check]:
    monkeypatch.setattr(sandbox, "probe", lambda: found)
    return {check.name: check for check in doctor.examine()}


def test_a_good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = examined(monkeypatch, GOOD)
    assert set(checks) == {
        "python", "packages", "user namespaces", "iproute2", "veth", "ip_forward", "iptables", "nfqueue",
        "raw socket", "ip rule", "rmem_max", "disk space", "clock source",
    }  # fmt: skip
    assert "iptables-legacy" in checks["iptables"].detail
    assert [check.name for check in checks.values() if check.required and not check.ok] == []
    assert doctor.render_text(list(checks.values())).endswith("live runs work here\n")


def test_without_user_namespaces_the_rest_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = examined(
        monkeypatch, {"sandbox": "cannot build the sandbox: unshare: refused\nsudo sysctl this"}
    )
    assert not checks["user namespaces"].ok
    assert checks["user namespaces"].remedy == "sudo sysctl this"
    assert "veth" not in checks
    text = doctor.render_text(list(checks.values()))
    assert "FAIL  user namespaces  cannot build the sandbox: unshare: refused\n" in text
    assert "sudo sysctl this\n" in text
    assert text.endswith("live runs do not work here: user namespaces\n")
    assert doctor.render_json(list(checks.values()))["ok"] is False


def test_what_only_later_faults_need_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = examined(monkeypatch, {**GOOD, "nfqueue": "iptables-legacy-restore failed"})
    assert not checks["nfqueue"].ok
    assert "nfnetlink_queue" in checks["nfqueue"].remedy
    text = doctor.render_text(list(checks.values()))
    assert "note  nfqueue" in text
    assert text.endswith("live runs work here\n")


def test_json_holds_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = list(examined(monkeypatch, {**GOOD, "iptables": "no iptables works"}).values())
    rendered = json.loads(json.dumps(doctor.render_json(checks)))
    assert rendered["schema"] == "traitor/doctor/1"
    assert rendered["ok"] is False
    assert [check["name"] for check in rendered["checks"]] == [check.name for check in checks]


def test_missing_packages_old_python_and_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    checks = examined(monkeypatch, GOOD)
    for name, word in (("packages", "make setup"), ("python", "3.11"), ("disk space", "make room")):
        assert not checks[name].ok
        assert word in checks[name].remedy
    assert "3.10.0" in checks["python"].detail


def test_a_small_receive_buffer_and_a_slow_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for constant, text in (("RMEM_FILE", "212992\n"), ("CLOCK_FILE", "hpet\n")):
        (tmp_path / constant).write_text(text)
        monkeypatch.setattr(doctor, constant, tmp_path / constant)
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 1000)
    checks = examined(monkeypatch, GOOD)
    assert not checks["rmem_max"].ok
    assert "sysctl net.core.rmem_max" in checks["rmem_max"].remedy
    assert not checks["clock source"].ok
    assert not checks["rmem_max"].required
    assert not checks["clock source"].required


@pytest.mark.sandbox
def test_this_machine_really_does_it() -> None:
    assert sandbox.probe()["sandbox"] is None
    assert sandbox.probe()["iptables"] is None
