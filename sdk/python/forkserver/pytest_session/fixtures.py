"""Sets up session and module fixtures before there is a test to run, and
watches what they leave behind that no forked worker can use."""

from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Set

import pytest
from _pytest.logging import caplog_records_key, catching_logs
from _pytest.outcomes import OutcomeException
from _pytest.warnings import catch_warnings_for_item

from forkserver.pytest_session import django_databases
from forkserver.zygote_host import refresh, state
from forkserver.zygote_host.descriptors import list_descriptors


class Unsafe(NamedTuple):
    """A fixture that each worker has to set up for itself. `key` names it for
    later set-ups, `text` for people."""
    key: str
    text: str


@contextmanager
def heard(item: Any, when: str) -> Iterator[None]:
    """As around that part of `item`: output and logs are sections of its
    reports, filters of warnings apply, and warnings are recorded. Nothing is to
    be raised in it."""
    plugins = item.config.pluginmanager
    logs = plugins.getplugin("logging-plugin")
    capture = plugins.getplugin("capturemanager")
    with ExitStack() as stack:
        if plugins.hasplugin("warnings"):
            stack.enter_context(catch_warnings_for_item(
                config=item.config, ihook=item.ihook, when="runtest",
                item=item))
        if logs is not None:
            item.stash.setdefault(caplog_records_key, {})
            stack.enter_context(catching_logs(logs.log_file_handler,
                                              level=logs.log_file_level))
            stack.enter_context(contextmanager(logs._runtest_for)(item, when))
        if capture is not None:
            stack.enter_context(capture.item_capture(when, item))
        yield


class EarlyFixtures:
    """Of one zygote: all fixtures of `scopes` but those in `excluded`, and but
    parametrized ones, which are set up for one parameter at a time."""

    def __init__(self, session: Any, scopes: Iterable[str],
                 excluded: Iterable[str], own_fds: Iterable[int],
                 with_databases: bool) -> None:
        """`with_databases`: each worker has test databases of its own."""
        self._with_databases = with_databases
        self._session = session
        self._scopes = set(scopes)
        self._excluded = set(excluded)
        self._own_fds = list(own_fds)
        self._done: Set[int] = set()

    def set_up(self, node: Any, items: List[Any]) -> List[Unsafe]:
        """`node`: the session, or the module of `items`. What a fixture raises
        is kept, for every test that uses it."""
        # A node whose own set-up fails: as with fixtures.
        with heard(items[0], "setup"):
            try:
                self._session._setupstate.setup(node)
            except (Exception, OutcomeException):  # pylint: disable=broad-except
                return []
        unsafe: List[Unsafe] = []
        for item in items:
            info = getattr(item, "_fixtureinfo", None)
            if info is None or not getattr(item, "_request", None):
                continue
            names = list(info.names_closure)
            if self._with_databases and django_databases.are_needed(item):
                names.append(django_databases.FIXTURE)
            for name in names:
                if self._is_due(item, info, name):
                    unsafe += self._set_up_one(item, info, name)
        return unsafe

    def _is_due(self, item: Any, info: Any, name: str) -> bool:
        fixtures = self._definitions(item, info, name)
        if not fixtures or id(fixtures[-1]) in self._done:
            return False
        return (fixtures[-1].scope in self._scopes
                and self._can_be_early(item, info, name, set()))

    def _definitions(self, item: Any, info: Any, name: str) -> List[Any]:
        """Those of a fixture that `item` can ask for, the nearest last."""
        found: List[Any] = info.name2fixturedefs.get(name) or [
            each for each in
            self._session._fixturemanager._arg2fixturedefs.get(name, [])
            if item.nodeid.startswith(each.baseid)]
        return found

    def _can_be_early(self, item: Any, info: Any, name: str,
                      seen: Set[str]) -> bool:
        """Neither it nor what it asks for is excluded, or the worker's own."""
        if name in seen:
            return True
        seen.add(name)
        if name == "worker_id" or name in getattr(getattr(item, "callspec", None), "params", ()):
            return False
        for fixture in self._definitions(item, info, name):
            if fixture.params is not None or _key(fixture) in self._excluded:
                return False
            if not all(self._can_be_early(item, info, each, seen)
                       for each in fixture.argnames):
                return False
        return True

    def _set_up_one(self, item: Any, info: Any, name: str) -> List[Unsafe]:
        fixture = self._definitions(item, info, name)[-1]
        self._done.add(id(fixture))
        threads = _unsafe_threads()
        fds = list_descriptors(self._own_fds)
        with heard(item, "setup"):
            try:
                item._request.getfixturevalue(name)
            except pytest.exit.Exception:
                raise
            except (Exception, OutcomeException):  # pylint: disable=broad-except
                # It is raised again in each test that asks for it; this item's
                # request would take that for a recursion.
                item._initrequest()
            if self._with_databases:
                refresh.close_django_connections()
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
