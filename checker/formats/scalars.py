"""Values of EDN as the models know values: JSON scalars, each value another scalar.

nil, integers, booleans and strings stay what they are, a keyword becomes its text (":ready"), and everything
else (1.5, a vector in a register, a character) the text "#edn " and how EDN writes it. A string that looks
like one of these is written the second way, so that no two values become the same scalar, and back again.
"""

from __future__ import annotations

from collections.abc import Hashable

from checker.formats.edn import FALSE, TRUE, Atom, EdnError, Form, forms, write

_MARK = "#edn "


def scalar(value: Form) -> Hashable:
    """The scalar for a value."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, str):
        stands = value.startswith((":", _MARK)) and not isinstance(form(value), str)
        return _MARK + write(value) if stands or _written(value) else value
    if value == TRUE:
        return True
    if value == FALSE:
        return False
    if isinstance(value, Atom) and value.kind == "keyword":
        return value.text
    return _MARK + write(value)


def _written(value: str) -> bool:
    """Whether the string is what a string becomes that looks like something else."""
    return value.startswith(_MARK + '"') and form(value) != value


def form(value: Hashable) -> Form:
    """The value of EDN: the inverse of `scalar`; a list becomes a vector."""
    if isinstance(value, tuple):
        if len(value) == 1 and isinstance(value[0], bool):  # as models box them
            return TRUE if value[0] else FALSE
        return tuple(form(element) for element in value)
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, str) and value.startswith((":", _MARK)):
        try:
            ((_, found),) = forms(value.removeprefix(_MARK))
        except (EdnError, ValueError):
            return value
        if scalar(found) == value:
            return found
    return value
