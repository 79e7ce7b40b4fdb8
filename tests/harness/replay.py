"""The program that shows a run that never was, for tests of its reports."""

import os
import subprocess

from daemon_fixture import ROOT

REPLAY_RUN = os.path.join(ROOT, "tests/harness/replay_run")

# What the tests of its 60 tests come to.
SUMMARY = ("FAILED  51 passed (1 flaky), 2 failed, 2 crashed, 1 timed out, "
           "1 leaked, 1 could not be run, 2 skipped  of 60 tests")


def environment(**changes):
    """An environment that says nothing of the terminal, with changes."""
    base = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS")}
    base.update(changes)
    return {name: value for name, value in base.items() if value is not None}


def replay(*arguments, **options):
    """Runs it without waiting; CompletedProcess with bytes."""
    options.setdefault("env", environment())
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([REPLAY_RUN, "--speed", "0", *map(str, arguments)],
                          stdin=subprocess.DEVNULL,
                          check=False,
                          **options)
