"""Every lie a rule may name. To add one: a file, and a line here."""

from __future__ import annotations

from nemesis.lies.equivocate import Equivocate
from nemesis.lies.lie import Lie
from nemesis.lies.new_view_lie import NewViewLie
from nemesis.lies.state_flood import StateFlood
from nemesis.lies.state_lie import StateLie
from nemesis.lies.view_change_lie import ViewChangeLie
from nemesis.lies.view_change_spam import ViewChangeSpam

LIES: tuple[type[Lie], ...] = (Equivocate, ViewChangeLie, ViewChangeSpam, NewViewLie, StateLie, StateFlood)
