"""pytest's tests of a zygote: how they are listed and run."""

import sys
from contextlib import suppress
from typing import Any, Dict, List

import pytest

from forkserver.originals import os
from forkserver.protocol.messages import (ListedTest, TestList, TestPlan,
                                          TestRun)
from forkserver.pytest_session import descriptors, session
from forkserver.pytest_session.interrupts import interrupts
from forkserver.pytest_session.units import file_of
from forkserver.test_zygote import pytest_fixtures
from forkserver.test_zygote.names import relative, travelling, unique
from forkserver.test_zygote.pytest_loading import load
from forkserver.test_zygote.pytest_recorder import Recorder
from forkserver.test_zygote.report_page import ReportPage
from forkserver.test_zygote.request import PYTEST, Request


class PytestTests:
    """What the zygote has collected. Raises TestsNotFound."""

    def __init__(self, request: Request) -> None:
        self._recorder = Recorder()
        self.warm = load(request, self._recorder)
        # Here, and not in each worker.
        self._loop = _Loop(self._recorder)
        self.warm.config.pluginmanager.register(self._loop, "forkserver-loop")
        items = self.warm.session.items
        names = unique(travelling(item.nodeid) for item in items)
        self.items: Dict[str, Any] = dict(zip(names, items))
        # Modules and classes that are skipped when they are collected.
        self._skipped: Dict[str, str] = {
            travelling(nodeid): reason
            for nodeid, reason in self._recorder.skipped_collectors
            if nodeid not in self.items}

    def listing(self) -> TestList:
        tests = [_listed(name, item) for name, item in self.items.items()]
        tests += [ListedTest(name, skip=reason or "skipped")
                  for name, reason in self._skipped.items()]
        return TestList(PYTEST, pytest.__version__, tests,
                        self._recorder.errors)

    def plan(self, run: TestRun) -> TestPlan:
        """Of the tests of `run`, as far as they are there."""
        return pytest_fixtures.plan([self.items[name] for name in run.tests
                                     if name in self.items])

    def run(self, run: TestRun, page: ReportPage) -> int:
        """In a worker. Raises KeyError: there is no such test."""
        recorder = self._recorder
        recorder.page = page
        names = [name for name in run.tests if name not in self._skipped]
        items = [self.items[name] for name in names]
        for name in run.tests:
            if name in self._skipped:
                recorder.skip(name, self._skipped[name])
        if items:
            self._run_items(items, names, run.debug)
        return 1 if recorder.failed else 0

    def _run_items(self, items: List[Any], names: List[str], debug: bool
                  ) -> None:
        warm, recorder = self.warm, self._recorder
        session.resume(warm)
        _start_capture(warm, debug)
        descriptors.use_own_streams(warm.config)
        if debug:
            _start_debugger(warm.config)
        loop = self._loop
        loop.choose(items, names)
        interrupted = False
        try:
            # Plugins wrap this hook: logging, say.
            warm.config.hook.pytest_runtestloop(session=warm.session)
        except (KeyboardInterrupt, pytest.exit.Exception) as error:
            interrupted = True
            recorder.fail(f"{type(error).__name__} {error}".rstrip(),
                          loop.item)
        except Exception as error:  # of a plugin's hook
            recorder.fail(f"internal error of pytest: {error!r}", None)
        finally:
            with suppress(*([Exception] if interrupted else [])):
                warm.session._setupstate.teardown_exact(None)
            recorder.finish()


class _Loop:
    """In place of pytest's loop over all items."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._items: List[Any] = []
        self._names: List[str] = []
        self.item: Any = None

    def choose(self, items: List[Any], names: List[str]) -> None:
        """Those that it is to run."""
        self._items = items
        self._names = names

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """`session` is not asked whether to stop: the harness decides."""
        del session
        following = [*self._items[1:], None]
        for item, name, after in zip(self._items, self._names, following):
            self.item = item
            self._recorder.begin(name)
            with interrupts.allowed():
                item.config.hook.pytest_runtest_protocol(item=item,
                                                         nextitem=after)
            self._recorder.finish()
        return True


def _start_capture(warm: Any, debug: bool) -> None:
    """Output goes where the harness captures it, however the worker ends.
    Reading fails, as pytest has it, unless somebody debugs."""
    capture = warm.config.pluginmanager.getplugin("capturemanager")
    if capture is None:  # -p no:capture
        return
    wanted = capture._method
    capture._method = "no"
    capture.start_global_capturing()
    warm.streams.revive(capture._global_capturing)
    if wanted == "no" or debug:
        return
    try:
        from _pytest.capture import MultiCapture, SysCapture
        capture._global_capturing.stop_capturing()
        capture._global_capturing = MultiCapture(in_=SysCapture(0), out=None,
                                                 err=None)
        capture._global_capturing.start_capturing()
    except (ImportError, TypeError, AttributeError):
        pass  # another version of pytest


def _start_debugger(config: Any) -> None:
    """As --pdb, where there is a terminal."""
    if not (sys.stdin and sys.stdin.isatty()):
        return
    from _pytest.debugging import PdbInvoke
    from _pytest.terminal import TerminalReporter
    config.option.usepdb = True
    config.pluginmanager.register(TerminalReporter(config, sys.stdout),
                                  "terminalreporter")
    config.pluginmanager.register(PdbInvoke(), "pdbinvoke")


def _listed(name: str, item: Any) -> ListedTest:
    cls = item.getparent(pytest.Class)
    file = relative(str(getattr(item, "path", None) or item.fspath))
    path, line, _ = item.location
    # One that a base class of another file has is listed with its class.
    if line is None or os.path.basename(path) != os.path.basename(file):
        line = -1
    tags = dict.fromkeys(travelling(marker.name)
                         for marker in item.iter_markers())
    return ListedTest(name, travelling(cls.nodeid if cls is not None
                                       else file_of(item)),
                      file, line + 1, list(tags))
