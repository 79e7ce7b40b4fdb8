"""The entry `call`: a function of the client, with its arguments."""

import sys
from typing import Any

from forkserver import call_wire
from forkserver.originals import pickle
from forkserver.zygote_host import main_module
from forkserver.zygote_host.context import WorkerContext


def run(context: WorkerContext) -> int:
    """The result is the outcome; the exit code is 0 whatever the function
    did, but for SystemExit, which leaves no outcome."""
    path, main, payload, fd = call_wire.decode_header(context.args)
    if path is not None and sys.path != path:
        sys.path[:] = path
    if payload is None:
        payload = call_wire.read_all(fd)
    outcome = _outcome(payload, main)
    context.set_result(call_wire.LENGTH.pack(len(outcome)) + outcome)
    return 0


def _outcome(payload: bytes, main: call_wire.Main) -> bytes:
    try:
        if main_module.is_named_in(payload):
            main_module.load(main)
        function, args, kwargs = pickle.loads(payload)
    except Exception as error:
        return call_wire.encode_text(
            call_wire.NOT_LOADED, "the worker cannot load the function or its "
            f"arguments: {call_wire.describe(error)}")
    try:
        value: Any = _undecorated(function)(*args, **kwargs)
    except SystemExit:
        raise
    except BaseException as error:
        return call_wire.encode_exception(error, skip=1)
    return call_wire.encode_value(value)


def _undecorated(function: Any) -> Any:
    """What an @isolated function does when it is in its worker."""
    return getattr(function, "__forkserver_isolated__", function)
