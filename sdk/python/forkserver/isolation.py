"""Functions that run in a fresh worker each time: forkserver.isolated."""

import functools
import os
import secrets
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence
from typing import Tuple, TypeVar, cast

from forkserver.errors import (BadRequest, ConnectionLost, StaleEnvironment,
                               UnknownZygote, UseAfterFork, ZygoteRetired)

if TYPE_CHECKING:
    from forkserver.client import Client
    from forkserver.python_zygote import PythonZygote

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["close", "isolated"]


def isolated(function: Optional[F] = None, *,
             zygote: "Optional[PythonZygote]" = None,
             preload: Sequence[str] = (),
             timeout: Optional[float] = None) -> Any:
    """Decorator: each call of the function runs in a fresh worker.

        @forkserver.isolated
        def proxies():
            return urllib.request.getproxies()

        @forkserver.isolated(preload=["numpy"], timeout=10)
        def solve(matrix): ...

    What it does to its process stays in the worker: frameworks that it
    starts, memory that it leaks, a crash. Arguments and value are pickled,
    exceptions come back with the worker's traceback; see PythonZygote.call()
    for the worker and for what is raised.

    zygote    fork the workers from this one
    preload   else from a zygote of this process's own that has loaded these;
              it is started by the first call, joins all functions with the
              same list, and ends with this process
    timeout   seconds; the worker is stopped, TimeoutError raised

    Inside of a worker a call of an isolated function runs in another worker.
    The function itself is `__wrapped__`.
    """
    if zygote is not None and preload:
        raise BadRequest("zygote= and preload= exclude each other")
    if function is None:
        return functools.partial(isolated, zygote=zygote, preload=preload,
                                 timeout=timeout)
    if not callable(function):
        raise BadRequest(f"@isolated is for functions, not {function!r}")
    steps = tuple(preload)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if zygote is not None:
            return zygote.run_call(run, args, kwargs, timeout)
        return call_in_default(steps, run, args, kwargs, timeout)

    # Travels by the name of its module, where this wrapper is found: the
    # worker calls what is in it.
    run.__forkserver_isolated__ = function  # type: ignore[attr-defined]
    return cast(F, run)


def call_in_default(preload: Tuple[str, ...], function: Callable[..., Any],
                    args: Sequence[Any] = (),
                    kwargs: Optional[Dict[str, Any]] = None,
                    timeout: Optional[float] = None) -> Any:
    """A call in the zygote of this process for that list of preload steps,
    which is started if it is not there or does not fit any more."""
    for is_last in (False, True):
        zygote = _zygotes.get(preload)
        try:
            return zygote.run_call(function, args, kwargs, timeout)
        except (UnknownZygote, ZygoteRetired, StaleEnvironment,
                UseAfterFork):
            # No worker has begun.
            _zygotes.forget(preload, zygote)
            if is_last:
                raise
        except ConnectionLost:
            # It may have run: the caller is told, the next call connects.
            _zygotes.forget_all(zygote)
            raise
    raise AssertionError("not reached")


class _Zygotes:
    """The client and the zygotes that calls without a zygote use."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._client: "Optional[Client]" = None
        self._made: "Dict[Tuple[str, ...], PythonZygote]" = {}

    def get(self, preload: Tuple[str, ...]) -> "PythonZygote":
        with self._lock:
            zygote = self._made.get(preload)
            if zygote is None:
                zygote = self._made[preload] = self._start(preload)
            return zygote

    def _start(self, preload: Tuple[str, ...]) -> "PythonZygote":
        # Not loaded before it is needed: the module is imported for the
        # decorator, often.
        from forkserver.client import connect
        if self._client is None:
            self._client = connect(client_name="python isolated")
        # Of this process only: another one may be of another version of the
        # modules.
        name = f"isolated-{os.getpid()}-{secrets.token_hex(4)}"
        return self._client.zygote(name, preload=preload)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            self._made.clear()
        if client is not None:
            client.close()

    def forget(self, preload: Tuple[str, ...],
               zygote: "PythonZygote") -> None:
        with self._lock:
            if self._made.get(preload) is zygote:
                del self._made[preload]

    def forget_all(self, zygote: "PythonZygote") -> None:
        with self._lock:
            if zygote in self._made.values():
                self._made.clear()
                self._client = None


def close() -> None:
    """Ends the zygotes of isolated functions and the connection that they
    were made by; calls under way fail with ConnectionLost. The next call
    starts anew. The end of the process does the same."""
    _zygotes.close()


_zygotes = _Zygotes()
# A forked child makes its own; the parent's lock may be held.
os.register_at_fork(after_in_child=_zygotes._reset)
