"""What a fork leaves wrong in libraries, put right.

`before_freeze` runs once in the zygote, when its preload steps are done. The
functions for after a fork run in each worker before its entry; those that need
nothing of a request do so in a spare before there is one. Only libraries that
the zygote has loaded are touched. Besides these, Python itself takes care of
`random` (its module-level generator is seeded again), `logging` and
`threading` (their locks are new), by os.register_at_fork.
"""

import sys
from typing import Any, Callable, List

# What must never be destroyed in a worker: the destructor of a connection
# would say goodbye to the server in the name of the zygote.
_leaked: List[Any] = []


def before_freeze() -> None:
    """Closes the event loop that asyncio keeps for the main thread, and
    Django's connections, but those in a transaction."""
    _close_event_loop()
    for connection in _django_connections():
        if not connection.in_atomic_block:
            connection.close()


def at_fork_functions() -> List[Callable[[], None]]:
    """What this zygote's children need, whatever they are asked for. Looked up
    once, before any fork."""
    functions: List[Callable[[], None]] = []
    if "numpy.random" in sys.modules:
        functions.append(_seed_numpy)
    if "asyncio" in sys.modules:
        functions.append(_renew_asyncio)
    if "django.db" in sys.modules:
        functions.append(_drop_django_connections)
    return functions


def after_fork_functions() -> List[Callable[[], None]]:
    """What its workers need when they are what was asked for: others may have
    registered with multiprocessing whatever they like."""
    if "multiprocessing.util" in sys.modules:
        return [_renew_multiprocessing]
    return []


def _seed_numpy() -> None:
    """The global generator: workers would all draw the same numbers."""
    sys.modules["numpy.random"].seed()  # type: ignore[attr-defined]


def _close_event_loop() -> None:
    """A worker could not use it: its descriptors are closed there."""
    events: Any = sys.modules.get("asyncio.events")
    policy = getattr(events, "_event_loop_policy", None)
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    if loop is not None and not loop.is_running():
        loop.close()


def _renew_asyncio() -> None:
    """A policy of the same kind, without the zygote's loop."""
    events: Any = sys.modules["asyncio.events"]
    # pylint: disable=protected-access
    events._set_running_loop(None)
    policy = events._event_loop_policy
    if policy is not None:
        _leaked.append(policy)
        events._event_loop_policy = type(policy)()


def _renew_multiprocessing() -> None:
    """As multiprocessing does in a child of its own."""
    import atexit  # pylint: disable=import-outside-toplevel
    util: Any = sys.modules["multiprocessing.util"]
    # pylint: disable=protected-access
    util._finalizer_registry.clear()
    util._run_after_forkers()
    atexit.register(util._exit_function)


def _django_connections() -> List[Any]:
    if "django.db" not in sys.modules:
        return []
    # Else asking for connections would load the project's settings.
    if not sys.modules["django.conf"].settings.configured:  # type: ignore
        return []
    connections: Any = sys.modules["django.db"].connections  # type: ignore
    try:
        aliases = list(connections)
    except Exception:  # pylint: disable=broad-except
        return []  # no settings: it was imported, never set up
    made = connections._connections  # pylint: disable=protected-access
    return [connection for connection in
            (getattr(made, alias, None) for alias in aliases)
            if connection is not None and connection.connection is not None]


def _drop_django_connections() -> None:
    for connection in _django_connections():
        memory = getattr(connection, "is_in_memory_db", None)
        if memory is not None and memory():
            continue  # it is no descriptor, and is the worker's copy
        _leaked.append(connection.connection)
        connection.connection = None
