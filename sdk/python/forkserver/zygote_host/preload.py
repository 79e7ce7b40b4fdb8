"""Preload steps: what a zygote loads before it forks workers.

A step is `module`, which is imported; `module:function`, which is imported and
called without arguments; or `__main__`, the caller's main module, imported as
multiprocessing does, under the name `__mp_main__`. The step `django` calls
django.setup() as well where DJANGO_SETTINGS_MODULE is set: no model can be
imported before.
"""

import faulthandler
import importlib
import sys
from typing import Any, Callable, Dict, Iterable, List, Optional

from forkserver.errors import Error, make_error
from forkserver.originals import os, time
from forkserver.records import PreloadReport, ThreadNote
from forkserver.zygote_host import (crash_reports, main_module, sources,
                                    system)
from forkserver.zygote_host.descriptors import list_descriptors
from forkserver.zygote_host.os_guard import OsGuard
from forkserver.zygote_host.thread_table import Rule, Thread, find_rule
from forkserver.zygote_host.threads import (StartWatch, count_settled_threads,
                                            list_threads, mapped_libraries)
from forkserver.zygote_host.tracebacks import describe_exception

class Preloader:
    """Runs the steps of one zygote, and keeps what they left behind."""

    def __init__(self, rules: List[Rule], main: Optional[Dict[str, str]],
                 own_fds: Iterable[int],
                 on_exit: Callable[[Error], None]) -> None:
        """`own_fds` are not reported. `on_exit` is told if a step leaves by
        os._exit()."""
        self.reports: List[PreloadReport] = []
        # The same for people: threads and descriptors in words.
        self.described: List[Dict[str, Any]] = []
        self.sources = sources.Sources()
        self._rules = rules
        self._main = main
        self._own_fds = list(own_fds)
        self._on_exit = on_exit
        self._watch = StartWatch()
        self._steps: Dict[int, str] = {}  # thread: step
        self._libraries: List[str] = []

    def become(self, rules: List[Rule], main: Optional[Dict[str, str]],
               own_fds: Iterable[int],
               on_exit: Callable[[Error], None]) -> None:
        """In the child that is a nested zygote: it goes on from here."""
        self._rules = rules
        self._main = main or self._main
        self._own_fds = list(own_fds)
        self._on_exit = on_exit
        self._steps.clear()

    def run(self, names: Iterable[str]) -> None:
        """Raises Error zygote_failed, whose message has the traceback."""
        self._new_threads("the start of the interpreter")
        self._libraries = mapped_libraries()
        with self._watch, _CrashReports():
            for name in names:
                self.reports.append(self._run_step(name))

    def note_threads(self) -> List[ThreadNote]:
        """All that there are. Raises Error zygote_unsafe: one that a rule of
        the user forbids. Of those without a rule the audit judges."""
        self._new_threads("the hooks before_freeze")
        threads = self.threads()
        for thread in threads:
            rule = find_rule(self._rules, thread)
            if rule and not rule["safe"]:
                raise make_error(
                    "zygote_unsafe",
                    "the zygote is not safe to fork: thread "
                    f"{thread.describe()} ({rule['why']})", step=thread.step,
                    hint="known_threads forbids it")
        return [self._note(each) for each in threads]

    def threads(self) -> List[Thread]:
        """Every thread but this one, with the step that brought it."""
        if count_settled_threads() == 1:
            return []
        return [each._replace(step=self._steps.get(each.id, ""))
                for each in list_threads(self._watch.starters)]

    def unsafe_threads(self) -> List[Thread]:
        """Those of which no rule says that they survive a fork."""
        return [each for each in self.threads() if not self._survives(each)]

    def _survives(self, thread: Thread) -> bool:
        rule = find_rule(self._rules, thread)
        return bool(rule and rule["safe"])

    def _run_step(self, name: str) -> PreloadReport:
        fds = list_descriptors(self._own_fds)
        rss = system.resident_bytes()
        begun_ns = time.monotonic_ns()
        guard = OsGuard(self._own_fds, lambda what: self._on_exit(
            _failed(name, what)))
        try:
            with guard:
                self._load(name)
        except BaseException as error:
            raise _failed(name, describe_exception(error)) from None
        wall_us = (time.monotonic_ns() - begun_ns) // 1000
        self.sources.note()
        libraries = mapped_libraries()
        new_fds = {fd: text for fd, text
                   in list_descriptors(self._own_fds).items()
                   if fds.get(fd) != text}
        new_threads = self._new_threads(f"preload {name}")
        report = PreloadReport(
            name=name, wall_us=wall_us,
            rss_bytes=system.resident_bytes() - rss,
            threads=count_settled_threads(),
            new_threads=[self._note(each) for each in new_threads],
            new_fds=[*new_fds],
            new_libraries=sorted({*libraries} - {*self._libraries}))
        self._libraries = libraries
        self.described.append({
            **report.to_wire(), "new_fds": new_fds,
            "new_threads": [each.describe() for each in new_threads]})
        return report

    def _load(self, name: str) -> None:
        if name == "__main__":
            main_module.load(self._main)
        elif ":" in name:
            find_function(name)()
        else:
            module: Any = importlib.import_module(name)
            if name == "django" and os.environ.get("DJANGO_SETTINGS_MODULE"):
                module.setup()

    def _new_threads(self, step: str) -> List[Thread]:
        new = []
        for thread in self.threads():
            if thread.id not in self._steps:
                self._steps[thread.id] = step
                new.append(thread._replace(step=step))
        return new

    def _note(self, thread: Thread) -> ThreadNote:
        return ThreadNote(thread.id, thread.name, thread.module, thread.step,
                          self._survives(thread))


class _CrashReports:
    """While it is entered, a crash shows where it was on standard error. If
    somebody else asks for that meanwhile, it stays so."""

    def __enter__(self) -> None:
        self._wanted = faulthandler.is_enabled()
        self._enable = faulthandler.enable
        faulthandler.enable()

        def enable(*args: Any, **kwargs: Any) -> None:
            self._wanted = True
            crash_reports.somebody_enabled_faulthandler()
            self._enable(*args, **kwargs)

        faulthandler.enable = enable

    def __exit__(self, *_: object) -> None:
        faulthandler.enable = self._enable
        if not self._wanted:
            faulthandler.disable()


def find_function(name: str) -> Any:
    """What "module:function" names; imports the module. Raises whatever that
    raises, and ImportError or AttributeError."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _failed(name: str, what: str) -> Error:
    sys.stderr.flush()
    return make_error("zygote_failed", f"preload {name}: {what}",
                      step=f"preload {name}")
