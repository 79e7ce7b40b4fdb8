"""The descriptors that modules opened in a zygote, for test runners.

A worker has the descriptors of its request and no others. Tests are to find
those that their modules opened when they were loaded:

    file, device    itself; with an offset of its own, unless it is only written
    pipe            a new one, if modules have both ends
    anything else   not there: whoever uses it is told so by an error (EBADF), and
                    its number is nobody else's
"""

import io
import stat
from typing import Any, Dict, Iterable, List, Set, Tuple

from forkserver.originals import fcntl, gc, os
from forkserver.zygote_host import descriptors, system
from forkserver.zygote_host.channels import move_up

_File = Tuple[int, int]  # device and inode

_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR


class _Opened:
    """Descriptors by what becomes of them in workers."""

    def __init__(self) -> None:
        self.copies: Dict[int, int] = {}  # of a standard stream: {number: which}
        self.files: List[int] = []
        self.pipes: Dict[_File, List[Tuple[int, int]]] = {}  # number, flags
        self.missing: List[int] = []


_before: Set[int] = set()
_opened = _Opened()


def begin() -> None:
    """In the zygote, before anything of the user's is loaded."""
    global _before  # pylint: disable=global-statement
    _before = set(descriptors.open_numbers())


def remember(own: Iterable[int]) -> Dict[int, str]:
    """In the zygote, when everything is loaded. `own`: what is not the
    modules'. Returns what workers will not have, in words."""
    global _opened  # pylint: disable=global-statement
    _opened = _sort(set(descriptors.open_numbers()) - _before - set(own))
    descriptors.kept = {*_opened.files}
    if _opened.files:
        _flush_files()
    return {number: text for number, text
            in descriptors.list_descriptors().items()
            if number in _opened.missing}


def restore() -> None:
    """In a worker, or in a zygote that was forked from that one."""
    for number in _opened.files:
        _move_offset_apart(number)
    for number, stream in _opened.copies.items():
        os.dup2(stream, number, inheritable=False)
    for ends in _opened.pipes.values():
        _renew_pipe(ends)
    for number in _opened.missing:
        _plug(number)


def _sort(numbers: Set[int]) -> _Opened:
    opened = _Opened()
    streams = {}
    for number in (2, 1, 0):
        try:
            streams[_identify(number)] = number
        except OSError:
            pass  # closed
    for number in sorted(numbers):
        mode = os.fstat(number).st_mode
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        file = _identify(number)
        if stat.S_ISREG(mode) or stat.S_ISCHR(mode) or stat.S_ISDIR(mode):
            opened.files.append(number)
        elif file in streams:
            opened.copies[number] = streams[file]
        elif stat.S_ISFIFO(mode):
            opened.pipes.setdefault(file, []).append((number, flags))
        else:
            opened.missing.append(number)
    for file, ends in list(opened.pipes.items()):
        if len({_access(flags) for _, flags in ends}) != 2:
            opened.missing += [number for number, _ in opened.pipes.pop(file)]
    return opened


def _identify(number: int) -> _File:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _access(flags: int) -> int:
    return flags & _ACCESS


def _flush_files() -> None:
    """What is in a buffer would be written by every worker."""
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    for each in gc.get_objects():
        # Not by isinstance(), which asks lazy objects what they stand for.
        if issubclass(type(each), kinds):
            try:
                each.flush()
            except (OSError, ValueError):
                pass  # closed, detached, or its pipe is


def _move_offset_apart(number: int) -> None:
    """Two that read from one offset would each get a part. Those that only
    write to it do it one after the other."""
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    if _access(flags) == os.O_WRONLY:
        return
    try:
        offset = os.lseek(number, 0, os.SEEK_CUR)
        again = os.open(_path_of(number), os.O_CLOEXEC | flags & (
            _ACCESS | os.O_APPEND | os.O_NONBLOCK))
    except OSError:
        return  # it has no offset, or may not be opened again
    try:
        os.lseek(again, offset, os.SEEK_SET)
        os.dup2(again, number, os.get_inheritable(number))
    finally:
        os.close(again)


def _path_of(number: int) -> Any:
    if system.LINUX:
        return f"/proc/self/fd/{number}"
    path: bytes = fcntl.fcntl(number, fcntl.F_GETPATH,  # type: ignore
                              bytes(1024))
    return path.rstrip(b"\0")


def _renew_pipe(ends: List[Tuple[int, int]]) -> None:
    # Their own numbers may be those that are needed.
    new = dict(zip((os.O_RDONLY, os.O_WRONLY), map(move_up, os.pipe())))
    for number, flags in ends:
        os.dup2(new[_access(flags)], number, inheritable=False)
        os.set_blocking(number, not flags & os.O_NONBLOCK)
    for number in new.values():
        os.close(number)


def _plug(number: int) -> None:
    """Something that can be neither read nor written."""
    plug = os.open("/", os.O_RDONLY | getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    if plug != number:
        os.dup2(plug, number, inheritable=False)
        os.close(plug)
