"""The zygotes of one pytest run, as the main process sees them."""

import os
import secrets
import select
import sys
import tempfile
import threading
from types import SimpleNamespace
from typing import IO, Any, Dict, List, Optional

import pytest

from forkserver import coverage_relay, event_pipe
from forkserver.errors import Error, UnknownZygote
from forkserver.pytest_session.relay import to_basic
from forkserver.pytest_session.units import Plan
from forkserver.pytest_session.zygote import FileRequest, Request
from forkserver.sentinel import open_sentinel

_HOST = "forkserver.pytest_session.zygote"
# How often fixtures may turn out not to be fork-safe, one because of another.
_ATTEMPTS = 10
# For the tear-down of fixtures. pytest itself waits for ever.
_TEAR_DOWN_SECONDS = 3600


# Options that pytest-random-order and pytest-randomly want in all processes, and
# hand over themselves only where pytest-xdist is installed.
_SEEDS = ("random_order_seed", "randomly_seed")


class _Node:
    """What pytest-xdist's hooks are given of a worker."""

    def __init__(self, config: Any, worker_input: Dict[str, Any]) -> None:
        self.config = config
        self.workerinput = worker_input
        self.gateway = SimpleNamespace(id="forkserver")


class _Started:
    """A zygote that runs, with the file that its events are in."""

    def __init__(self, zygote: Any, what: str, record: IO[bytes]) -> None:
        self.zygote = zygote
        self._what = what
        self._record = record
        self._sentinel = open_sentinel(zygote.info.pid)
        self._seen = len(self.events())

    def events(self) -> List[Any]:
        return event_pipe.recorded_events(self._record)

    def retire(self) -> None:
        try:
            self.zygote.stop()
        except UnknownZygote:
            pass

    def await_end(self) -> List[Any]:
        """Blocks until it has torn down its fixtures. Returns what it told
        meanwhile, and "lost" if it did not come to its end."""
        select.select([self._sentinel], [], [])
        os.close(self._sentinel)
        events = self.events()[self._seen:]
        self._record.close()
        if not any(event[0] == "torn_down" for event in events):
            events.append(["lost", self._what])
        return events


class _FileSlot:
    """A place for the zygote of a file."""

    def __init__(self, units: int) -> None:
        self.lock = threading.Lock()
        self.units_left = units
        self.started: Optional[_Started] = None
        self.failed = False


class Zygotes:
    """The session's, and those of files, which are started when their first
    unit comes, and retired after their last. Methods may be called from the
    threads of lanes."""

    def __init__(self, client: Any, config: Any, count: int) -> None:
        self.notes: List[str] = []  # about fixtures that are not fork-safe
        self.missing: List[str] = []  # what modules opened and workers lack
        self._client = client
        self._config = config
        self._count = count
        self._environment = dict(os.environ)
        self._name = f"pytest-{os.getpid()}-{secrets.token_hex(4)}"
        self._session: Optional[_Started] = None
        self._files: Dict[str, _FileSlot] = {}
        self._retired: List[_Started] = []
        self._told: List[Any] = []  # by zygotes of files, when they began
        self._lock = threading.Lock()

    def start(self) -> List[Any]:
        """The session's. Returns its events. Blocks while it collects.

        Raises what keeps the session from starting, as pytest would.
        """
        measured = None if self._config.pluginmanager.hasplugin("_cov") else (
            coverage_relay.describe())
        excluded: List[str] = []
        while True:
            request = Request(
                [str(each) for each in self._config.invocation_params.args],
                sys.argv, self._config.getoption("forkserver_scope"),
                excluded, self._worker_input(), measured)
            name = f"{self._name}-{len(excluded)}"
            events = self._try_start(name, "load", tuple(request), "", {})
            if self._session is not None:
                self.missing = _describe_missing(events)
                return events
            excluded += self._note_unsafe(events, excluded)

    def _worker_input(self) -> Any:
        """What pytest-xdist gives to its workers, pytest-cov, and the plugins
        that have the hook for it."""
        import socket  # pylint: disable=import-outside-toplevel
        folder = os.getcwd()
        node = _Node(self._config, {
            "workerid": "forkserver", "workercount": self._count,
            "testrunuid": self._name, "mainargv": sys.argv,
            "cov_master_host": socket.gethostname(),
            "cov_master_topdir": folder, "cov_master_rsync_roots": []})
        for name in _SEEDS:
            if hasattr(self._config.option, name):
                node.workerinput[name] = getattr(self._config.option, name)
        plugins = self._config.pluginmanager
        if hasattr(self._config.hook, "pytest_configure_node"):
            coverage = [each for each in [plugins.getplugin("_cov")] if each]
            plugins.subset_hook_caller("pytest_configure_node", coverage)(
                node=node)
        return to_basic(node.workerinput)

    def _try_start(self, name: str, step: str, request: Any, file: str,
                   options: Dict[str, Any]) -> List[Any]:
        """Sets the session's zygote, or that of a slot, if it succeeds. Else
        the events say which fixtures are in the way."""
        # Closed by await_end(), or below.
        # pylint: disable-next=consider-using-with
        record = tempfile.TemporaryFile()
        try:
            with event_pipe.request_file(request) as request_file:
                zygote = self._client.zygote(
                    name, preload=["forkserver.pytest_session.worker",
                                   f"{_HOST}:{step}"],
                    grace=_TEAR_DOWN_SECONDS,
                    env=self._environment,
                    fds={1: 1, 2: 2, event_pipe.CHILD_FD: record,
                         event_pipe.REQUEST_FD: request_file}, **options)
        except Error as error:
            events = event_pipe.recorded_events(record)
            record.close()
            if not any(event[0] == "unsafe" for event in events):
                _raise_as_pytest(events, error)
            return events
        started = _Started(zygote, file or "the session", record)
        if file:
            self._files[file].started = started
        else:
            self._session = started
        return started.events()

    def _note_unsafe(self, events: List[Any],
                     known: List[str]) -> List[str]:
        keys = []
        for event in events:
            if event[0] == "unsafe" and event[1] not in known:
                keys.append(event[1])
                self.notes.append(event[2])
        if not keys or len(known) > _ATTEMPTS * 10:
            raise pytest.UsageError(
                "fixtures are not fork-safe, and leaving them out does not "
                "help: " + "; ".join(self.notes))
        return keys

    def set_plan(self, plan: Plan) -> None:
        files = [unit.file for unit in plan.units]
        self._files = {file: _FileSlot(files.count(file))
                       for file in plan.zygote_files}

    def fork(self, file: str, entry: str, **options: Any) -> Any:
        """A worker for a unit of `file`, with what it needs set up."""
        assert self._session is not None
        slot = self._files.get(file)
        started = self._session
        if slot is not None:
            with slot.lock:
                if slot.started is None and not slot.failed:
                    self._start_file(file, slot)
                started = slot.started or started
        return started.zygote.fork(entry, env=self._environment,
                                   argv=sys.argv, **options)

    def _start_file(self, file: str, slot: _FileSlot) -> None:
        assert self._session is not None
        excluded: List[str] = []
        name = f"{self._name}-{secrets.token_hex(4)}"
        for attempt in range(_ATTEMPTS):
            try:
                events = self._try_start(
                    f"{name}-{attempt}", "load_file",
                    tuple(FileRequest(file, excluded)), file,
                    {"parent": self._session.zygote})
                if slot.started is not None:
                    with self._lock:
                        self._told += events
                    return
                excluded += self._note_unsafe(events, excluded)
            except pytest.UsageError as error:
                self.notes.append(f"no zygote for {file}: {error}")
                break
        # Its module fixtures are set up in each worker.
        slot.failed = True

    def unit_done(self, file: str) -> None:
        """To be called once for each unit that fork() was called for."""
        slot = self._files.get(file)
        if slot is None:
            return
        with slot.lock:
            slot.units_left -= 1
            if slot.units_left or slot.started is None:
                return
            started, slot.started, slot.failed = slot.started, None, True
        started.retire()
        with self._lock:
            self._retired.append(started)

    def stop(self) -> List[Any]:
        """Retires all. Blocks until their fixtures are torn down. Returns the
        events of zygotes of files, and of that."""
        ending = self._retired
        for slot in self._files.values():
            if slot.started is not None:
                slot.started.retire()
                ending.append(slot.started)
                slot.started = None
        if self._session is not None:
            self._session.retire()
            ending.append(self._session)
            self._session = None
        events, self._told = self._told, []
        while ending:
            events += ending.pop(0).await_end()
        return events


def _raise_as_pytest(events: List[Any], error: Error) -> None:
    for name, *details in events:
        if name == "usage_error":
            raise pytest.UsageError(*details[0])
        if name == "exit":
            raise pytest.exit.Exception(*details)
    raise pytest.UsageError("\n".join([f"forkserver: {error}",
                                       *_describe_missing(events)])) from error


def _describe_missing(events: List[Any]) -> List[str]:
    return [f"{node or 'a plugin or conftest module'} opened descriptor "
            f"{number} ({text})" for name, number, text, node in
            (event for event in events if event[0] == "missing")]
