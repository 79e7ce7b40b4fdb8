"""The command line: that of unittest, and -j."""

import os
import secrets
import signal
import sys
import unittest
from typing import Any, List, Optional, Tuple

import forkserver
from forkserver import coverage_relay, event_pipe
from forkserver.errors import Error, ZygoteFailed
from forkserver.unittest import loading
from forkserver.unittest.replay import ReplayResult
from forkserver.unittest.suite import WorkerSuite
from forkserver.unittest.worker import Request

# As of unittest's own errors of the command line.
_USAGE_EXIT_CODE = 2


def main(argv: List[str]) -> int:
    """Runs the tests; exits as `python3 -m unittest` does. What keeps it from
    running them is printed: 1 if they cannot be loaded, else 2."""
    program = f"{os.path.basename(sys.executable)} -m forkserver.unittest"
    try:
        _Program(None, argv=[program, *argv[1:]])
    except Error as error:
        print(f"forkserver.unittest: {error}", file=sys.stderr)
        return 1 if isinstance(error, ZygoteFailed) else _USAGE_EXIT_CODE
    except KeyboardInterrupt:
        print("KeyboardInterrupt", file=sys.stderr, flush=True)
        # Whoever started us is to see it, a shell loop say.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


class _Runner(unittest.TextTestRunner):
    resultclass = ReplayResult


class _Program(unittest.TestProgram):
    """Parses as its base does, and loads nothing in this process."""

    # Set by the base class.
    failfast: Any
    buffer: Any
    catchbreak: Any
    warnings: Any
    tb_locals: bool

    def __init__(self, module: None, argv: List[str]) -> None:
        self._client: Optional[forkserver.Client] = None
        try:
            self._jobs, self._preload, rest = _take_own_options(argv)
            super().__init__(module, argv=rest, testRunner=_Runner)
        finally:
            if self._client is not None:
                self._client.close()

    def _getParentArgParser(self) -> Any:
        # For --help: they have been taken out of the arguments.
        parser = super()._getParentArgParser()  # type: ignore[misc]
        parser.add_argument("-j", "--jobs", metavar="N", help="Run N test "
                            "classes at a time (default: one for each core)")
        parser.add_argument("--no-preload", action="store_true",
                            help="Load the tests in each worker, and not in "
                            "the zygote that workers are forked from")
        return parser

    def parseArgs(self, argv: List[str]) -> None:
        self._argv = argv
        super().parseArgs(argv)

    def createTests(self, *_args: Any, **_options: Any) -> None:
        self._client = forkserver.connect(client_name="unittest")
        zygote = self._start_zygote(self._client)
        groups = zygote.call(loading.describe, self._argv)
        request = Request(self._argv, 0, 0, bool(self.failfast),
                          bool(self.buffer), self.tb_locals,
                          bool(self.catchbreak), self.warnings)
        self.test: Any = WorkerSuite(zygote, request, groups, self._jobs)

    def _start_zygote(self, client: Any) -> Any:
        name = f"unittest-{os.getpid()}-{secrets.token_hex(4)}"
        if not self._preload:
            return client.zygote(name, preload=["forkserver.unittest.worker"])
        with event_pipe.request_file(
                (self._argv, coverage_relay.describe())) as file:
            try:
                return client.zygote(
                    name, preload=["forkserver.unittest.worker",
                                   "forkserver.unittest.loading:preload"],
                    fds={1: 1, 2: 2, event_pipe.REQUEST_FD: file})
            except forkserver.ZygoteUnsafe as error:
                error.hint = ("start it in setUpModule or later; or give "
                              "--no-preload, which loads the tests in each "
                              "worker")
                raise


def _take_own_options(argv: List[str]) -> Tuple[int, bool, List[str]]:
    """The number of jobs, whether to preload, and what is unittest's: it only
    knows `discover` as the first argument."""
    jobs: Optional[str] = None
    preload = True
    rest = argv[:1]
    words = iter(argv[1:])
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in ("-j", "--jobs"):
            jobs = next(words, "")
        elif word.startswith("--jobs="):
            jobs = word[len("--jobs="):]
        elif word.startswith("-j"):
            jobs = word[2:]
        elif word == "--no-preload":
            preload = False
        else:
            rest.append(word)
    if jobs is None:
        return _cores(), preload, rest
    if not jobs.isdigit() or int(jobs) < 1:
        print(f"{argv[0]}: -j needs a number of at least 1, not {jobs!r}",
              file=sys.stderr)
        sys.exit(_USAGE_EXIT_CODE)
    return int(jobs), preload, rest


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
