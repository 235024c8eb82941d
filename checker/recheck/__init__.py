"""Assembles `recheck.py`: one file of standard-library Python that verifies a certificate without us.

It is the source of the auditor, of the moves, of the one model used, of a small reader and a small main
program, in this order, word for word but for the imports of each other. So what it runs can be read here, and
a test compares. The same model gives the same bytes. Every judgement writes it, that of nine operations too:
a model of ours is cut out by lines, many times as fast as by the grammar; a test holds the two together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, cast

from checker.models import model_class
from checker.models.base import Model

if TYPE_CHECKING:
    import ast
    from importlib.abc import InspectLoader

_PROGRAM = "checker.recheck.program"
_TRANSACTIONS = "checker.recheck.transactions"
_TOP = '''"""Verifies the certificate of a verdict about a history: what the judge's auditor did, once more.

    python3 -I recheck.py [FOLDER [HISTORY]]

Standard library only. Below is, word for word, the source of what must be believed: what an operation is, the
model ({model}), the moves that only make a history weaker, the auditors; then a reader and a main program.
Exit codes: 0 verified, 1 not verified, 2 wrong use.
"""

from __future__ import annotations
'''
_BOTTOM = """

# --- the end

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {name}, {model!a}, Path(__file__).resolve().parent{whole}))
"""
_OWN_IMPORT = re.compile(r"^from (__future__|checker[.\w]*) import (?:\([^)]*\)|.*)$", re.MULTILINE)
"""At the top of a module of ours: we write them in no other way."""


class NotCarried(Exception):
    """A model whose source cannot stand alone; the text says why."""


class Carried(NamedTuple):
    """A module as it goes into the program."""

    source: str
    """Without its imports of ours."""
    imports: tuple[str, ...]
    """Those of ours, in order."""
    defined: tuple[str, ...]
    """Names at its top, where a model that we do not know might define them again."""


def assemble(model: str) -> str:
    """The text of `recheck.py` for certificates under the model called `model`. Raises NotCarried."""
    ours = model_class(model).__module__.startswith("checker.models.")
    return assemble_with(by_lines if ours else by_grammar, model)


def assemble_with(read: Callable[[str], Carried], model: str) -> str:
    """The same text whichever of the two reads the modules, where both can."""
    used = model_class(model)
    modules: dict[str, Carried] = {}
    whole = (_TRANSACTIONS,) if is_of_transactions(used) else ()
    for wanted in ("checker.models.base", used.__module__, _PROGRAM, *whole):
        _gather(wanted, read, modules)
    parts = [_TOP.format(model=ascii(model)[1:-1])]
    names: dict[str, str] = {}
    for module, carried in modules.items():
        for name in carried.defined:
            if names.setdefault(name, module) != module:
                raise NotCarried(f"{name} is defined in {names[name]} and in {module}")
        parts.append(f"\n\n# --- {module}\n\n{carried.source.strip()}\n")
    more = ", Transactions" if whole else ""
    parts.append(_BOTTOM.format(name=used.__qualname__, model=model, whole=more))
    return "".join(parts)


def is_of_transactions(model: type[Model]) -> bool:
    """Whether its certificates are of the whole database, for the auditor of transactions."""
    return model.kind == "list-append"


def _gather(module: str, read: Callable[[str], Carried], found: dict[str, Carried]) -> None:
    """`module` and all of ours it imports, those first that others rest on. None imports in a circle."""
    if module in found:
        return
    carried = read(module)
    for name in carried.imports:
        _gather(name, read, found)
    found[module] = carried


def by_lines(module: str) -> Carried:
    """A module of ours: all of them are known to carry, and to define no name twice. It is not imported."""
    found = find_spec(module)
    try:
        source = cast("InspectLoader", found.loader).get_source(module) if found else None
    except ImportError as error:
        raise NotCarried(f"the source of {module} cannot be read ({error})") from None
    if source is None:
        raise NotCarried(f"the source of {module} cannot be read (there is none)")
    names = (name for name in _OWN_IMPORT.findall(source) if name != "__future__")
    return Carried(_OWN_IMPORT.sub(lambda line: "\n" * line[0].count("\n"), source), tuple(names), ())


def by_grammar(module: str) -> Carried:
    """Any module. Raises NotCarried if it needs what is not of the standard library."""
    import ast

    source = _source(module)
    lines = source.splitlines()
    imports: list[str] = []
    defined: list[str] = []
    for node in ast.parse(source).body:
        names = _imported(node)
        own = [name for name in names if _is_ours(name, module)]
        imports += own
        for name in names:
            if name not in own and name.partition(".")[0] not in sys.stdlib_module_names:
                raise NotCarried(f"{module} imports {name}, which is not of the standard library")
        if own or "__future__" in names:
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
        defined += _defined(node)
    return Carried("\n".join(lines), tuple(imports), tuple(defined))


def _defined(node: ast.stmt) -> list[str]:
    import ast

    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return []
    names: list[str] = []
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        each = target.elts if isinstance(target, ast.Tuple) else [target]
        names += [name.id for name in each if isinstance(name, ast.Name)]
    return names


def _source(module: str) -> str:
    import inspect

    try:
        return inspect.getsource(import_module(module))
    except (OSError, TypeError) as error:
        raise NotCarried(f"the source of {module} cannot be read ({error})") from None


def _imported(node: ast.stmt) -> list[str]:
    import ast

    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _is_ours(name: str, importer: str) -> bool:
    return name.partition(".")[0] in ("checker", importer.partition(".")[0])
