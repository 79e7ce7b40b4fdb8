"""The test databases of pytest-django: made once, in the session's zygote. Each
lane, of which one worker runs at a time, has clones of its own; those in memory
every worker has by its fork.
"""

import contextlib
from typing import Any, Iterator, List

from forkserver.zygote_host import refresh

FIXTURE = "django_db_setup"


def are_needed(item: Any) -> bool:
    """Whether it asks for them when it runs, of which pytest knows nothing
    beforehand."""
    if not item.config.pluginmanager.hasplugin("django"):
        return False
    kind = getattr(item, "cls", None)
    return (item.get_closest_marker("django_db") is not None
            or hasattr(kind, "serialized_rollback"))  # TransactionTestCase


def are_made(session: Any) -> bool:
    """By pytest-django itself, not by the project."""
    return any(
        fixture.func.__module__.startswith("pytest_django.") and _is_set_up(
            fixture) for fixture in _fixtures(session, FIXTURE))


def turn_to_clones(session: Any, lane: int, fresh: bool) -> None:
    """In a worker. `fresh`: the lane has none yet, or such that a test has
    left in whatever state. Blocks while they are made."""
    # pylint: disable=import-outside-toplevel
    from django.db import connections

    from forkserver.django import databases
    with _access(session):
        aliases = list(_cloned_aliases())
        if fresh:
            databases.clone_again(lane, aliases)
        for alias in connections:
            connection = connections[alias]
            if not databases.is_in_memory(connection):
                connection.settings_dict.update(
                    connection.creation.get_test_db_clone_settings(str(lane)))
                connection.close()


def drop_clones(session: Any, lanes: int) -> None:
    """In the zygote, before the databases themselves are dropped."""
    # pylint: disable=import-outside-toplevel
    from django.db import connections
    with _access(session):
        for alias in _cloned_aliases():
            for lane in range(1, lanes + 1):
                # Not every lane may have had one.
                with contextlib.suppress(Exception):
                    connections[alias].creation.destroy_test_db(
                        suffix=str(lane), verbosity=0)
    refresh.close_django_connections()


def _cloned_aliases() -> Iterator[str]:
    """One for each database that is not in memory."""
    # pylint: disable=import-outside-toplevel
    from django.db import connections

    from forkserver.django import databases
    seen = set()
    for alias in connections:
        connection = connections[alias]
        signature = connection.creation.test_db_signature()
        if not databases.is_in_memory(connection) and signature not in seen:
            seen.add(signature)
            yield alias


@contextlib.contextmanager
def _access(session: Any) -> Iterator[None]:
    """pytest-django forbids it outside of tests."""
    with contextlib.ExitStack() as stack:
        for fixture in _fixtures(session, "django_db_blocker"):
            if _is_set_up(fixture):
                stack.enter_context(fixture.cached_result[0].unblock())
        yield


def _is_set_up(fixture: Any) -> bool:
    result = fixture.cached_result
    return result is not None and result[2] is None  # nothing was raised


def _fixtures(session: Any, name: str) -> List[Any]:
    found: List[Any] = session._fixturemanager._arg2fixturedefs.get(name, [])
    return found
