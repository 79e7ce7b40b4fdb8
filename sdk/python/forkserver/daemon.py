"""Finding the daemon, and starting one where none serves.

The steps that wait are generators: each `yield` is a number of seconds to
pause, so that the blocking client and the asyncio one share them.
"""

import errno
import os
import signal
import socket
import stat
import struct
import sys
import time
from typing import Any, Generator, List, Optional, Tuple, TypeVar

from forkserver.errors import (BadSocketPath, ConnectFailed,
                               PeerRefused, Timeout, system_error)

T = TypeVar("T")
Steps = Generator[float, None, T]

_PROGRAM = "forkserverd"
_IDLE_EXIT_SECONDS = "600"
_ANOTHER_SERVES = 1
_IN_FOLDER = "forkserver/default.sock"
_MAX_PATH_BYTES = 103 if sys.platform == "darwin" else 107


def is_disabled() -> bool:
    return os.environ.get("FORKSERVER_DISABLE", "") not in ("", "0")


def default_socket_path() -> str:
    """The socket of the daemon of this user session.

    FORKSERVER_SOCKET, $XDG_RUNTIME_DIR/forkserver/default.sock,
    /run/user/UID/forkserver/... if it is ours, the user's temporary folder on
    macOS, /tmp/forkserver-UID/default.sock. Creates nothing.
    """
    path = os.environ.get("FORKSERVER_SOCKET")
    if path:
        return path
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    if folder.startswith("/"):
        return os.path.join(folder, _IN_FOLDER)
    user = os.geteuid()
    folder = f"/run/user/{user}"
    try:
        info = os.stat(folder)
        if stat.S_ISDIR(info.st_mode) and info.st_uid == user:
            return os.path.join(folder, _IN_FOLDER)
    except OSError:
        pass
    try:
        temporary = os.confstr("CS_DARWIN_USER_TEMP_DIR")
    except ValueError:
        temporary = None
    if temporary:
        return os.path.join(temporary, _IN_FOLDER)
    return f"/tmp/forkserver-{user}/default.sock"


def socket_path(path: Any = None) -> str:
    """The socket to connect to. Raises BadSocketPath."""
    try:
        name = os.fsdecode(path or default_socket_path())
    except TypeError:
        raise BadSocketPath("the path of the socket must be a string or a "
                            f"path, not {type(path).__name__}") from None
    size = len(os.fsencode(name))
    if "\0" in name:
        raise BadSocketPath(f"the path of the socket holds a NUL: {name!r}")
    if size > _MAX_PATH_BYTES:
        raise BadSocketPath(
            f"the path of the socket has {size} bytes, the limit is "
            f"{_MAX_PATH_BYTES}: {name}",
            hint="choose a shorter one with FORKSERVER_SOCKET")
    return name


def open_socket(path: str) -> socket.socket:
    """A connected, non-blocking socket to a process of this user."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except OSError as error:
            raise system_error(f"connect({path})", error,
                               "connect_failed") from None
        _check_server(sock, path)
        return sock
    except BaseException:
        sock.close()
        raise


def _check_server(sock: socket.socket, path: str) -> None:
    # A socket file in a folder that others can write to could be anybody's,
    # and the first request carries the whole environment.
    uid = _peer_uid(sock)
    if uid != os.geteuid():
        raise PeerRefused(
            f"the daemon at {path} belongs to user {uid}, not to "
            f"{os.geteuid()}",
            hint="choose another socket with FORKSERVER_SOCKET")


def _peer_uid(sock: socket.socket) -> int:
    try:
        if sys.platform == "darwin":
            # struct xucred: its version, then the uid.
            peer = sock.getsockopt(0, 1, 76)
            return int(struct.unpack_from("=II", peer)[1])
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("=iII", peer)[1])
    except OSError as error:
        raise system_error("getsockopt(SO_PEERCRED)", error) from None


def find_daemon(daemon_program: Optional[str] = None) -> str:
    """The forkserverd to start: the folder FORKSERVER_BIN, then PATH, then
    beside this package's own installation, then ~/.local/bin.

    Raises ConnectFailed.
    """
    if daemon_program is not None:
        if _is_program(daemon_program):
            return daemon_program
        raise ConnectFailed(
            f"the daemon program cannot be executed: {daemon_program}",
            hint="correct daemon_program")
    folders = _program_folders()
    for folder in folders:
        path = os.path.join(folder, _PROGRAM)
        if _is_program(path):
            return path
    raise ConnectFailed(
        "no daemon is running, and no forkserverd was found to start one; "
        "looked in " + (", ".join(folders) or "no folder"),
        hint="put forkserverd in PATH, or its folder in FORKSERVER_BIN")


def find_program(name: str) -> Optional[str]:
    """Another program of forkserverd, in the same folders. None: not there."""
    for folder in _program_folders():
        path = os.path.join(folder, name)
        if _is_program(path):
            return path
    return None


def _program_folders() -> List[str]:
    # An empty part of PATH means the current folder; a daemon is not to be
    # found there by accident.
    folders = [os.environ.get("FORKSERVER_BIN", ""),
               *os.environ.get("PATH", "").split(":")]
    here = os.path.abspath(__file__)
    # PREFIX/lib/python3/dist-packages/forkserver/daemon.py
    for _ in range(5):
        here = os.path.dirname(here)
    folders.append(os.path.join(here, "bin"))
    if os.environ.get("HOME"):
        folders.append(os.path.join(os.environ["HOME"], ".local/bin"))
    return list(dict.fromkeys(filter(None, folders)))


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def connect_steps(path: str, autostart: bool, deadline: float,
                  daemon_program: Optional[str]) -> Steps[socket.socket]:
    """A socket to a daemon, which is started if there is none.

    `deadline` is one of time.monotonic(). Raises Error.
    """
    pause = 0.01
    may_start = True
    while True:
        try:
            return open_socket(path)
        except ConnectFailed as error:
            absent = error.errno in (errno.ENOENT, errno.ECONNREFUSED)
            # EAGAIN: so many wait to be accepted that there is no room.
            if not absent and error.errno != errno.EAGAIN:
                raise
            if absent and not autostart:
                error.hint = ("no daemon serves this socket: start one with "
                              f"`forkserverd --socket {path}`")
                raise
            if time.monotonic() >= deadline:
                raise
        if absent and may_start:
            yield from _start_steps(find_daemon(daemon_program), path,
                                    deadline)
            # Usually it serves now. If not (it was killed, or another one is
            # just stopping), do not start daemons in a busy loop.
            may_start = False
            continue
        yield min(pause, max(deadline - time.monotonic(), 0))
        pause = min(pause * 2, 1.0)
        may_start = True


def _start_steps(program: str, path: str, deadline: float) -> Steps[None]:
    """Starts a daemon and waits until it serves in the background, which is
    when the process that was started has ended."""
    argv = [program, "--socket", path, "--idle-exit", _IDLE_EXIT_SECONDS]
    command = " ".join(argv)
    try:
        pid = _spawn(program, argv)
    except OSError as error:
        raise system_error(f"posix_spawn({command})", error,
                           "connect_failed") from None
    status = 0
    ours = True
    pause = 0.001
    try:
        while ours:
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped == pid:
                ours = False
            elif time.monotonic() >= deadline:
                raise Timeout(f"{command} did not become ready in time",
                              hint=_READ_LOG)
            else:
                yield pause
                pause = min(pause * 2, 0.02)
    except ChildProcessError:
        # A program that ignores SIGCHLD or reaps every child leaves nothing
        # to see; whether a daemon serves shows when connecting.
        ours = False
        status = 0
    finally:
        if ours:
            _kill(pid)
    if os.WIFSIGNALED(status):
        raise ConnectFailed(f"{command} was killed by signal "
                            f"{os.WTERMSIG(status)}", hint=_READ_LOG)
    code = os.WEXITSTATUS(status)
    if code not in (0, _ANOTHER_SERVES):
        raise ConnectFailed(f"{command} ended with exit code {code}",
                            hint=_READ_LOG)


_READ_LOG = "run it in a terminal, or read its log, to see why"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _spawn(program: str, argv: List[str]) -> int:
    # It is not to inherit anything of a caller who may be in any state: no
    # signal blocked or ignored, /dev/null as its streams, no other
    # descriptor, not in the terminal's foreground group.
    actions: List[Tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0)
        for fd in range(3)
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable_fds()]
    return os.posix_spawn(program, argv, os.environ, file_actions=actions,
                          setpgroup=0, setsigmask=[],
                          setsigdef=signal.valid_signals())


def _inheritable_fds() -> List[int]:
    fds = []
    for name in os.listdir("/dev/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                fds.append(int(name))
        except OSError:
            pass
    return fds
