"""Django's DiscoverRunner with workers of forkserverd."""

import argparse
from typing import Any, List, Optional

from django.core.management.base import CommandError
from django.test import runner as django_runner
from django.test.runner import DiscoverRunner

from forkserver.django import worker
from forkserver.django.start_method import fork_pretended
from forkserver.django.suite import ForkserverParallelTestSuite, open_zygotes
from forkserver.django.zygotes import Zygotes
from forkserver.errors import Disabled
from forkserver.zygote_host import state


class ForkserverDiscoverRunner(DiscoverRunner):  # type: ignore[misc]
    """The value of --testrunner or TEST_RUNNER; may be subclassed as
    DiscoverRunner may. Django 3.2 to 5.2.

        class Runner(ForkserverDiscoverRunner):
            preload = False    # workers load the project themselves

    `preload` says whether the project is loaded once, in the zygote, or in
    every worker; --no-preload is the same for one run. `keep_zygote` leaves
    the zygote to the next run, which is faster then; so does --keep-zygote.
    """

    parallel_test_suite = ForkserverParallelTestSuite
    preload = True
    keep_zygote = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Raises CommandError for --pdb with several workers."""
        # Django 3.2 refuses it together with --parallel.
        buffer = kwargs.pop("buffer", False)
        if kwargs.pop("no_preload", False):
            self.preload = False
        if kwargs.pop("keep_zygote", False):
            self.keep_zygote = True
        parallel = kwargs.get("parallel")
        if kwargs.get("pdb") and isinstance(parallel, int) and parallel > 1:
            raise CommandError(
                "--pdb needs the terminal, which workers do not have: use it "
                "with --parallel 1")
        super().__init__(*args, **kwargs)
        self.buffer = buffer
        self._zygotes: Optional[Zygotes] = None
        self._cloned: List[str] = []

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        with fork_pretended():
            super().add_arguments(parser)
            processes = _proposed_processes()
        for action in parser._actions:
            if action.dest == "parallel" and action.const == "auto":
                # Django would ask for the start method later, when it is not
                # pretended.
                convert: Any = action.type
                action.type = lambda value: (
                    processes if value == "auto" else convert(value))
                action.const = processes
        parser.add_argument(
            "--no-preload", action="store_true", dest="no_preload",
            help="Let every test worker load the project by itself.")
        parser.add_argument(
            "--keep-zygote", action="store_true", dest="keep_zygote",
            help="Keep the loaded project for the next run, until its source "
            "files change or it is not used for ten minutes.")

    def run_tests(self, test_labels: Any, *args: Any, **kwargs: Any) -> Any:
        """As DiscoverRunner.run_tests(). Raises ConnectFailed, and other
        forkserver.Error, if there is no forkserverd."""
        if worker.active or state.preloader is not None:
            raise RuntimeError(
                "a worker was asked to run all tests: the main module runs "
                "its commands when it is imported; put them under "
                "`if __name__ == '__main__':`")
        with fork_pretended():
            if self.parallel > 1:
                try:
                    self._zygotes = open_zygotes(
                        self.parallel_test_suite, self.preload,
                        self.keep_zygote)
                    self._zygotes.begin(test_labels or ())
                except Disabled:
                    pass
            try:
                return super().run_tests(test_labels, *args, **kwargs)
            finally:
                if self._zygotes is not None:
                    self._zygotes.close()
                    self._zygotes = None

    def build_suite(self, *args: Any, **kwargs: Any) -> Any:
        suite = super().build_suite(*args, **kwargs)
        zygotes = self._zygotes
        if zygotes is None:
            return suite
        if not isinstance(suite, ForkserverParallelTestSuite):
            # There is not enough to do for two.
            return suite
        suite.forkserver_zygotes = zygotes
        suite.forkserver_buffer = self.buffer
        suite.forkserver_cloned = self._cloned
        suite.forkserver_verbosity = self.verbosity
        zygotes.begin_tests([type(test).__module__
                             for each in suite.subsuites for test in each])
        return suite

    def setup_databases(self, **kwargs: Any) -> Any:
        config = super().setup_databases(**kwargs)
        # In place: the suite has the list.
        self._cloned[:] = [connection.alias
                           for connection, _, destroy in config if destroy]
        return config


def _proposed_processes() -> int:
    """What --parallel without a number means."""
    propose: Any = getattr(django_runner, "get_max_test_processes", None) or \
        getattr(django_runner, "default_test_processes")
    return int(propose())
