"""Kinds of faults in which replicas lie. To add one: a class, and a line here."""

from __future__ import annotations

from nemesis.faults.lies.collusion import Collusion
from nemesis.faults.lies.lying import Lying
from nemesis.faults.lies.normal_case import NORMAL_CASE
from nemesis.faults.lies.state import FloodsWithQuestions, LiesAboutState
from nemesis.faults.lies.view_changes import LiesInNewViews, LiesInViewChanges, SpamsViewChanges

LYING: tuple[Lying, ...] = (
    *NORMAL_CASE,
    LiesInViewChanges(),
    SpamsViewChanges(),
    LiesInNewViews(),
    LiesAboutState(),
    FloodsWithQuestions(),
    Collusion(),
)
