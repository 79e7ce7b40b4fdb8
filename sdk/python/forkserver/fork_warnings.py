"""Unsafe forks of this process, told at the fork: `forkserver.guard()`.

`os.fork`, `os.forkpty` and what is made of them (multiprocessing with "fork",
pty.fork) are looked at; subprocess and posix_spawn are safe ways, and never
reported.
"""

import json
import os
import sys
import threading
import traceback
import warnings
import weakref
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from forkserver.daemon import find_program
from forkserver.errors import BadRequest, ForkUnsafe

_COMMAND = "forkserver"
# Who forks in C, to execute something: subprocess with a preexec_fn, and
# multiprocessing.util (3.8 to 3.13).
_EXECUTING = ("_execute_child", "spawnv_passfds")
# The SDK without a daemon: its child executes something at once.
_OWN_MODULES = ("forkserver.direct",)
_INSTEAD = """What would have been safe:
  subprocess.run(...) for a program; os.posix_spawn()
  multiprocessing with the start method "spawn", or forkserver.multiprocessing
  client.spawn(...), a PythonZygote, or forkserver.isolated for a function"""


class ForkUnsafeWarning(RuntimeWarning):
    """This process has forked, and was not safe to fork."""


class ForkGuard:
    """What `guard()` returns. A context manager; `stop()` ends it as well."""

    def __init__(self, mode: str, command: Optional[str]) -> None:
        self._mode = mode
        self._command = command
        self._told: Set[Any] = set()
        # What this process looked like when the audit last found it safe.
        self._found_safe: Any = None

    def __enter__(self) -> "ForkGuard":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nothing is looked at any more. Twice does no harm."""
        _stop(self)

    def look(self, caller: FrameType, may_raise: bool) -> None:
        """`caller` is about to fork."""
        if caller.f_globals.get("__name__") in _OWN_MODULES:
            return
        # Where it forks, and not with which values: a loop is told once.
        place = tuple((frame.f_code.co_filename, number) for frame, number
                      in traceback.walk_stack(caller))
        raises = may_raise and self._mode == "raise"
        if place in self._told and not raises:
            return
        unsafe, reasons = self._judge()
        if not reasons or (place in self._told and not unsafe):
            return
        self._told.add(place)
        text = _describe(caller, reasons)
        if raises and unsafe:
            raise ForkUnsafe(text, hint="use one of the safe ways, or "
                             "forkserver.guard(\"warn\")")
        warnings.warn_explicit(text, ForkUnsafeWarning,
                               caller.f_code.co_filename, caller.f_lineno)

    def _judge(self) -> Tuple[bool, List[str]]:
        """Whether it is unsafe, and what speaks against it: with `False` that
        is what nobody can tell."""
        threads = [thread for thread in threading.enumerate()
                   if thread is not threading.current_thread()]
        reasons = [_describe_thread(thread) for thread in threads]
        if self._command is None:
            if reasons:
                reasons.append("The command forkserver was not found: only "
                               "Python's own threads were looked at.")
            return bool(reasons), reasons
        looks = _looks()
        if not reasons and looks is not None and looks == self._found_safe:
            return False, []
        audit = _ask_doctor(self._command)
        if audit is None:
            if reasons:
                reasons.append(f"{self._command} doctor could not look at "
                               "this process: only Python's own threads were "
                               "looked at.")
            return bool(reasons), reasons
        # Python knows more of its own threads.
        found = [each for each in audit["reasons"]
                 if not (threads and each["known_as"] == "python")]
        unsafe = bool(threads or audit["reasons"])
        reasons += [_describe_finding(each) for each in found]
        if not unsafe:
            reasons += ["It cannot be known: " + each
                        for each in audit["unreadable"]]
        self._found_safe = None if reasons else looks
        return unsafe, reasons


_active: Optional[ForkGuard] = None
_originals: Dict[Tuple[Any, str], Tuple[Callable[..., Any],
                                        Callable[..., Any]]] = {}
_started_at: "weakref.WeakKeyDictionary[threading.Thread, Any]" = \
    weakref.WeakKeyDictionary()
# In os.fork() of ours, so that the handler below need not look again.
_in_fork = threading.local()
_hook_is_registered = False


def guard(mode: str = "warn", *, command: Optional[str] = None) -> ForkGuard:
    """Tells of each unsafe fork of this process, from now on.

        forkserver.guard()                  # for the whole program
        with forkserver.guard("raise"):     # for a part of it
            ...

    "warn": a `ForkUnsafeWarning`, once for each place that forks. "raise": a
    `ForkUnsafe` instead of the fork, each time. Both name the Python stack
    that forks, each thread with the stack that started it (of threads started
    while a guard is on), and what else the audit found.

    The verdict is that of `forkserver doctor`: `command`, or the program of
    that name in FORKSERVER_BIN, PATH or beside this package. Without one only
    Python's own threads are looked at. It costs some milliseconds at a fork,
    and nothing else.

    A guard replaces the one before. Raises BadRequest.
    """
    if mode not in ("warn", "raise"):
        raise BadRequest(f"the mode of a guard is \"warn\" or \"raise\", not "
                         f"{mode!r}")
    global _active
    new = ForkGuard(mode, command or find_program(_COMMAND))
    if _active is None:
        _install()
    _active = new
    return new


def _stop(one: ForkGuard) -> None:
    global _active
    if _active is not one:
        return
    _active = None
    for (owner, name), (original, ours) in _originals.items():
        # Unless somebody has put something else there meanwhile.
        if getattr(owner, name) is ours:
            setattr(owner, name, original)
    _originals.clear()


def _install() -> None:
    for name in ("fork", "forkpty"):
        if hasattr(os, name):
            _replace(os, name, _guarded_fork(getattr(os, name)))
    _replace(threading.Thread, "start",
             _noting_start(threading.Thread.start))
    global _hook_is_registered
    if not _hook_is_registered:
        _hook_is_registered = True
        os.register_at_fork(before=_before_fork)


def _replace(owner: Any, name: str, ours: Callable[..., Any]) -> None:
    _originals[owner, name] = getattr(owner, name), ours
    setattr(owner, name, ours)


def _guarded_fork(original: Callable[[], Any]) -> Callable[[], Any]:

    def fork() -> Any:
        active = _active
        if active is not None:
            active.look(sys._getframe(1), may_raise=True)
        _in_fork.now = True
        try:
            return original()
        finally:
            _in_fork.now = False

    fork.__name__ = fork.__qualname__ = original.__name__
    fork.__doc__ = original.__doc__
    return fork


def _noting_start(original: Callable[..., Any]) -> Callable[..., Any]:

    def start(self: threading.Thread) -> None:
        if _active is not None:
            # Lines are read when a report needs them.
            _started_at[self] = traceback.StackSummary.extract(
                traceback.walk_stack(sys._getframe(1)), lookup_lines=False)
        original(self)

    return start


def _before_fork() -> None:
    """Of forks that do not come by way of os.fork: `from os import fork` that
    is older than the guard, C code. An exception here would not stop them."""
    active = _active
    if active is None or getattr(_in_fork, "now", False):
        return
    caller = sys._getframe(1)
    if caller is not None and caller.f_code.co_name not in _EXECUTING:
        active.look(caller, may_raise=False)


def _looks() -> Any:
    try:
        return (os.listdir("/proc/self/task"), os.listdir("/proc/self/fd"))
    except OSError:
        return None


def _ask_doctor(command: str) -> Optional[Dict[str, Any]]:
    """What `forkserver doctor` says of this process; None: nothing."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES")}
    read_end, write_end = os.pipe()
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = os.posix_spawn(
                command, [command, "doctor", "--json", str(os.getpid())],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, 0),
                              (os.POSIX_SPAWN_DUP2, write_end, 1),
                              (os.POSIX_SPAWN_DUP2, null, 2)])
        except OSError:
            return None
        finally:
            os.close(null)
        os.close(write_end)
        write_end = -1
        output = b""
        while True:
            part = os.read(read_end, 65536)
            if not part:
                break
            output += part
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # SIGCHLD is ignored, or somebody waits for every child
        audit = json.loads(output.decode("utf-8", "replace"))
        return audit if isinstance(audit, dict) else None
    except ValueError:
        return None
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)


def _indent(lines: List[str]) -> str:
    return "".join("    " + line + "\n" for text in lines
                   for line in text.rstrip("\n").split("\n"))


def _describe_thread(thread: threading.Thread) -> str:
    daemon = "daemon thread" if thread.daemon else "thread"
    text = f"- Python {daemon} {thread.name!r}"
    started_at = _started_at.get(thread)
    if started_at is None:
        return text + " (started before the guard, or not by Thread.start)"
    stack = traceback.StackSummary.from_list(
        [(frame.filename, frame.lineno, frame.name, frame.line)
         for frame in reversed(started_at)])
    return text + ", started at:\n" + _indent(stack.format()).rstrip("\n")


def _describe_finding(finding: Dict[str, str]) -> str:
    text = f"- {finding['what']}"
    if finding["where"]:
        text += f", {finding['where']}"
    text += f"\n    why: {finding['why']}"
    if finding["advice"]:
        text += f"\n    do: {finding['advice']}"
    return text


def _describe(caller: FrameType, reasons: List[str]) -> str:
    stack = traceback.StackSummary.extract(traceback.walk_stack(caller))
    stack.reverse()
    return ("this process is not safe to fork:\n" + "\n".join(reasons) +
            "\nIt forks at:\n" + _indent(stack.format()) + _INSTEAD)
