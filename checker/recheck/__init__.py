"""Assembles `recheck.py`: one file of standard-library Python that verifies a certificate without us.

It is the source of the auditor, of the moves, of the one model used, of a small reader and a small main
program, in this order, word for word but for the imports of each other. So what it runs can be read here, and
a test compares. The same model gives the same bytes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from importlib import import_module

from checker.models import model_class

_PROGRAM = "checker.recheck.program"
_TOP = '''"""Verifies the certificate of a verdict about a history: what the judge's auditor did, once more.

    python3 -I recheck.py [FOLDER [HISTORY]]

Standard library only. Below is, word for word, the source of what must be believed: what an operation is, the
model ({model}), the moves that only make a history weaker, the auditor; then a reader and a main program.
Exit codes: 0 verified, 1 not verified, 2 wrong use.
"""

from __future__ import annotations
'''
_BOTTOM = """

# --- the end

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {name}, {model!a}, Path(__file__).resolve().parent))
"""


class NotCarried(Exception):
    """A model whose source cannot stand alone; the text says why."""


def assemble(model: str) -> str:
    """The text of `recheck.py` for certificates under the model called `model`. Raises NotCarried."""
    used = model_class(model)
    modules: list[str] = []
    for wanted in ("checker.models.base", used.__module__, _PROGRAM):
        _gather(wanted, modules)
    parts = [_TOP.format(model=ascii(model)[1:-1])]
    names: dict[str, str] = {}
    for module in modules:
        source, defined = _without_own_imports(module)
        for name in defined:
            if names.setdefault(name, module) != module:
                raise NotCarried(f"{name} is defined in {names[name]} and in {module}")
        parts.append(f"\n\n# --- {module}\n\n{source.strip()}\n")
    parts.append(_BOTTOM.format(name=used.__qualname__, model=model))
    return "".join(parts)


def _gather(module: str, found: list[str]) -> None:
    """`module` and all of ours it imports, those first that others rest on. None imports in a circle."""
    if module in found:
        return
    for node in ast.parse(_source(module)).body:
        for name in _imported(node):
            if _is_ours(name, module):
                _gather(name, found)
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                raise NotCarried(f"{module} imports {name}, which is not of the standard library")
    found.append(module)


def _source(module: str) -> str:
    try:
        return inspect.getsource(import_module(module))
    except (OSError, TypeError) as error:
        raise NotCarried(f"the source of {module} cannot be read ({error})") from None


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _is_ours(name: str, importer: str) -> bool:
    return name.partition(".")[0] in ("checker", importer.partition(".")[0])


def _without_own_imports(module: str) -> tuple[str, list[str]]:
    """The source without imports of ours, and the names it defines at its top."""
    source = _source(module)
    tree = ast.parse(source)
    lines = source.splitlines()
    defined: list[str] = []
    for node in tree.body:
        own = [name for name in _imported(node) if _is_ours(name, module)]
        if own or "__future__" in _imported(node):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                defined += [name.id for name in names if isinstance(name, ast.Name)]
    return "\n".join(lines), defined
