"""The page as bytes: the same each time, gaps named, hostile text escaped, a fitting policy, its budgets."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_run import write_run

from reports import page, render, render_history
from reports.counterexample import MAX_DRAWN, MAX_LISTED, read_counterexample
from reports.verdict_view import read_banner, read_lines

FILES = (
    "plan.json", "run.json", "manifest.json", "verdict.json", "history.jsonl", "faults.jsonl", "ledger.json",
    "replicas/1/trace.jsonl",
)  # fmt: skip


class Text(HTMLParser):
    """Elements and visible text of a page, as a browser would split them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.inside = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def island(markup: str) -> dict[str, object]:
    found = re.search(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]+)</script>', markup)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "kv-s7", operations=600, invalid=True)


def test_the_same_folder_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = render(run).read_bytes()
    assert render(run).read_bytes() == first
    copied = tmp_path / run.name
    shutil.copytree(run, copied)
    assert render(copied).read_bytes() == first
    assert sorted(path.name for path in copied.glob(".*")) == []


def test_a_report_says_the_verdict_and_how_to_run_it_again(run: Path) -> None:
    words = Text(render(run).read_text()).words
    assert "linearizability: key k3 alone has no order" in words
    assert "Not linearizable: this history of" in words
    assert "traitor run --seed 7 --time 30" in words
    assert "not yet judged" in words
    assert "AssertionError: sequence number 812 executed twice" in words
    assert "All of them have that hash." in words


def test_structure_for_readers_that_do_not_see(run: Path) -> None:
    markup = render(run).read_text()
    tags = Text(markup).tags
    assert (tags.count("h1"), tags.count("main"), tags.count("title") >= 1) == (1, 1, True)
    assert '<html lang="en">' in markup
    assert tags.count("caption") >= 6
    assert 'aria-live="polite"' in markup
    assert "innerHTML" not in page.script()


def test_the_policy_allows_our_script_and_style_and_nothing_else(run: Path) -> None:
    markup = render(run).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', markup)
    assert policy
    allowed = policy[1].replace("&#39;", "'")
    script = re.findall(r"<script>(.*?)</script>", markup, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", markup, re.DOTALL)
    assert (len(script), len(style)) == (1, 1)
    for text in (*script, *style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in allowed
    assert allowed.startswith("default-src 'none';")
    assert "unsafe" not in allowed
    assert not re.search(r"</(script|style)", page.script() + page.style(), re.IGNORECASE)
    assert not re.search(r"https?://", markup.replace("http://www.w3.org/2000/svg", ""))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / name).unlink()
    words = Text(render(folder).read_text()).words
    assert f"{name} missing" in words


def test_liars_of_the_ledger_are_marked_and_nobody_else(run: Path, tmp_path: Path) -> None:
    assert "(made to lie)" not in Text(render(run).read_text()).words
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    ledger = json.loads((folder / "ledger.json").read_text())
    (folder / "ledger.json").write_text(json.dumps({**ledger, "byzantine": [2]}))
    words = Text(render(folder).read_text()).words
    assert re.findall(r"(\S+) \(made to lie\)", words) == ["2"]


def test_an_empty_folder_gives_a_report_of_gaps(tmp_path: Path) -> None:
    words = Text(render(tmp_path).read_text()).words
    assert "no verdict" in words
    assert words.count("missing:") >= 6


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xff", b"null", b'{"lines": 7, "operations": "x"}', b"{" * 9_999]
)
def test_broken_files_still_give_a_report(run: Path, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    for path in folder.rglob("*.json*"):
        path.write_bytes(content)
    assert "no verdict" in Text(render(folder).read_text()).words or b"lines" in content


def test_a_changed_history_is_said(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    with (folder / "history.jsonl").open("a") as file:
        file.write(
            '{"index": 99999, "time_ns": 5030000000000, "process": 77, "type": "invoke", "f": "get"}\n'
        )
    words = Text(render(folder).read_text()).words
    assert "'history.jsonl' was changed after the run" in words
    assert words.startswith("invalid"), "a violation stays what it was"
    verdict = folder / "verdict.json"
    verdict.write_text(verdict.read_text().replace("invalid", "valid"))
    words = Text(render(folder).read_text()).words
    assert words.startswith("not the sealed files")
    assert "2 of them, named at the top of this page, DO NOT HAVE that hash" in words


def test_the_data_holds_every_operation(run: Path) -> None:
    columns = island(render(run).read_text())["operations"]
    assert isinstance(columns, dict)
    invoked = sum('"invoke"' in line for line in (run / "history.jsonl").read_text().splitlines())
    assert {len(columns[name]) for name in ("call", "took", "index", "lane", "type", "input")} == {invoked}


def test_a_bare_history_has_a_report(run: Path, tmp_path: Path) -> None:
    verdict = json.loads((run / "verdict.json").read_text())
    example = json.loads((run / "counterexample.json").read_text())
    out = tmp_path / "page.html"
    assert render_history(run / "history.jsonl", verdict, example, out) == out
    words = Text(out.read_text()).words
    assert "history.jsonl" in words
    assert "Why no order explains it" in words
    assert "missing" not in words


def test_the_counterexample_is_told_and_drawn(run: Path) -> None:
    document = json.loads((run / "counterexample.json").read_text())
    example = read_counterexample(document)
    assert example
    assert [entry.place for entry in example.prefix] == [1, 2, 3, 4]
    assert example.stuck
    assert example.stuck.words == "get → v811"
    assert str(example.picture).count("<rect") == len(document["operations"])
    assert "stuck" in example.picture
    assert "process 3" in example.picture


def test_a_huge_counterexample_keeps_what_matters() -> None:
    operations = [
        {"index": i, "process": i % 9, "f": "get", "type": "ok", "call_ns": 10 * i, "return_ns": 10 * i + 8}
        for i in range(5_000)
    ]
    example = read_counterexample({"operations": operations, "longest_prefix": [], "stuck_on": 4_000})
    assert example
    assert (len(example.entries), example.drawn, example.total) == (MAX_LISTED, MAX_DRAWN, 5_000)
    assert example.stuck
    assert str(example.picture).count("<rect") == MAX_DRAWN


def test_no_counterexample_is_none() -> None:
    assert read_counterexample({}) is None
    example = read_counterexample({"operations": [1, {}, {"index": 0, "call_ns": "x"}], "reasons": 5})
    assert example
    assert (list(example.entries), str(example.picture)) == ([], "")


def verdict(level: str, code: int, line: str = "valid", judged: bool = True) -> dict[str, object]:
    lines = [{"name": "linearizability", "verdict": line, "judged": judged, "reason": "because"}]
    return {"verdict": level, "exit_code": code, "lines": lines}


@pytest.mark.parametrize(
    ("document", "level", "word", "sentence", "scope"),
    [
        (
            verdict("valid", 0),
            "valid",
            "valid",
            "1 of 1 lines judged",
            "Linearizable: this history of 9 operations",
        ),
        (
            verdict("invalid", 1, "invalid"),
            "invalid",
            "invalid",
            "linearizability: because.",
            "Not linearizable",
        ),
        (verdict("unknown", 3, "unknown"), "unknown", "unknown", "linearizability: because.", "unknown"),
        (verdict("unknown", 3, "unknown", False), "unknown", "unknown", "names no reason", "was not judged"),
        (verdict("invalid", 4), "unknown", "harness failure", "names no reason", "Linearizable"),
        (verdict("unknown", 130), "unknown", "interrupted", "names no reason", "Linearizable"),
        (
            verdict("valid", 1),
            "unknown",
            "contradiction: valid, yet exit code 1",
            "no reason",
            "Linearizable",
        ),
        (verdict("splendid", 0), "unknown", "unknown", "no reason", "Linearizable"),
        ({}, "unknown", "no verdict", "missing or unreadable", "Nothing below says"),
    ],
)
def test_the_banner_never_says_more_than_the_verdict(
    document: dict[str, object], level: str, word: str, sentence: str, scope: str
) -> None:
    banner = read_banner(document, read_lines(document), 9)
    assert (banner.level, banner.word) == (level, word)
    assert sentence in banner.sentence
    assert scope in banner.scope


def test_hostile_values_are_text_in_the_markup(run: Path, tmp_path: Path) -> None:
    evil = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    for path in folder.rglob("*.json*"):
        text = path.read_text().replace('"kv"', json.dumps(evil)).replace('"v811"', json.dumps(evil))
        path.write_text(text.replace("request timeout", json.dumps(evil)[1:-1]))
    markup = Text(render(folder).read_text())
    assert "img" not in markup.tags
    assert markup.tags.count("script") == 2
    assert not [name for name, _ in markup.attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(1)>" in markup.words


def test_a_hundred_thousand_operations_stay_within_the_budgets(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "big", operations=100_000, clients=20, seconds=60)
    start = time.process_time()
    size = render(folder).stat().st_size
    spent = time.process_time() - start
    assert size <= 5_000_000, f"{size:,} bytes"
    assert spent <= 10, f"{spent:.1f} s of processor time"


@pytest.mark.parametrize(
    ("world", "signer", "words"),
    [
        ("live", "ed25519", None),
        ("lockstep", "ed25519", "simulated network, time"),
        ("sim", "ed25519", "simulated processes, disks, network, time"),
        ("sim", "keyed-hash", "simulated processes, disks, network, time, signatures"),
    ],
)
def test_what_was_only_simulated_is_said(
    run: Path, tmp_path: Path, world: str, signer: str, words: str | None
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"world": world, "virtual": {"signer": signer}}))
    said = Text(render(folder).read_text()).words
    assert (words is None) == (" simulated " not in said)
    assert words is None or f"{words} replicas" in said
