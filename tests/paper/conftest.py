"""``playbook(me=1, …)`` makes a playbook whose last event is held to its expectations, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playbook import Playbook


@pytest.fixture
def playbook(request: pytest.FixtureRequest) -> Iterator[Callable[..., Playbook]]:
    made: list[Playbook] = []

    def make(me: int = 1, **settings: object) -> Playbook:
        made.append(Playbook(me, **settings))
        return made[-1]

    yield make
    for play in made:
        play.finish()
