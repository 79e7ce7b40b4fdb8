"""Django's parallel tests on clean workers.

    ./manage.py test --parallel 4 \\
        --testrunner forkserver.django.ForkserverDiscoverRunner

or, for good, in the settings:

    TEST_RUNNER = "forkserver.django.ForkserverDiscoverRunner"

The workers are forked from a zygote that has loaded the project, not from the
process that runs the command: whatever threads and frameworks that one has
started, its workers have not. All options of `manage.py test` work; --pdb needs
--parallel 1. Without --parallel, and where there is one test case only,
forkserverd is not used at all.

A worker that dies is an error of the test that it ran; a new one takes its
number and its database, and the run goes on. docs/python.md has the rest.
"""

from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from forkserver.django.runner import ForkserverDiscoverRunner
    from forkserver.django.suite import ForkserverParallelTestSuite

__all__ = ["ForkserverDiscoverRunner", "ForkserverParallelTestSuite"]

_PLACES = {
    "ForkserverDiscoverRunner": "runner",
    "ForkserverParallelTestSuite": "suite",
}


def __getattr__(name: str) -> Any:
    # Loaded at their first use: a worker does not need them.
    import importlib
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module("." + place, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_PLACES})
