"""A small history is answered at once: nothing is imported for it that only something else needs.

The time itself is measured by `make bench-checker`; here it is what takes the time.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HISTORIES = [
    "good_histories/stale_read.jsonl",
    "good_histories/lists_diverge.jsonl",
    "foreign/log_tabs_good.log",
    "foreign/kv_good.txt",
    "foreign/jepsen_vector_good.edn",
]
UNIQUE = ("good_histories/stale_read.jsonl", "good_histories/lists_diverge.jsonl")
"""Their keys' engines decide them."""
HEAVY = {
    "cryptography", "nacl", "yaml", "scapy", "psutil", "jinja2", "rich", "numba", "numpy",
    "pbft_node", "nemesis", "workloads", "reports", "asyncio", "subprocess", "datetime", "traceback",
    "checker.folder", "checker.judge", "checker.trace", "harness.virtual", "harness.plan", "harness.run",
    "harness.one_run", "harness.live", "shutil", "bz2", "lzma", "tempfile", "logging", "platform",
    "checker.counterexample", "checker.weaker", "checker.transactions", "checker.recheck.program",
}  # fmt: skip
MAIN = {
    "checker": "from checker.__main__ import main",
    "harness": "from harness.cli import main",
}
"""The harness judges in a forked child: there, what is imported is told at the end of the check."""
PROGRAM = """
import sys
{main}
import checker.check
judge = checker.check.check
def told(question):
    verdict = judge(question)
    print(" ".join(sys.modules), file=open({modules!r}, "w"))
    return verdict
checker.check.check = told
if "checker.__main__" in sys.modules:
    sys.modules["checker.__main__"].check = told
sys.exit(main({arguments!r}))
"""


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("command", MAIN)
def test_nothing_heavy_is_imported(tmp_path, command, history):
    arguments = (["check"] if command == "harness" else []) + [
        str(HERE / history),
        "--out",
        str(tmp_path / "o"),
    ]
    modules = tmp_path / "modules"
    program = PROGRAM.format(main=MAIN[command], modules=str(modules), arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    imported = set(modules.read_text().split())
    assert "checker.judges.linearizability" in imported, "it was judged somewhere else"
    assert not HEAVY & imported
    foreign = {name for name in imported if name.startswith("checker.formats.")}
    if history.endswith(".jsonl"):
        assert "checker.formats.edn" not in foreign
    if history in UNIQUE:
        assert "checker.engines.contest" not in imported, "the search was asked, and nobody needed it"


def test_a_dataclass_says_what_it_is():
    """Of one without a docstring, dataclasses has `inspect` make a text: as long as ten others take."""
    silent = [
        f"{path.name}: {node.name}"
        for package in ("checker", "harness")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not ast.get_docstring(node)
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert silent == []
