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

from forkserver.originals import gc

# What must never be destroyed in a worker: the destructor of a connection
# would say goodbye to the server in the name of the zygote.
_leaked: List[Any] = []

# Event loops without descriptors; and those that have been so, which may be in
# frozen memory.
_suspended_loops: List[Any] = []
_resumed_loops: List[Any] = []
# That of the main thread, one of them, or None.
_main_loop: Any = None


def before_freeze() -> None:
    """Takes their descriptors from event loops that modules have made, closes
    the loop of the main thread if that is not possible, and Django's
    connections, but those in a transaction."""
    _suspend_event_loops()
    _close_event_loop()
    close_django_connections()


def close_django_connections() -> None:
    """Those to databases in memory stay; so do those in a transaction."""
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
    functions: List[Callable[[], None]] = []
    if _suspended_loops:
        functions.append(resume_event_loops)
    if "multiprocessing.util" in sys.modules:
        functions.append(_renew_multiprocessing)
    return functions


def _seed_numpy() -> None:
    """The global generator: workers would all draw the same numbers."""
    sys.modules["numpy.random"].seed()  # type: ignore[attr-defined]


def _suspend_event_loops() -> None:
    """Those of asyncio's own kind with nothing but their wake-up socket."""
    selector_events: Any = sys.modules.get("asyncio.selector_events")
    if selector_events is None:
        return
    kind = selector_events.BaseSelectorEventLoop
    # pylint: disable=protected-access
    for loop in [*_resumed_loops, *gc.get_objects()]:
        # Not by isinstance(), which asks lazy objects what they stand for.
        if not issubclass(type(loop), kind) or loop.is_closed() or \
                loop.is_running() or loop in _suspended_loops or \
                len(loop._selector.get_map()) != 1:
            continue
        loop._close_self_pipe()
        loop._selector.close()
        _suspended_loops.append(loop)
    _resumed_loops.clear()
    global _main_loop  # pylint: disable=global-statement
    main_loop = _loop_of(_policy())
    if main_loop is not None:
        _main_loop = main_loop if main_loop in _suspended_loops else None


def resume_event_loops() -> None:
    """In a process that was forked from this one, and at the end of this one:
    with descriptors of its own."""
    # pylint: disable=import-outside-toplevel,protected-access
    if _suspended_loops:
        import selectors
    while _suspended_loops:
        loop = _suspended_loops.pop()
        loop._selector = selectors.DefaultSelector()
        loop._make_self_pipe()
        _resumed_loops.append(loop)
    if _main_loop is not None and _loop_of(_policy()) is None:
        # It does not outlive a fork, from Python 3.12 on by itself.
        sys.modules["asyncio"].set_event_loop(_main_loop)


def _close_event_loop() -> None:
    """A worker could not use it: its descriptors are closed there."""
    loop = _loop_of(_policy())
    if loop is not None and loop not in _suspended_loops and \
            not loop.is_running():
        loop.close()


def _policy() -> Any:
    events: Any = sys.modules.get("asyncio.events")
    return getattr(events, "_event_loop_policy", None)


def _loop_of(policy: Any) -> Any:
    return getattr(getattr(policy, "_local", None), "_loop", None)


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
