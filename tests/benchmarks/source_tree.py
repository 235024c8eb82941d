"""A source tree to copy, read and compile, made from nothing but numbers: the same bytes on every machine.

As large as the one of the Andrew benchmark: about 70 files in a handful of directories, about 200 KB. C
where there is a C compiler, Python otherwise. One copy is one small program: modules of functions that call
each other's, a ``main`` that calls them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

MODULES = 34
FUNCTIONS = 22
FOLDERS = ("base", "model", "text", "net", "tools")
Tree = Mapping[str, bytes]
"""Content by path relative to the root, ascending; folders are implied."""


def make_tree(language: str, copies: int = 1) -> Tree:
    """``language``: ``c`` or ``python``."""
    one = {"c": _c_tree, "python": _python_tree}[language](random.Random(1999))
    return {f"copy{copy:03}/{path}": one[path] for copy in range(copies) for path in sorted(one)}


def folders_of(tree: Tree) -> list[str]:
    """Every folder in it, parents first."""
    folders = set()
    for path in tree:
        parts = path.split("/")[:-1]
        folders |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    return sorted(folders)


def _folder(module: int) -> str:
    return FOLDERS[module * len(FOLDERS) // MODULES]


def _users(chance: random.Random, module: int) -> list[int]:
    """Which earlier modules this one uses."""
    return sorted(chance.sample(range(module), min(module, 3)))


def _c_tree(chance: random.Random) -> dict[str, bytes]:
    tree = {"README": _prose(chance, 4000), "NEWS": _prose(chance, 6000)}
    for module in range(MODULES):
        used = _users(chance, module)
        head = [f"#ifndef M{module}_H", f"#define M{module}_H"]
        head += [f"unsigned long m{module}_f{i}(unsigned long a, unsigned long b);" for i in range(FUNCTIONS)]
        body = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>", f'#include "m{module}.h"']
        body += [f'#include "m{one}.h"' for one in used]
        for i in range(FUNCTIONS):
            body += _function(chance, module, i, used, _C)
        tree[f"{_folder(module)}/m{module}.h"] = _text([*head, "#endif"])
        tree[f"{_folder(module)}/m{module}.c"] = _text(body)
    main = [f'#include "m{module}.h"' for module in range(MODULES)]
    main += ["#include <stdio.h>", "int main(void) {", "  unsigned long sum = 0;"]
    main += [f"  sum += m{module}_f{FUNCTIONS - 1}({module}, 7);" for module in range(MODULES)]
    tree["main.c"] = _text([*main, '  printf("%lu\\n", sum);', "  return 0;", "}"])
    return tree


def _python_tree(chance: random.Random) -> dict[str, bytes]:
    tree = {"README": _prose(chance, 4000), "NEWS": _prose(chance, 6000)}
    for module in range(2 * MODULES):
        used = _users(chance, module)
        body = [f"import m{one}" for one in used]
        for i in range(FUNCTIONS):
            body += _function(chance, module, i, used, _PYTHON)
        tree[f"{_folder(module // 2)}/m{module}.py"] = _text(body)
    return tree


def _C(name: str, steps: list[tuple[str, int]]) -> list[str]:
    lines = [
        f"unsigned long {name}(unsigned long a, unsigned long b) {{",
        "  for (unsigned long i = 0; i < (b & 15); i++) {",
    ]
    lines += [f"    {step};" for step, _ in steps]
    return [*lines, "  }", "  return a ^ b;", "}"]


def _PYTHON(name: str, steps: list[tuple[str, int]]) -> list[str]:
    lines = [f"def {name.split('_', 1)[1]}(a, b):", "  for i in range(16):"]
    return [*lines, *(f"    {step.replace('_', '.', 1)}" for step, _ in steps), "  return a ^ b"]


_Language = Callable[[str, list[tuple[str, int]]], list[str]]


def _function(chance: random.Random, module: int, i: int, used: list[int], language: _Language) -> list[str]:
    steps = []
    for _ in range(3):
        x, y = chance.sample(("a", "b"), 2)
        number = chance.randrange(3, 63)
        steps.append((f"{x} = ({x} * {2 * number + 1} + ({y} >> {number % 13})) ^ i", number))
    if used and chance.randrange(3) == 0:
        steps.append((f"a = a + m{chance.choice(used)}_f{chance.randrange(FUNCTIONS)}(b, i)", 0))
    return language(f"m{module}_f{i}", steps)


def _prose(chance: random.Random, size: int) -> bytes:
    words = ("replica", "primary", "backup", "view", "request", "reply", "certificate", "checkpoint", "log")
    return _text([" ".join(chance.choices(words, k=12)) for _ in range(size // 100)])


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
