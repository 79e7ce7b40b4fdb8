"""multiprocessing over forkserverd: the start method "forkserverd".

    import multiprocessing
    import forkserver.multiprocessing

    if __name__ == "__main__":
        multiprocessing.set_start_method("forkserverd")
        with multiprocessing.Pool(4) as pool:
            print(pool.map(len, ["a", "bb"]))

Importing this module registers the start method. Its processes are forked from
a clean zygote of this interpreter, whatever threads and frameworks the caller
has started. They are told what to run as those of CPython's own "forkserver"
are: what they are given is pickled, and the main module is imported again.

get_context() makes a context with modules that its processes start with:

    ctx = forkserver.multiprocessing.get_context(preload=["numpy"])
    with concurrent.futures.ProcessPoolExecutor(mp_context=ctx) as executor:
        ...

docs/python.md says what differs from "fork" and "forkserver".
"""

import multiprocessing.context as _stdlib
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple, Union

from forkserver.multiprocessing import pools
from forkserver.multiprocessing.context import (METHOD, SPARES,
                                                ForkserverdContext,
                                                ForkserverdProcess,
                                                default_context)

if TYPE_CHECKING:
    from forkserver.client import Client
    from forkserver.python_zygote import PythonZygote

__all__ = ["ForkserverdContext", "ForkserverdProcess", "METHOD", "disconnect",
           "get_context"]

_stdlib._concrete_contexts[METHOD] = default_context  # type: ignore
pools.install()


def get_context(preload: Sequence[str] = (), *,
                zygote: "Union[PythonZygote, str, None]" = None,
                client: "Optional[Client]" = None,
                socket: Optional[str] = None,
                before_freeze: Sequence[str] = (),
                after_fork: Sequence[str] = (),
                known_threads: Sequence[Union[str, Dict[str, Any]]] = (),
                freeze: Sequence[str] = (),
                spares: Tuple[int, int] = SPARES) -> ForkserverdContext:
    """A context like those of multiprocessing.get_context(), whose processes
    are workers of forkserverd. Nothing is started before its first process.

    preload   modules that its processes start with: names, "module:function",
              or "__main__" for the caller's main module
    before_freeze, after_fork, known_threads, freeze
              as in Client.zygote()
    spares    (least, most) processes that are forked in advance
    zygote    instead of all these, a zygote: a PythonZygote, or the name of
              one, which may be kept and shared by several programs
    client    the client to ask; by default a connection of its own, made when
              it is needed, one in each process
    socket    the daemon to connect to; by default that of the session, which
              is started if there is none

    What start() raises: ZygoteFailed (a preload step raised), ZygoteUnsafe
    (it started a thread), ConnectFailed, ConnectionLost, LaunchFailed and
    other forkserver.Error; and as ever what pickle does.
    """
    return ForkserverdContext(preload=preload, zygote=zygote, client=client,
                              socket=socket, before_freeze=before_freeze,
                              after_fork=after_fork,
                              known_threads=known_threads, freeze=freeze,
                              spares=spares)


def disconnect() -> None:
    """Ends this process's connections to the daemon, and with them its
    processes that still run, and its zygotes. The next process connects anew.
    Without it the end of this process does the same."""
    from forkserver.multiprocessing import origin
    origin.disconnect()
