"""Where the plans of a sweep come from: which seeds, and the spec of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UsageError
from harness.request import shown
from harness.spec import VIRTUAL_WORLDS, Spec, make_spec
from harness.spec_file import overlay, overlay_settings
from harness.sweep.options import draw
from harness.virtual.asked import in_words, unlike_default

MAX_SEED = 2**63 - 1
MAX_SEEDS = 10_000_000
_RANGE = re.compile(r"([0-9]{1,19})(?:\.\.([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True)
class Source:
    """A spec for every seed."""

    asked: Mapping[str, object]
    """Keys of a spec: of the file, with the flags over them."""
    settings: tuple[str, ...] = ()
    """``--set``."""
    swarm: bool = False
    """Each seed draws the rest for itself."""

    @property
    def world(self) -> str:
        """``sim``, unless asked for otherwise. Raises UsageError."""
        world = self.asked.get("world") or "sim"
        if world in VIRTUAL_WORLDS:
            return str(world)
        raise UsageError(
            f"world = {shown(world)}: a sweep runs in virtual time", "Use --world sim or --world lockstep."
        )

    def spec_of(self, seed: int) -> Spec:
        """Raises UsageError."""
        asked = draw(seed, self.world) if self.swarm else {}
        overlay(asked, self.asked)
        overlay_settings(asked, self.settings)
        return make_spec(asked | {"seed": seed, "world": self.world})


def seeds_of(text: str) -> range:
    """``0..999`` (both included), or one seed. Raises UsageError."""
    match = _RANGE.fullmatch(text)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else -1
    if not first <= last <= MAX_SEED or last - first >= MAX_SEEDS:
        raise UsageError(
            f"--seeds {shown(text)}",
            f"It must be FIRST..LAST, such as 0..999, or one seed; at most {MAX_SEEDS} of them.",
        )
    return range(first, last + 1)


def in_brief(spec: Spec) -> str:
    """What makes this spec another than its neighbours, in a few words."""
    assert spec.virtual is not None
    latency = in_words(spec.virtual)["latency"]
    words = [spec.workload, f"n={spec.nodes}", f"c={spec.clients}"]
    words += [str(latency["model"] if isinstance(latency, dict) else latency)]
    changed = unlike_default(spec.virtual)
    return " ".join(
        words + [f"{name}={changed[name]}" for name in ("loss", "duplication", "signer") if name in changed]
    )
