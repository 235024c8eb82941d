"""Every lie a rule may name. To add one: a file, and a line here."""

from __future__ import annotations

from nemesis.lies.equivocate import Equivocate
from nemesis.lies.lie import Lie

LIES: tuple[type[Lie], ...] = (Equivocate,)
