"""The main function of a Python zygote."""

import dataclasses
import sys
from typing import Callable

from forkserver.errors import Error
from forkserver.originals import os
from forkserver.zygote_host import refresh, state
from forkserver.zygote_host.channels import take_channels
from forkserver.zygote_host.nested import NestedZygote
from forkserver.zygote_host.server import (FAILED_EXIT_CODE, Exit,
                                           run_zygote)
from forkserver.zygote_host.settings import Settings
from forkserver.zygote_host.spare import Spare, live_as_spare
from forkserver.zygote_host.worker import Worker, run_worker


def main(settings: Settings) -> int:
    """Serves until the zygote ends; returns its exit code. In a worker it
    does not return."""
    try:
        channels = take_channels()
    except Error as error:
        print(f"forkserver: zygote: {error}", file=sys.stderr)
        return FAILED_EXIT_CODE
    nested = False
    while True:
        outcome = run_zygote(channels, settings)
        if isinstance(outcome, Spare):
            # From here, so that what is left of the zygote's loop has been
            # destroyed before there is a request.
            run_worker(live_as_spare(outcome))
        if isinstance(outcome, Worker):
            run_worker(outcome)
        if isinstance(outcome, NestedZygote):
            # From the same frame of the stack, so that a zygote of a zygote
            # of a zygote is no deeper than the first.
            nested = True
            state.at_end.clear()
            channels = outcome.channels
            settings = _inherit(settings, outcome.settings)
            continue
        assert isinstance(outcome, Exit)
        for function in [refresh.resume_event_loops, *state.at_end]:
            _run_guarded(function)
        if nested:
            # What would be destroyed now is the parent's.
            _leave_nested(outcome.code)
        return outcome.code


def _inherit(parent: Settings, own: Settings) -> Settings:
    return dataclasses.replace(
        own, main=own.main or parent.main,
        after_fork=[*parent.after_fork, *own.after_fork],
        known_threads=[*own.known_threads, *parent.known_threads])


def _run_guarded(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:  # pylint: disable=broad-except
        sys.excepthook(type(error), error, error.__traceback__)


def _leave_nested(code: int) -> None:
    import atexit  # pylint: disable=import-outside-toplevel
    atexit._run_exitfuncs()  # pylint: disable=protected-access
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
