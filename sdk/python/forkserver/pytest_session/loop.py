"""In place of pytest's loop over all items. Registered in the zygote: that
takes long enough to count in a worker."""

from typing import Any, List

import pytest

from forkserver.pytest_session.interrupts import interrupts


class Loop:
    """Runs those that choose() was given. `item`: the last one begun."""

    def __init__(self) -> None:
        self.item: Any = None
        self._events: Any = None
        self._indices: List[int] = []

    def choose(self, events: Any, indices: List[int]) -> None:
        """In a worker. `events`: where it sends ("item", index)."""
        self._events = events
        self._indices = indices

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        items = [session.items[index] for index in self._indices]
        for number, item in enumerate(items):
            self.item = item
            self._events.send("item", self._indices[number])
            following = items[number + 1] if number + 1 < len(items) else None
            with interrupts.allowed():
                item.config.hook.pytest_runtest_protocol(item=item,
                                                         nextitem=following)
            if session.shouldfail or session.shouldstop:
                break
        return True
