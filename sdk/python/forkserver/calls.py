"""Calls: a function runs in a fresh worker, its value comes back.

    zygote = client.zygote("shop", preload=["shop.models"])
    total = zygote.call(shop.reports.total, 2024, currency="EUR")

Function, arguments and value are pickled. What the function raises is raised
here, with the worker's traceback as its cause.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from typing import Any, Callable, List, Mapping, Optional, Sequence

from forkserver import call_wire
from forkserver.errors import Error, Timeout
from forkserver.records import ExitRecord
from forkserver.zygote_host import main_module

__all__ = ["NotPicklable", "RemoteError", "RemoteTraceback", "WorkerDied"]

ENTRY = "call"
# What is longer travels in a file: a message is at most 4 MiB long, and the
# environment is in it too.
_MAX_INLINE_BYTES = 1 << 20
_PAYLOAD_FD = 3


class WorkerDied(Error):
    """The worker ended before the function had returned; `exit` is its
    record."""

    code = "worker_died"
    exit: Optional[ExitRecord] = None


class NotPicklable(Error, TypeError):
    """A function, an argument or a result cannot travel."""
    code = "not_picklable"


class RemoteError(Error):
    """The function raised something that cannot be pickled. `type_name` is
    the name of its class; the cause is its traceback."""

    code = "remote_error"
    type_name = ""


class RemoteTraceback(Exception):
    """The cause of an exception that a worker raised: its traceback there."""

    def __init__(self, traceback: str) -> None:
        super().__init__(traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return f'\n"""\n{self.traceback}"""'


class Request:
    """One call, before it is made: the options of a fork. close() it."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any],
                 kwargs: Mapping[str, Any],
                 path: Optional[List[str]] = None) -> None:
        """`path`: the worker's sys.path; None leaves the zygote's. Raises
        NotPicklable."""
        self.name = _name_of(function)
        self.options = {"argv": sys.argv or [""],
                        "stdin": subprocess.DEVNULL}
        self._file: Any = None
        payload: Optional[bytes] = _pickle(function, tuple(args),
                                           dict(kwargs))
        assert payload is not None
        main = (main_module.describe_main()
                if main_module.is_named_in(payload) else None)
        if len(payload) > _MAX_INLINE_BYTES:
            self._file = tempfile.TemporaryFile()
            self._file.write(payload)
            self._file.flush()
            self.options["fds"] = {_PAYLOAD_FD: self._file}
            payload = None
        self.options["args"] = call_wire.encode_header(
            path, main, payload, _PAYLOAD_FD)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def call(fork: Callable[..., Any], request: Request,
         timeout: Optional[float] = None, **options: Any) -> Any:
    """Makes it: `fork` is that of a Zygote. Blocks until the worker has
    ended. See PythonZygote.call for what it raises."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as result:
        try:
            worker = fork(ENTRY, result=write_end, timeout=timeout,
                          **{**request.options, **options})
        finally:
            os.close(write_end)
            request.close()
        with worker:
            data = _read_result(result)
            record = worker.wait()
    return outcome(data, record, request.name)


class ResultBuffer:
    """A result that comes in pieces, for asyncio."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> bool:
        """True: nothing more is to be read."""
        self._bytes += data
        return not data or self.data() is not None

    def data(self) -> Optional[bytes]:
        """None as long as it is not there whole."""
        begin = call_wire.LENGTH.size
        if len(self._bytes) < begin:
            return None
        size, = call_wire.LENGTH.unpack_from(self._bytes)
        if len(self._bytes) < begin + size:
            return None
        return bytes(self._bytes[begin:begin + size])


def _read_result(result: Any) -> Optional[bytes]:
    """None if the worker did not send all of it."""
    header = result.read(call_wire.LENGTH.size)
    if len(header) < call_wire.LENGTH.size:
        return None
    size, = call_wire.LENGTH.unpack(header)
    data: bytes = result.read(size)
    return data if len(data) == size else None


def outcome(data: Optional[bytes], record: ExitRecord, name: str) -> Any:
    """The value of a call; raises what the function did."""
    if data is None:
        raise _death(record, name)
    tag, content = data[:1], data[1:]
    if tag in (call_wire.UNPICKLABLE, call_wire.NOT_LOADED):
        raise NotPicklable(f"{name}: {call_wire.decode_text(content)}",
                           hint=_hint(tag))
    if main_module.is_named_in(content):
        # In the worker our main module has this name.
        sys.modules.setdefault(main_module.MP_MAIN, sys.modules["__main__"])
    try:
        loaded = pickle.loads(content)
    except Exception as error:  # pickle raises anything
        raise NotPicklable(
            f"{name}: its outcome cannot be loaded here: "
            f"{call_wire.describe(error)}") from error
    if tag == call_wire.RETURNED:
        return loaded
    if tag == call_wire.RAISED:
        exception, traceback = loaded
        exception.__cause__ = RemoteTraceback(traceback)
        raise exception
    type_name, message, traceback = loaded
    remote = RemoteError(f"{name} raised {type_name}: {message}")
    remote.type_name = type_name
    raise remote from RemoteTraceback(traceback)


def _hint(tag: bytes) -> str:
    if tag == call_wire.NOT_LOADED:
        return ("functions and classes travel by the name of their module, "
                "which the worker must be able to import")
    return "return what can be pickled"


def _death(record: ExitRecord, name: str) -> Error:
    if record.reason == "timeout":
        return Timeout(f"{name} did not return within its timeout; worker "
                       f"{record.id} was stopped")
    error = WorkerDied(f"worker {record.id} (pid {record.pid}) "
                       f"{describe_end(record)} before {name} returned")
    error.exit = record
    return error


def describe_end(record: ExitRecord) -> str:
    """How a worker ended, in words: "was killed by SIGSEGV"."""
    how = "ended unobserved"
    if record.signal is not None:
        try:
            how = f"was killed by {signal.Signals(record.signal).name}"
        except ValueError:
            how = f"was killed by signal {record.signal}"
        if record.core:
            how += " (core dumped)"
    elif record.code is not None:
        how = f"exited with code {record.code}"
    if record.reason not in ("exited", "signaled", "lost"):
        how += f" ({record.reason})"
    return how


def _pickle(function: Any, args: Any, kwargs: Any) -> bytes:
    try:
        return pickle.dumps((function, args, kwargs), call_wire.PROTOCOL)
    except Exception as error:  # pickle raises anything
        what = _first_unpicklable(function, args, kwargs)
        raise NotPicklable(
            f"{what} cannot be pickled: {call_wire.describe(error)}",
            hint="functions must be found by the name of their module: no "
            "lambdas, no functions in functions") from error


def _first_unpicklable(function: Any, args: Any, kwargs: Any) -> str:
    parts = [(f"the function {_name_of(function)}", function)]
    parts += [(f"argument {index} of {_name_of(function)}", each)
              for index, each in enumerate(args)]
    parts += [(f"argument {key!r} of {_name_of(function)}", each)
              for key, each in kwargs.items()]
    for what, value in parts:
        try:
            pickle.dumps(value, call_wire.PROTOCOL)
        except Exception:  # pickle raises anything
            return what
    return f"the call of {_name_of(function)}"


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)
