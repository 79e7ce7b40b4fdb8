"""A zygote that is forked from a zygote."""

from typing import List, NamedTuple, NoReturn

from forkserver.errors import BadRequest, Error
from forkserver.originals import os, signal, socket
from forkserver.protocol.framing import FrameWriter
from forkserver.protocol.messages import ForkZygote, Setup
from forkserver.zygote_host import system
from forkserver.zygote_host.channels import Channels, move_up
from forkserver.zygote_host.child_setup import apply_plan, plan_setup
from forkserver.zygote_host.environment import parse_environment
from forkserver.zygote_host.settings import Settings
from forkserver.zygote_host.startup import send_failed
from forkserver.zygote_host.worker import (SETUP_FAILED_EXIT_CODE, ForkParent,
                                           become_process)


class NestedZygote(NamedTuple):
    """What the child goes on with."""
    channels: Channels
    settings: Settings


def become_zygote(parent: ForkParent, request: ForkZygote,
                  fds: List[int]) -> NestedZygote:
    """In the child. Does not return if a step fails: that is told on the new
    zygote's own control socket."""
    if not system.set_parent_death_signal(signal.SIGKILL, parent.pid):
        os._exit(SETUP_FAILED_EXIT_CODE)
    *passed, control_fd, report_fd = fds
    try:
        setup = Setup.decode(request.setup)
        environment = parse_environment(setup.env)
        parent.frozen.check(environment)
        settings = _decode_settings(setup.args)
        plan = plan_setup(setup, passed, request.limits, parent.null_fd)
        parent.signals.restore_in_child()
        control_fd, report_fd = apply_plan(plan, [control_fd, report_fd])
        # Hooks after_fork are for workers.
        become_process(parent, parent.environment.plan(environment), ())
    except Error as error:
        _fail(control_fd, error)
    return NestedZygote(
        Channels(socket.socket(fileno=move_up(control_fd)),
                 move_up(report_fd), environment), settings)


def _decode_settings(args: bytes) -> Settings:
    try:
        return Settings.from_json(args.decode())
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the settings of the zygote: {error}") from None


def _fail(control_fd: int, error: Error) -> NoReturn:
    send_failed(FrameWriter(socket.socket(fileno=control_fd)), error)
    os._exit(SETUP_FAILED_EXIT_CODE)
