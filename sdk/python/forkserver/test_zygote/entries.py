"""The entries of a zygote with tests."""

import random
import sys
from typing import Any

from forkserver import inherited_process
from forkserver.originals import os
from forkserver.protocol.messages import TestRun
from forkserver.test_zygote import hanging, loaded_files, measuring
from forkserver.test_zygote.report_page import ReportPage
from forkserver.zygote_host import entries, system
from forkserver.zygote_host.context import WorkerContext

LIST = "forkserver.test_list"
RUN = "forkserver.test_run"
FILES = "forkserver.test_files"
PLAN = "forkserver.test_plan"

# UnittestTests or PytestTests, of this process or of the zygote that it was
# forked from.
tests: Any = None


def offer(loaded: Any) -> None:
    """In the zygote: `loaded` has listing() and run()."""
    global tests  # pylint: disable=global-statement
    tests = loaded
    entries.register(LIST, _list)
    entries.register(RUN, _run)
    entries.register(FILES, loaded_files.tell)
    if hasattr(loaded, "plan"):
        entries.register(PLAN, _plan)


def _list(context: WorkerContext) -> int:
    context.set_result(tests.listing().encode())
    return 0


def _plan(context: WorkerContext) -> int:
    context.set_result(tests.plan(TestRun.decode(context.args)).encode())
    return 0


def _run(context: WorkerContext) -> int:
    """0: all passed or were skipped; 1: one failed; 2: nonsense was asked
    for."""
    run = TestRun.decode(context.args)
    page = ReportPage(run.report_fd)
    if run.debug and "FORKSERVER_TEST_STOP" in os.environ:
        system.stop_for_debugger()
    hanging.tell_where()
    _write_whole_lines()
    inherited_process.restore_changes()
    inherited_process.thaw()
    if run.seed:
        random.seed(run.seed)
    try:
        code: int = tests.run(run, page)
    except KeyError as error:
        print(f"forkserver: there is no test {error}", file=sys.stderr)
        return 2
    finally:
        measuring.finish()
    page.complete(run.tests)
    return code


def _write_whole_lines() -> None:
    """At once: what a worker that dies has in a buffer is lost."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
