"""Sets up session and module fixtures before there is a test to run, and
watches what they leave behind that no forked worker can use."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Dict, Iterable, List, NamedTuple, Set

import pytest
from _pytest.outcomes import OutcomeException
from _pytest.warnings import catch_warnings_for_item

from forkserver.zygote_host import state
from forkserver.zygote_host.descriptors import list_descriptors


class Unsafe(NamedTuple):
    """A fixture that each worker has to set up for itself. `key` names it for
    later set-ups, `text` for people."""
    key: str
    text: str


def heard_warnings(item: Any) -> "AbstractContextManager[Any]":
    """As in a run of `item`: filters apply, and warnings are recorded."""
    if not item.config.pluginmanager.hasplugin("warnings"):
        return nullcontext()
    return catch_warnings_for_item(config=item.config, ihook=item.ihook,
                                   when="runtest", item=item)


class EarlyFixtures:
    """Of one zygote: all fixtures of `scopes` but those in `excluded`, and but
    parametrized ones, which are set up for one parameter at a time."""

    def __init__(self, session: Any, scopes: Iterable[str],
                 excluded: Iterable[str], own_fds: Iterable[int]) -> None:
        self._session = session
        self._scopes = set(scopes)
        self._excluded = set(excluded)
        self._own_fds = list(own_fds)
        self._done: Set[int] = set()

    def set_up(self, node: Any, items: List[Any]) -> List[Unsafe]:
        """`node`: the session, or the module of `items`. What a fixture raises
        is kept, for every test that uses it."""
        # A node whose own set-up fails: as with fixtures.
        try:
            with heard_warnings(items[0]) if items else nullcontext():
                self._session._setupstate.setup(node)
        except (Exception, OutcomeException):  # pylint: disable=broad-except
            return []
        unsafe: List[Unsafe] = []
        for item in items:
            info = getattr(item, "_fixtureinfo", None)
            if info is None or not getattr(item, "_request", None):
                continue
            for name in info.names_closure:
                if self._is_due(item, info, name):
                    unsafe += self._set_up_one(item, info, name)
        return unsafe

    def _is_due(self, item: Any, info: Any, name: str) -> bool:
        fixtures = info.name2fixturedefs.get(name)
        if not fixtures or id(fixtures[-1]) in self._done:
            return False
        return (fixtures[-1].scope in self._scopes
                and self._can_be_early(item, info, name, set()))

    def _can_be_early(self, item: Any, info: Any, name: str,
                      seen: Set[str]) -> bool:
        """Neither it nor what it asks for is excluded."""
        if name in seen:
            return True
        seen.add(name)
        if name in getattr(getattr(item, "callspec", None), "params", ()):
            return False
        for fixture in info.name2fixturedefs.get(name, ()):
            if fixture.params is not None or _key(fixture) in self._excluded:
                return False
            if not all(self._can_be_early(item, info, each, seen)
                       for each in fixture.argnames):
                return False
        return True

    def _set_up_one(self, item: Any, info: Any, name: str) -> List[Unsafe]:
        fixture = info.name2fixturedefs[name][-1]
        self._done.add(id(fixture))
        threads = _unsafe_threads()
        fds = list_descriptors(self._own_fds)
        try:
            with heard_warnings(item):
                item._request.getfixturevalue(name)
        except pytest.exit.Exception:
            raise
        except (Exception, OutcomeException):  # pylint: disable=broad-except
            # It is raised again in each test that asks for it; this item's
            # request would take that for a recursion.
            item._initrequest()
        left = [f"started thread {text}"
                for number, text in _unsafe_threads().items()
                if number not in threads]
        left += [f"left descriptor {number} open ({text})"
                 for number, text in list_descriptors(self._own_fds).items()
                 if fds.get(number) != text]
        if not left:
            return []
        place = fixture.func.__module__
        return [Unsafe(_key(fixture),
                       f"{fixture.scope} fixture '{name}' of {place} " +
                       ", and ".join(left))]


def _key(fixture: Any) -> str:
    return f"{fixture.baseid}::{fixture.argname}"


def _unsafe_threads() -> Dict[int, str]:
    preloader = state.preloader
    if preloader is None:
        return {}
    return {each.id: each.describe() for each in preloader.unsafe_threads()}
