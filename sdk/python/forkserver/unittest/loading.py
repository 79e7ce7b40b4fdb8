"""The tests of a run, in the zygote: loaded as unittest does, then split into
groups that can run apart from each other."""

import sys
import unittest
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from forkserver import (coverage_relay, event_pipe, inherited_descriptors,
                        inherited_process)


class Group(NamedTuple):
    """Tests that follow each other and are of one class."""
    name: str
    tests: List[Any]


# Of this process, or of the zygote that it was forked from.
_groups: Optional[List[Group]] = None


def preload() -> None:
    """The zygote's preload step."""
    argv, coverage = event_pipe.read_request()
    coverage_relay.start(coverage)
    inherited_descriptors.begin()
    groups(argv)
    missing = inherited_descriptors.remember([])
    for number, text in missing.items():
        print(f"forkserver: workers do not have descriptor {number} ({text}), "
              "which a test module has opened: open it in setUpModule",
              file=sys.stderr)
    inherited_process.remember()


def groups(argv: List[str]) -> List[Group]:
    """Those that unittest's command line `argv` selects. Loads them if the
    zygote has not."""
    global _groups  # pylint: disable=global-statement
    if _groups is None:
        sys.argv = list(argv)
        _groups = list(split(_Loading(None, argv=argv, exit=False).test))
    return _groups


def describe(argv: List[str]) -> List[Tuple[str, int]]:
    """The name and the number of tests of each group."""
    return [(group.name, len(group.tests)) for group in groups(argv)]


class _Loading(unittest.TestProgram):
    """What `python3 -m unittest` does before it runs anything."""

    test: Any

    def runTests(self) -> None:
        pass


def split(suite: Any) -> Iterator[Group]:
    """In the order of the suite, which setUpClass depends on."""
    group: Optional[Group] = None
    for test in _leaves(suite):
        name = _name_of(test)
        if group is not None and (group.name != name or _is_suite(test)):
            yield group
            group = None
        if group is None:
            group = Group(name, [])
        group.tests.append(test)
    if group is not None:
        yield group


def _leaves(suite: Any) -> Iterator[Any]:
    # A suite with a run() of its own does something around its tests.
    if _is_suite(suite) and type(suite).run in (
            unittest.TestSuite.run, unittest.BaseTestSuite.run):
        tests: Iterable[Any] = suite
        for test in tests:
            yield from _leaves(test)
    else:
        yield suite


def _is_suite(test: Any) -> bool:
    return isinstance(test, unittest.BaseTestSuite)


def _name_of(test: Any) -> str:
    cls = type(test)
    return f"{cls.__module__}.{cls.__qualname__}"
