"""The page in a real browser: nothing hostile runs, no request leaves, keys work, it reads without script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from chromium_pipe import Chromium
from synthetic_run import write_run

from reports import render

pytestmark = pytest.mark.browser

EVIL = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror='window.hit=2'>",
    "<svg onload=window.hit=3>",
    "javascript:window.hit=4",
    "line\u2028separator \u202eright to left \x00 nul",
    "{{ 7 * 7 }} ${window.hit=5}",
    "https://example.com/picture.png",
    "x" * 1_000_000,
)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Chromium]:
    with Chromium(request.getfixturevalue("chromium")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def plain(browser: Chromium) -> None:
    browser.scripts(True)
    browser.media("light")
    browser.size(1400, 900)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("browser") / "kv-s7", operations=1_000, invalid=True)
    render(folder)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every string of every file replaced by something nasty; numbers by NaN here and there."""
    folder = write_run(tmp_path_factory.mktemp("hostile") / "kv-s7", operations=200, invalid=True)
    kept = {
        "invoke",
        "ok",
        "info",
        "fail",
        "nemesis",
        "asked",
        "took-effect",
        "undone",
        "started",
        "view-change",
    }
    kept |= {"executed", "stable", "alarm", "rejected", "invalid", "linearizability"}
    count = 0

    def poison(value: object) -> object:
        nonlocal count
        if isinstance(value, dict):
            return {name: poison(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [poison(inner) for inner in value]
        if isinstance(value, str) and value not in kept and not value.startswith(("traitor/", "k", "kill")):
            count += 1
            return EVIL[count % (len(EVIL) - (count > 40))]  # a megabyte a few times, not thousands
        return value

    for path in sorted(folder.rglob("*.json*")):
        if path.suffix == ".jsonl":
            lines = [json.dumps(poison(json.loads(line))) for line in path.read_text().splitlines()]
            lines.insert(
                3,
                '{"time_ns": NaN, "process": "\\ud800", "type": "invoke", "f": "\\ud83d", "t_ns": -Infinity}',
            )
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text(json.dumps(poison(json.loads(path.read_text()))))
    render(folder)
    return folder


def test_hostile_values_are_shown_and_never_run(browser: Chromium, hostile: Path) -> None:
    browser.open(hostile / "report.html")
    browser.value("document.querySelector('#stage').focus()")
    for key in ("ArrowUp", "ArrowRight", "Enter", *["ArrowDown", "ArrowRight"] * 14):
        browser.press(key)
    assert browser.value("window.hit") is None
    assert browser.value("document.querySelectorAll('img, iframe, object').length") == 0
    assert browser.value("document.querySelectorAll('script').length") == 2
    text = browser.value("document.body.textContent")
    assert "<img src=x onerror='window.hit=2'>" in text
    assert "(1,000,000 characters)" in text
    assert "\\u2028" in text
    assert "\\u202e" in text
    assert "{{ 7 * 7 }}" in text
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []
    assert len(browser.requests) == 1


def test_an_injected_script_would_not_run(browser: Chromium, run: Path, tmp_path: Path) -> None:
    """The policy is the second wall: shown by breaking the first."""
    broken = tmp_path / "report.html"
    text = (run / "report.html").read_text()
    broken.write_text(
        text.replace("</main>", "</main><img src='x' onerror='window.hit=1'><script>window.hit=2</script>", 1)
    )
    browser.open(broken)
    assert browser.value("window.hit") is None
    assert any("Content Security Policy" in error for error in browser.errors)


def test_it_opens_without_errors_or_requests(browser: Chromium, run: Path) -> None:
    for scheme in ("light", "dark"):
        browser.media(scheme)
        browser.open(run / "report.html")
        assert browser.value("document.documentElement.dataset.ready") == "yes"
        assert browser.value("document.querySelector('#overview').hidden") is True
        assert browser.value("document.querySelectorAll('#stage canvas').length") == 6
        assert browser.errors == []
        assert browser.requests == [(run / "report.html").resolve().as_uri()]


def details(browser: Chromium) -> str:
    text = browser.value("document.querySelector('#details').textContent")
    assert isinstance(text, str)
    return text


def test_the_keyboard_reaches_lanes_events_and_moments(browser: Chromium, run: Path) -> None:
    browser.open(run / "report.html")
    browser.value("document.querySelector('#stage').focus()")
    browser.press("Home")
    first = details(browser)
    assert "outcome" in first
    assert "client 1000" in first
    browser.press("ArrowRight")
    assert details(browser) != first
    browser.press("Enter")
    browser.wait_for("document.querySelector('#window').textContent.includes(' to ')")
    browser.wait_for("location.hash.startsWith('#t=')")
    browser.press("0")
    browser.wait_for("document.querySelector('#window').textContent.startsWith('whole run')")
    for _ in range(40):
        browser.press("ArrowUp")
    assert "phase" in details(browser)
    browser.press("ArrowDown")
    browser.press("Home")
    assert "kill-1: asked" in details(browser)
    browser.press("ArrowRight")
    assert "pid 4711" in details(browser)
    assert browser.errors == []


def box(browser: Chromium, canvas: int) -> list[float]:
    rect = f"document.querySelectorAll('#stage canvas')[{canvas}].getBoundingClientRect()"
    found = browser.value(f"(r => [r.x, r.y, r.width, r.height])({rect})")
    assert isinstance(found, list)
    return found


def test_pointer_wheel_and_drag(browser: Chromium, run: Path) -> None:
    browser.size(1400, 4000)
    browser.open(run / "report.html")
    x, y, width, _ = box(browser, 0)
    browser.mouse("mouseWheel", x + width / 2, y + 10, deltaX=0, deltaY=-400)
    browser.wait_for("document.querySelector('#window').textContent.includes(' to ')")
    before = browser.value("document.querySelector('#window').textContent")
    x, y, width, height = box(browser, 5)
    browser.mouse("mousePressed", x + 700, y + height / 2, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", x + 500, y + height / 2, button="left", buttons=1)
    browser.mouse("mouseReleased", x + 500, y + height / 2, button="left", clickCount=1)
    browser.wait_for(f"document.querySelector('#window').textContent !== {json.dumps(before)}")
    for column in range(200, 1200, 12):
        browser.mouse("mouseMoved", x + column, y + 10)
    assert "outcome" in details(browser)
    assert browser.errors == []


def test_a_moment_can_be_linked(browser: Chromium, run: Path) -> None:
    browser.open(run / "report.html", fragment="#t=12.3..14.1")
    browser.wait_for("/^12\\.\\d+ s to 14\\.\\d+ s/.test(document.querySelector('#window').textContent)")


def test_the_counterexample_leads_to_its_moments(browser: Chromium, run: Path) -> None:
    browser.open(run / "report.html")
    browser.value("document.querySelector('#to-counterexample').click()")
    browser.wait_for("document.querySelector('#window').textContent.includes(' to ')")
    assert browser.value("document.activeElement.id") == "stage"


def test_it_reads_without_scripts(browser: Chromium, run: Path) -> None:
    browser.scripts(False)
    browser.open_static(run / "report.html")
    shown = browser.shown_text()
    assert "linearizability: key k3 alone" in shown
    assert "Why no order explains it" in shown
    assert "#stage" not in browser.visible_ids()
    assert "overview" in browser.visible_ids()


def test_it_prints_the_static_picture_and_everything_folded(
    browser: Chromium, run: Path, tmp_path: Path
) -> None:
    browser.media("dark", "print")
    browser.open(run / "report.html")
    seen = browser.value(
        "[getComputedStyle(document.querySelector('#overview')).display,"
        " getComputedStyle(document.querySelector('#timeline')).display,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    assert seen == ["block", "none", "rgb(255, 255, 255)"]
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000


def test_a_narrow_screen_has_no_sideways_scroll(browser: Chromium, run: Path) -> None:
    browser.size(360, 800, mobile=True)
    browser.open(run / "report.html")
    assert browser.value("document.documentElement.scrollWidth") <= 360


def test_the_page_stays_small_with_many_operations(browser: Chromium, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "many", operations=20_000, clients=30)
    shutil.rmtree(folder / "replicas" / "1")
    browser.open(render(folder))
    assert browser.value("document.documentElement.dataset.ready") == "yes"
    assert browser.value("document.querySelectorAll('*').length") < 2_500
    assert browser.errors == []


def test_the_reproduce_command_can_be_taken(browser: Chromium, run: Path) -> None:
    browser.open(run / "report.html")
    browser.value("document.querySelector('[data-copy]').click()")
    browser.wait_for("document.querySelector('.said').textContent !== ''")
    said = browser.value("document.querySelector('.said').textContent")
    assert said == "Copied." or browser.value("getSelection().toString()").startswith("traitor run --seed 7")


def test_labels_of_many_views_do_not_collide(browser: Chromium, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "kv-s7", operations=200, nodes=7)
    for trace in folder.glob("replicas/*/trace.jsonl"):
        lines = [json.loads(line) for line in trace.read_text().splitlines()]
        first, last = lines[0]["t_ns"], lines[-1]["t_ns"]
        lines = [line for line in lines if line["e"] not in ("view-change", "new-view")]
        for view in range(1, 39):  # most of them hasty, then a long one
            at_ns = first + int((last - first) * (view / 60 if view < 36 else view / 40))
            fields = {"view": view, "primary": view % 7, "min_s": 0, "max_s": 9}
            lines.append({"t_ns": at_ns, "e": "new-view", **fields})
        lines.sort(key=lambda line: int(line["t_ns"]))
        trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    render(folder)
    browser.open(folder / "report.html")
    browser.value(
        "(() => { const real = CanvasRenderingContext2D.prototype.fillText; window.drawn = [];"
        " CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {"
        " if (this.textAlign === 'left') window.drawn.push([text, x, x + this.measureText(text).width, y]);"
        " return real.call(this, text, x, y); }; })()"
    )
    browser.value("document.querySelector('[data-do=all]').click()")
    browser.wait_for("window.drawn.some(([text]) => text === 'view 38')")
    drawn = json.loads(str(browser.value("JSON.stringify(window.drawn)")))
    views = [label for label in drawn if label[0].startswith("view") or label[0].isdigit()]
    assert {"view 38"} <= {text for text, *_ in views}, "what fits is there"
    assert any(text.isdigit() for text, *_ in views), "or its number alone"
    assert [text for text, *_ in views if "…" in text] == []
    assert [text for text, *_ in drawn if text.startswith("vi") and "…" in text] == []
    rows: dict[object, list[tuple[float, float]]] = {}
    for _, left, right, y in views:
        rows.setdefault(y, []).append((left, right))
    for row in rows.values():
        ends = sorted(set(row))
        assert all(one[1] <= other[0] for one, other in pairwise(ends)), ends
