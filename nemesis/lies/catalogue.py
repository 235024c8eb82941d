"""Every lie a rule may name. To add one: a file, and a line here."""

from __future__ import annotations

from nemesis.lies.checkpoint_lie import CheckpointLie
from nemesis.lies.equivocate import Equivocate
from nemesis.lies.forged_request import ForgedRequest
from nemesis.lies.lie import Lie
from nemesis.lies.lie_to_client import LieToClient
from nemesis.lies.new_view_lie import NewViewLie
from nemesis.lies.replay_own import ReplayOwn
from nemesis.lies.silence import Silence
from nemesis.lies.slow_primary import SlowPrimary
from nemesis.lies.spam_status import SpamStatus
from nemesis.lies.state_flood import StateFlood
from nemesis.lies.state_lie import StateLie
from nemesis.lies.unfair_order import UnfairOrder
from nemesis.lies.view_change_lie import ViewChangeLie
from nemesis.lies.view_change_spam import ViewChangeSpam
from nemesis.lies.wrong_field import WrongField

LIES: tuple[type[Lie], ...] = (
    Equivocate,
    WrongField,
    ForgedRequest,
    LieToClient,
    CheckpointLie,
    Silence,
    SlowPrimary,
    UnfairOrder,
    ReplayOwn,
    SpamStatus,
    ViewChangeLie,
    ViewChangeSpam,
    NewViewLie,
    StateLie,
    StateFlood,
)
