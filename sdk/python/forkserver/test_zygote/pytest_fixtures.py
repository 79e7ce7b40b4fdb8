"""Fixtures of sessions and files, set up in zygotes of their own between the
one that has collected and the workers. What is set up there is torn down there,
when the zygote ends.

    zygote of the target    configuration, collection
    └─ of the session       session fixtures of the tests that are to run
       └─ of a file         its package and module fixtures

The request of such a zygote is the descriptor event_pipe.REQUEST_FD, a TestRun
in bytes: `tests` are those that are to run, `arguments` the fixtures that are
left to the workers. What comes of it is on a report page, `report_fd`:

    event "unsafe"    `test` is the key of a fixture that no worker could use;
                      the zygote fails, another one is to leave it out
    event "teardown"  something was raised when fixtures were torn down
    event "torn_down" that is over
"""

import functools
from typing import Any, List

import pytest

from forkserver import event_pipe, inherited_process
from forkserver.protocol.messages import (TestFailure, TestPlan, TestProgress,
                                          TestRun)
from forkserver.pytest_session import session
from forkserver.pytest_session.fixtures import Unsafe
from forkserver.pytest_session.units import file_of, has_module_fixture
from forkserver.test_zygote import entries, measuring
from forkserver.test_zygote.report_page import ReportPage
from forkserver.zygote_host import state


def plan(items: List[Any]) -> TestPlan:
    """Which zygotes the items need."""
    files = [file_of(item) for item in items]
    warm = {file for item, file in zip(items, files)
            if has_module_fixture(item)}
    return TestPlan(any(_has_session_fixture(item) for item in items),
                    sorted(file for file in warm if files.count(file) > 1))


def set_up_session() -> None:
    """The preload step of the session's zygote."""
    _set_up(["session"], of_file=False)


def set_up_file() -> None:
    """The preload step of a file's; it is forked from the session's, or from
    that of the target if there is none."""
    _set_up(["package", "module"], of_file=True)


def _set_up(scopes: List[str], of_file: bool) -> None:
    with open(event_pipe.REQUEST_FD, "rb") as file:
        request = TestRun.decode(file.read())
    page = ReportPage(int(request.report_fd))
    inherited_process.begin()
    inherited_process.restore_changes()
    warm: Any = entries.tests.warm
    session.resume(warm)
    session.capture_again(warm)
    items = [entries.tests.items[name] for name in request.tests
             if name in entries.tests.items]
    node = items[0].getparent(pytest.File) if of_file else warm.session
    unsafe = session.set_up(warm, node, items, scopes,
                            [*warm.excluded, *request.arguments], [])
    session.suspend(warm, items)
    if unsafe:
        _tell_unsafe(page, unsafe)
        _tear_down(warm, page)
        raise RuntimeError("; ".join(each.text for each in unsafe))
    state.at_end.append(functools.partial(_tear_down, warm, page))
    inherited_process.remember()


def _tell_unsafe(page: ReportPage, unsafe: List[Unsafe]) -> None:
    for each in unsafe:
        page.note(TestProgress("unsafe", each.key,
                               failures=[TestFailure(each.text)]))


def _tear_down(warm: Any, page: ReportPage) -> None:
    report = session.tear_down(warm)
    if report is not None:
        parts = [report.longreprtext]
        for title, content in report.sections:
            parts += [f"----- {title} -----", content]
        page.note(TestProgress("teardown",
                               failures=[TestFailure("\n".join(parts))]))
    page.note(TestProgress("torn_down"))
    measuring.finish()


def _has_session_fixture(item: Any) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    return info is not None and any(
        fixtures and fixtures[-1].scope == "session"
        for fixtures in info.name2fixturedefs.values())
