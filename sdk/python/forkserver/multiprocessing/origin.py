"""Where the processes of a context come from: a client and a zygote.

Each process of a program has a connection of its own, made when it starts its
first process. What a zygote's workers start comes from the same zygote.
"""

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Set, Tuple

from forkserver.errors import ConnectionLost
from forkserver.multiprocessing import main_code, preloaded
from forkserver.multiprocessing import worker as worker_module
from forkserver.multiprocessing.context import SPARES, default_context
from forkserver.python_zygote import PythonZygote

if TYPE_CHECKING:
    from forkserver.client import Client

ENTRY = worker_module.__name__ + ":run"
_PRELOAD = preloaded.__name__


class _State:
    """Of this process. A forked child has one of its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.clients: "Dict[Optional[str], Client]" = {}
        self.zygotes: Dict[Any, str] = {}
        # Those that have made a worker.
        self.proven: Set[Tuple[int, str]] = set()
        self.numbers = itertools.count(1)


_state = _State()


def _own_state() -> _State:
    global _state
    if _state.pid != os.getpid():
        # Clients of the parent close their copies by themselves.
        _state = _State()
    return _state


class Origin(NamedTuple):
    """`zygote`: its name. `inherited`: what a context in its workers has for
    options."""
    client: "Client"
    zygote: str
    inherited: Dict[str, Any]


def find(options: Dict[str, Any]) -> Origin:
    """What the options of a context ask for; started if need be."""
    inherited = portable(options)
    given = options.get("zygote")
    if isinstance(given, PythonZygote):
        return Origin(_client_of(given), given.name, inherited)
    client = _client(options)
    if given is not None:
        return Origin(client, given, inherited)
    inherited["origin"] = name = _zygote(client, options)
    return Origin(client, name, inherited)


def is_proven(origin: Origin) -> bool:
    """Whether it has made a worker for this process."""
    return (id(origin.client), origin.zygote) in _own_state().proven


def prove(origin: Origin) -> None:
    _own_state().proven.add((id(origin.client), origin.zygote))


def forget(options: Dict[str, Any], origin: Origin) -> bool:
    """It is of no use any more: the next find() finds another one. False:
    the caller wants this one."""
    if options.get("zygote") is not None:
        return False
    state = _own_state()
    key = _key(origin.client, options)
    with state.lock:
        # Unless another thread has replaced it already.
        if state.zygotes.get(key) == origin.zygote:
            del state.zygotes[key]
        state.proven.discard((id(origin.client), origin.zygote))
        inherited = default_context.effective_options()
        if inherited.get("origin") == origin.zygote:
            del inherited["origin"]
    return True


def _client_of(zygote: PythonZygote) -> "Client":
    if zygote._auto_reload:
        zygote._reload_if_stale()
    return zygote._client


def _client(options: Dict[str, Any]) -> "Client":
    given = options.get("client")
    if given is not None:
        return given  # type: ignore[no-any-return]
    socket = options.get("socket")
    state = _own_state()
    with state.lock:
        client = state.clients.get(socket)
        if client is not None:
            try:
                client.process()
                return client
            except ConnectionLost:
                # With a daemon that ended its workers and zygotes did too.
                client.close()
                _drop_zygotes(state, client)
        from forkserver.client import connect
        client = state.clients[socket] = connect(
            socket, client_name="multiprocessing")
        return client


def _zygote(client: "Client", options: Dict[str, Any]) -> str:
    """Its name."""
    state = _own_state()
    key = _key(client, options)
    with state.lock:
        name = state.zygotes.get(key)
        if name is None:
            name = _inherited_zygote(options)
        if name is None:
            name = (f"multiprocessing-{os.getpid()}-{next(state.numbers)}-"
                    f"{os.urandom(3).hex()}")
            steps = _steps(options)
            steps["preload"] = [_PRELOAD, *steps.get("preload", ())]
            client.zygote(name, env=_environment(),
                          spares=options.get("spares", SPARES), **steps)
        state.zygotes[key] = name
    return name


def _inherited_zygote(options: Dict[str, Any]) -> Optional[str]:
    """That of the process that started this one, if it is what the options
    ask for."""
    inherited = default_context.effective_options()
    if _steps(inherited) != _steps(options) or \
            options.get("socket") not in (None, inherited.get("socket")):
        return None
    return inherited.get("origin")


def _steps(options: Dict[str, Any]) -> Dict[str, Any]:
    """What a zygote is made of."""
    return {each: options[each] for each in
            ("preload", "before_freeze", "after_fork", "known_threads",
             "freeze") if each in options}


def _environment() -> Dict[str, str]:
    environment = dict(os.environ)
    environment[preloaded.VARIABLE] = json.dumps(preloaded.standard_modules())
    path = main_code.path_of_main()
    if path is not None:
        environment[main_code.VARIABLE] = path
    return environment


def _drop_zygotes(state: _State, client: "Client") -> None:
    for key in [each for each in state.zygotes if each[0] == id(client)]:
        del state.zygotes[key]


def _key(client: "Client", options: Dict[str, Any]) -> Tuple[Any, ...]:
    return id(client), repr(_steps(options))


def portable(options: Dict[str, Any]) -> Dict[str, Any]:
    """Options that can be pickled: names for objects of this process."""
    kept = {name: value for name, value in options.items()
            if name not in ("client", "zygote")}
    zygote = options.get("zygote")
    client = options.get("client")
    if zygote is not None:
        kept["zygote"] = getattr(zygote, "name", zygote)
    if isinstance(zygote, PythonZygote):
        client = zygote._client
    if client is not None:
        kept["socket"] = client._connection.session.socket_path
    return kept


def disconnect() -> None:
    """Ends the connections of this process."""
    state = _own_state()
    with state.lock:
        clients, state.clients = state.clients, {}
        state.zygotes.clear()
        state.proven.clear()
    for client in clients.values():
        client.close()
