"""Django's ParallelTestSuite, over workers of forkserverd."""

import pickle
import shutil
import sys
import tempfile
import unittest
from typing import Any, List, Optional

from django.test.runner import ParallelTestSuite

import forkserver
from forkserver.django import channel, databases, inheritance
from forkserver.django.pool import Pool, Task
from forkserver.django.replay import Replay
from forkserver.django.start_method import fork_pretended
from forkserver.django.zygotes import Zygotes
from forkserver.errors import Disabled, Error


class ForkserverParallelTestSuite(ParallelTestSuite):  # type: ignore
    """Only run() differs; attributes of the class that projects replace
    (init_worker, process_setup, run_subsuite, runner_class) mean what they
    mean in Django.

    ForkserverDiscoverRunner gives it what belongs to the whole run; without it
    the suite has zygotes of its own.
    """

    forkserver_zygotes: Optional[Zygotes] = None
    forkserver_buffer: Optional[bool] = None
    # Aliases of databases that have clones.
    forkserver_cloned: List[str] = []
    forkserver_verbosity = 1

    def run(self, result: Any) -> Any:
        """Runs all tests, in workers 1 to `processes`. Blocks.

        Errors of forkserverd are errors of the result; they end the run.
        """
        own = None
        zygotes = self.forkserver_zygotes
        if zygotes is None:
            try:
                zygotes = own = open_zygotes(type(self), True)
            except Disabled:
                return super().run(result)
            own.begin()
        try:
            with fork_pretended():
                self._run(result, zygotes)
        finally:
            if own is not None:
                own.close()
        return result

    def _run(self, result: Any, zygotes: Zygotes) -> None:
        buffer = self.forkserver_buffer
        if buffer is None:
            buffer = bool(getattr(self, "buffer", False))
        tasks: List[Task] = []
        local: List[Any] = []
        for index, suite in enumerate(self.subsuites):
            task = _make_task(index, suite)
            if task is not None:
                tasks.append(task)
            elif _is_failure_to_load(suite):
                # Known already: seen first.
                suite(result)
            else:
                local.append(suite)
        folder = tempfile.mkdtemp(prefix="forkserver-django-")
        try:
            pool = Pool(zygotes,
                        inheritance.describe(self, folder, buffer),
                        self.processes, result, self._renew_databases)
            try:
                if not result.shouldStop:
                    pool.run(tasks)
            except Error as error:
                Replay(result, []).holder_error("forkserver", error)
                result.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if self.forkserver_verbosity >= 2 and zygotes.why_not:
            print(f"forkserver: not preloaded: {zygotes.why_not}",
                  file=sys.stderr, flush=True)
        if pool.left and self.forkserver_verbosity >= 1:
            print(f"forkserver: {len(pool.left)} test classes could not be "
                  "loaded by workers and run in this process: "
                  f"{pool.why_left}", file=sys.stderr, flush=True)
        # What cannot travel runs here, on the first database; as one suite,
        # whose classes and modules are torn down once.
        unittest.TestSuite([*(task.suite for task in pool.left),
                            *local])(result)

    def _renew_databases(self, number: int) -> None:
        databases.clone_again(number, self.forkserver_cloned)


def open_zygotes(suite_class: Any, preloaded: bool,
                 kept: bool = False) -> Zygotes:
    """Connects to forkserverd, and starts it if need be. Raises Disabled,
    ConnectFailed and other forkserver.Error."""
    from forkserver.daemon import is_disabled
    if is_disabled():
        raise Disabled("FORKSERVER_DISABLE is set")
    return Zygotes(forkserver.connect(client_name="django"),
                   preloaded and not inheritance.has_process_setup(suite_class),
                   kept)


def _make_task(index: int, suite: Any) -> Optional[Task]:
    """None: it cannot be sent to a worker."""
    if _is_failure_to_load(suite):
        return None
    try:
        return Task(index, suite, pickle.dumps(suite, channel.PROTOCOL))
    except Exception:  # pickle raises anything
        return None


def _is_failure_to_load(suite: Any) -> bool:
    failed = unittest.loader._FailedTest  # type: ignore[attr-defined]
    return any(isinstance(test, failed) for test in suite)
