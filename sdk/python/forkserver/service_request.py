"""From the arguments of a call about a service to its request."""

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence

from forkserver.durations import milliseconds
from forkserver.errors import BadRequest
from forkserver.launch_request import (SETUP, Options, SetupOptions,
                                       boolean, signal_number)
from forkserver.process_setup import StrOrPath, program, texts
from forkserver.protocol.messages import (ServicePolicy, ServiceRestart,
                                          ServiceStart, ServiceStop)
from forkserver.protocol.text import to_text


class PolicyOptions(SetupOptions, total=False):
    """What Client.start_service() documents, for those who check types."""
    restart: str
    backoff_initial: float
    backoff_factor: int
    backoff_max: float
    backoff_jitter_percent: int
    reset_after: float
    start_limit: int
    success_exit_codes: Sequence[int]
    after: Sequence[str]
    ready: str
    ready_fd: int
    ready_line: str
    ready_command: Sequence[StrOrPath]
    ready_timeout: Optional[float]
    watchdog: Optional[float]
    stop_signal: int
    grace: float
    timeout: Optional[float]
    log_max_bytes: int
    log_files: int
    log_drop: bool
    pty: bool
    detach: bool
    memory_max_bytes: int
    tasks_max: int
    cpu_max_percent: int


class ServiceOptions(PolicyOptions, total=False):
    zygote: Optional[str]
    entry: Optional[str]
    args: bytes
    policy: Optional[ServicePolicy]
    replace: bool
    wait: bool


def _time(seconds: Any, what: str) -> int:
    return milliseconds(seconds, what)


def _limit(seconds: Any, what: str) -> int:
    """None is 0 on the wire: for ever."""
    if seconds is None:
        return 0
    limit = milliseconds(seconds, what)
    if limit == 0:
        raise BadRequest(f"{what} must be more than 0 s",
                         hint="None is for ever")
    return limit


def _codes(values: Any, what: str) -> List[int]:
    if isinstance(values, (list, tuple, set, frozenset)) and all(
            isinstance(each, int) for each in values):
        return sorted(values)
    raise BadRequest(f"{what} must be a list of exit codes, not {values!r}")


def _as_it_is(value: Any, _what: str) -> Any:
    """The message checks it."""
    return value


# Keyword: the key of the policy, and what makes its value.
_POLICY: Dict[str, Any] = {
    "restart": ("restart", to_text),
    "backoff_initial": ("backoff_initial_ms", _time),
    "backoff_factor": ("backoff_factor", _as_it_is),
    "backoff_max": ("backoff_max_ms", _time),
    "backoff_jitter_percent": ("backoff_jitter_percent", _as_it_is),
    "reset_after": ("reset_after_ms", _time),
    "start_limit": ("start_limit", _as_it_is),
    "success_exit_codes": ("success_exit_codes", _codes),
    "after": ("after", texts),
    "ready": ("ready", to_text),
    "ready_fd": ("ready_fd", _as_it_is),
    "ready_line": ("ready_line", to_text),
    "ready_command": ("ready_command", texts),
    "ready_timeout": ("ready_timeout_ms", _limit),
    "watchdog": ("watchdog_ms", _limit),
    "stop_signal": ("stop_signal", signal_number),
    "grace": ("grace_ms", _time),
    "timeout": ("timeout_ms", _limit),
    "log_max_bytes": ("log_max_bytes", _as_it_is),
    "log_files": ("log_files", _as_it_is),
    "log_drop": ("log_drop", boolean),
    "pty": ("pty", boolean),
    "detach": ("detach", boolean),
    "memory_max_bytes": ("memory_max_bytes", _as_it_is),
    "tasks_max": ("tasks_max", _as_it_is),
    "cpu_max_percent": ("cpu_max_percent", _as_it_is),
}
_SERVICE = {**SETUP, "zygote": None, "entry": None, "args": b"",
            "policy": None, "replace": False, "wait": True,
            **dict.fromkeys(_POLICY)}


def service_policy(given: Mapping[str, Any]) -> ServicePolicy:
    """The one that is given, or the default one, with the keywords that are
    given."""
    policy = given.get("policy")
    if policy is not None and not isinstance(policy, ServicePolicy):
        raise BadRequest("policy must be a ServicePolicy, not "
                         f"{type(policy).__name__}")
    changes = {}
    for keyword, value in given.items():
        if keyword in _POLICY:
            key, make = _POLICY[keyword]
            changes[key] = make(value, keyword)
    return dataclasses.replace(policy or ServicePolicy(), **changes)


def prepare_service(name: Any, argv: Any,
                    given: Mapping[str, Any]) -> ServiceStart:
    """Raises BadRequest."""
    options = Options("start_service", _SERVICE, given)
    body = ServiceStart(name=_name(name),
                        no_wait=not boolean(options.wait, "wait"))
    if argv is None and options.zygote is None:
        further = [each for each in given if each != "wait"]
        if further:
            raise BadRequest(
                "start_service() without argv and zygote starts a service as "
                "it is known, and takes no " + ", ".join(further),
                hint="give its argv, or its zygote and entry")
        return body
    if options.zygote is None:
        if options.entry is not None or options.args:
            raise BadRequest("entry and args are for a service of a zygote",
                             hint="give its zygote, or its argv alone")
        setup = options.setup(program(argv))
    else:
        if options.entry is None:
            raise BadRequest("a service of a zygote needs an entry")
        setup = options.setup(texts(() if argv is None else argv, "argv"))
        body.zygote = to_text(options.zygote, "zygote")
        setup.entry = to_text(options.entry, "entry")
        setup.args = options.bytes_of_args()
    body.setup = setup.encode()
    body.policy = service_policy(given)
    body.replace = boolean(options.replace, "replace")
    return body


def prepare_service_stop(name: Any, grace: Optional[float],
                         remove: bool) -> ServiceStop:
    return ServiceStop(
        name=_name(name),
        grace_ms=None if grace is None else milliseconds(grace, "grace"),
        remove=boolean(remove, "remove"))


def prepare_service_restart(name: Any, wait: bool) -> ServiceRestart:
    return ServiceRestart(name=_name(name),
                          no_wait=not boolean(wait, "wait"))


def _name(name: Any) -> str:
    return to_text(name, "the service's name")
