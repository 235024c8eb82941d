"""The house rules that a program can check: sizes, names, docstrings, what the core may touch.

Import contracts are checked by ``lint-imports`` (``make lint``). Rules that are more than a count are also
shown to reject something.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pbft_node", "checker", "workloads", "nemesis", "harness", "reports")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "manager", "managers"}
CORE_BANNED_MODULES = {
    "time", "datetime", "random", "secrets", "uuid", "os", "io", "socket", "select", "selectors", "logging",
    "threading", "asyncio", "subprocess", "pathlib", "tempfile", "sys", "pickle",
}  # fmt: skip
CORE_BANNED_CALLS = {"hash", "id", "print", "open", "input", "eval", "exec"}
# Written in pieces, so that this file does not break its own rule.
FOREIGN_PATHS = re.compile(r"(?:^|[\s\"'(=`])/" + r"work/|\.\./" + r"shared\b", re.MULTILINE)


def listed(*patterns: str) -> list[Path]:
    """Files of the repository, those not yet added included, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        names = [name for name in result.stdout.split("\0") if name]
    else:  # an unpacked archive
        names = [
            str(path.relative_to(ROOT))
            for top in (*PACKAGES, "tests")
            for pattern in patterns or ("*",)
            for path in (ROOT / top).rglob(pattern)
            if "__pycache__" not in path.parts
        ]
    return sorted(ROOT / name for name in dict.fromkeys(names) if (ROOT / name).is_file())


def python_files() -> list[Path]:
    return listed("*.py")


def core_files() -> list[Path]:
    return [path for path in python_files() if path.is_relative_to(ROOT / "pbft_node" / "core")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def long_functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.name, lines


def _is_set(node: ast.AST) -> bool:
    return isinstance(node, (ast.Set, ast.SetComp)) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    )


def _set_names(tree: ast.AST) -> set[str]:
    """Names and attributes that hold sets: annotated as one, or assigned one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
            annotation = ast.unparse(node.annotation)
            is_set = re.match(r"(frozenset|set|AbstractSet|Set|MutableSet)\b", annotation) is not None
            targets = [node.target] if isinstance(node, ast.AnnAssign) else [node]
        elif isinstance(node, ast.Assign):
            is_set, targets = _is_set(node.value), node.targets
        else:
            continue
        if is_set:
            for target in targets:
                if isinstance(target, ast.Name):
                    found.add(target.id)
                elif isinstance(target, ast.Attribute):
                    found.add(target.attr)
                elif isinstance(target, ast.arg):
                    found.add(target.arg)
    return found


def core_offences(source: str) -> list[str]:
    """What a file of the core does that depends on the machine: clocks, chance, I/O, hash order."""
    tree = ast.parse(source)
    sets = _set_names(tree)
    offences = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            offences += [
                f"line {node.lineno}: import {module}"
                for module in modules
                if module.split(".")[0] in CORE_BANNED_MODULES
            ]
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if called in CORE_BANNED_CALLS:
            offences.append(f"line {node.lineno}: {called}()")
        iterated = node.iter if isinstance(node, (ast.For, ast.comprehension)) else None
        if called in {"list", "tuple"} and node.args:
            iterated = node.args[0]
        name = getattr(iterated, "id", None) or getattr(iterated, "attr", None)
        if iterated is not None and (_is_set(iterated) or name in sets):
            offences.append(f"line {iterated.lineno}: iterates a set ({ast.unparse(iterated)}); sort it")
    return offences


def test_no_file_is_long() -> None:
    sources = listed("*.py", "*.js", "*.css", "*.j2")
    long = {name_of(p): n for p in sources if (n := p.read_text().count("\n")) > MAX_FILE_LINES}
    assert not long, f"more than {MAX_FILE_LINES} lines; split by topic: {long}"


def test_no_function_is_long() -> None:
    long = {
        f"{name_of(path)}:{name}": lines
        for path in python_files()
        for name, lines in long_functions(ast.parse(path.read_text()))
    }
    assert not long, f"more than {MAX_FUNCTION_LINES} lines: {long}"


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in python_files()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"no module docstring: {silent}"


def test_no_name_says_nothing() -> None:
    empty = [
        name_of(path)
        for path in python_files()
        if EMPTY_NAMES & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    ]
    assert not empty, f"name it after what it does: {empty}"


def test_no_test_file_hides_another() -> None:
    """pytest imports test files by their bare name: two of one name would be one."""
    names = [path.name for path in python_files() if path.is_relative_to(ROOT / "tests")]
    twice = sorted({name for name in names if names.count(name) > 1} - {"conftest.py"})
    assert not twice, f"basenames must be unique under tests/: {twice}"


def test_no_path_of_one_workplace() -> None:
    found = []
    for path in listed():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {match.group().strip()}" for match in FOREIGN_PATHS.finditer(text)]
    assert not found, f"paths that nobody else has: {found}"


def test_the_core_reads_no_clock_no_chance_and_no_hash_order() -> None:
    files = core_files()
    assert files, "pbft_node/core was not found: this test would pass on nothing"
    offences = {name_of(p): o for p in files if (o := core_offences(p.read_text()))}
    assert not offences, f"the core must be a function of its events and now_ns: {offences}"


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import Random",
        "import os.path",
        "x = hash('a')",
        "for x in {1, 2}: pass",
        "votes: set[int] = set()\nfor v in votes: pass",
        "class A:\n    votes: frozenset[int]\n    def f(self): return [v for v in self.votes]",
        "seen = set()\nx = list(seen)",
    ],
)
def test_the_core_rule_rejects(source: str) -> None:
    assert core_offences(source)


def test_the_core_rule_lets_order_through() -> None:
    assert not core_offences("votes: set[int] = set()\nfor v in sorted(votes): pass\nn = len(votes)")


def test_the_length_rule_rejects() -> None:
    body = "\n".join(["    pass"] * MAX_FUNCTION_LINES)
    assert list(long_functions(ast.parse(f"def f():\n{body}")))


@pytest.mark.parametrize("text", ["see /" + "work/main", '"/' + 'work/x"', ".." + "/shared/DESIGN.md"])
def test_the_path_rule_rejects(text: str) -> None:
    assert FOREIGN_PATHS.search(text)
