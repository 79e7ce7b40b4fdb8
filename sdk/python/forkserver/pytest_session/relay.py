"""Carries what pytest tells plugins from zygotes and workers to the main
process, as pytest-xdist does: reports by pytest's own serialisation."""

import warnings
from typing import Any, Callable, Dict, Iterator

import pytest

from forkserver.event_pipe import EventWriter
from forkserver.originals import os
from forkserver.zygote_host import descriptors


def to_basic(value: Any) -> Any:
    """The same of built-in types only: the main process need not be able to
    import what tests attach to reports."""
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        kind = next(each for each in (bool, str, bytes, int, float,
                                      type(None)) if isinstance(value, each))
        return value if type(value) is kind else kind(value)  # subclasses
    if isinstance(value, dict):
        return {to_basic(key): to_basic(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(to_basic(each) for each in value)
    if isinstance(value, (list, set, frozenset)):
        return [to_basic(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return repr(value)


class Relay:
    """The plugin of a zygote's session. `events`: where to, which a worker
    replaces by its own."""

    def __init__(self, config: Any, events: EventWriter) -> None:
        self.events = events
        # {descriptor: node} of what was opened while that was collected.
        self.opened: Dict[int, str] = {}
        self._config = config

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Iterator[None]:
        before = descriptors.open_numbers()
        yield
        for number in set(descriptors.open_numbers()).difference(before):
            self.opened[number] = collector.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: Any) -> None:
        # Those that passed are many, and only the cache of failures asks.
        last_failed = getattr(self._config.pluginmanager.getplugin(
            "lfplugin"), "lastfailed", {})
        if not report.passed or report.nodeid in last_failed:
            self._send_report("collectreport", report)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        self._send_report("report", report)

    def _send_report(self, name: str, report: Any) -> None:
        data = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report)
        self.events.send(name, to_basic(data))

    @pytest.hookimpl
    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.events.send("logstart", nodeid, to_basic(location))

    @pytest.hookimpl
    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.events.send("logfinish", nodeid, to_basic(location))

    @pytest.hookimpl
    def pytest_deselected(self, items: Any) -> None:
        self.events.send("deselected", len(items))

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: Any, when: str,
                                nodeid: str, location: Any) -> None:
        if when == "config":
            return  # the main process has configured itself too
        self.events.send("warning", _pack_warning(warning_message), when,
                         nodeid, to_basic(location))

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr: Any) -> None:
        self.events.send("internalerror", str(excrepr))


def _pack_warning(message: warnings.WarningMessage) -> Dict[str, Any]:
    category = message.category
    return {
        "text": str(message.message),
        "module": category.__module__,
        "category": category.__qualname__,
        "filename": message.filename,
        "lineno": message.lineno,
        "line": message.line,
    }


def _unpack_warning(data: Dict[str, Any]) -> warnings.WarningMessage:
    # Of the same name; the module is the tests' and is not imported here.
    category = type(data["category"], (Warning,),
                    {"__module__": data["module"]})
    return warnings.WarningMessage(category(data["text"]), category,
                                   data["filename"], data["lineno"],
                                   line=data["line"])


class Replay:
    """In the main process: tells its plugins what the other one told its."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._hook = config.hook
        self.deselected = 0
        self._handlers: Dict[str, Callable[..., None]] = {
            "collectreport": self._collectreport,
            "report": lambda data: self._hook.pytest_runtest_logreport(
                report=self._report(data)),
            "logstart": lambda nodeid, location:
                self._hook.pytest_runtest_logstart(nodeid=nodeid,
                                                   location=location),
            "logfinish": lambda nodeid, location:
                self._hook.pytest_runtest_logfinish(nodeid=nodeid,
                                                    location=location),
            "deselected": self._deselected,
            "warning": self._warning,
            "internalerror": self._internalerror,
        }

    def handles(self, name: str) -> bool:
        return name in self._handlers

    def replay(self, name: str, *details: Any) -> None:
        self._handlers[name](*details)

    def _report(self, data: Any) -> Any:
        return self._hook.pytest_report_from_serializable(
            config=self._config, data=data)

    def _collectreport(self, data: Any) -> None:
        report = self._report(data)
        report.result = []
        self._hook.pytest_collectreport(report=report)

    def _deselected(self, count: int) -> None:
        self.deselected += count
        self._hook.pytest_deselected(items=[None] * count)

    def _warning(self, data: Any, when: str, nodeid: str,
                 location: Any) -> None:
        self._hook.pytest_warning_recorded.call_historic(kwargs={
            "warning_message": _unpack_warning(data), "when": when,
            "nodeid": nodeid, "location": location})

    def _internalerror(self, text: str) -> None:
        raise RuntimeError("in a worker or zygote:\n" + text)
