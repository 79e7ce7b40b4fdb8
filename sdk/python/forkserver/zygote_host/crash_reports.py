"""What a worker leaves when it crashes: its Python traceback and, where the
library of forkserverd is found, its native stack.

A slot for each live worker. The traceback is faulthandler's, written to a file
in memory that the zygote shares with its workers; native frames are written to
memory that libforkserver_crash shares. Both are read when a worker was ended
by a signal, and cost next to nothing until then. Linux only: elsewhere nothing
is reported.
"""

import ctypes
import faulthandler
import sys
from typing import Any, Iterator, List, Optional, Tuple

from forkserver.originals import fcntl, os
from forkserver.zygote_host.channels import move_up

_SLOTS = 1024  # more live workers than these are not looked after
_NONE = -1
_FILE_BYTES = 65536  # for one traceback; the file has holes
_REPORT_BYTES = 4096
_MOST_BYTES = 8192  # that the daemon keeps
_LIBRARY = "libforkserver_crash.so"
# Beside forkserverd, as installed and as built.
_FOLDERS = ("../lib", ".", "../sdk/process")
_ADD_SEALS, _SEAL_SIZE = 1033, 1 | 2 | 4

_loaded: Any = None  # the library; False: there is none
# True while faulthandler writes here, and not where somebody else wants it.
writes_here = False
# Where a worker's traceback goes, in the worker; for others that write one.
file_of_worker: Optional[int] = None


def somebody_enabled_faulthandler() -> None:
    global writes_here  # pylint: disable=global-statement
    writes_here = False


class CrashReports:
    """Of one zygote, once it is ready. Without `wanted` it does nothing."""

    def __init__(self, wanted: bool) -> None:
        self._free: List[int] = []
        self._file: Optional[int] = None
        self._library: Any = None
        # To the file of the zygote that this one was forked from.
        inherited = writes_here
        if wanted and sys.platform.startswith("linux"):
            self._free = list(range(_SLOTS - 1, -1, -1))
            if inherited or not faulthandler.is_enabled():
                self._file = _open_file()
        if self._file is not None:
            # Not by disable() before: that would take the library's handler
            # out too, which stands in front of this one.
            _enable(self._file)
        elif inherited:
            faulthandler.disable()
            somebody_enabled_faulthandler()
        if not self._free:
            return
        self._library = _load()
        if self._library and self._library.forkserver_crash_start(_SLOTS) != 0:
            self._library = None

    def take(self) -> int:
        """The slot of the child that is forked next."""
        if not self._free:
            return _NONE
        slot = self._free.pop()
        if self._library:
            self._library.forkserver_crash_choose(slot)
        return slot

    def forget_child(self) -> None:
        """After the fork, in the zygote."""
        if self._library:
            self._library.forkserver_crash_choose(_NONE)

    @property
    def fds(self) -> List[int]:
        """What open_in_child() needs."""
        return [] if self._file is None else [self._file]

    def open_in_child(self, slot: int) -> List[int]:
        """In the child: a descriptor to keep, if any."""
        if self._file is None or slot == _NONE:
            return []
        try:
            # A description of its own: those of others have other offsets.
            fd = os.open(f"/proc/self/fd/{self._file}",
                         os.O_WRONLY | os.O_CLOEXEC)
            os.lseek(fd, slot * _FILE_BYTES, os.SEEK_SET)
            # Where nothing else will be that is opened when it was closed.
            return [move_up(fd)]
        except OSError:
            return []

    def become_child(self, fds: List[int]) -> None:
        """In the child, with what open_in_child() returned, perhaps moved."""
        global file_of_worker  # pylint: disable=global-statement
        if fds:
            _enable(fds[0])
            file_of_worker = fds[0]

    def collect(self, slot: int) -> Iterator[Tuple[str, bytes]]:
        """What the worker left that had the slot: (part, text)."""
        if slot == _NONE:
            return
        if self._library:
            buffer = ctypes.create_string_buffer(_REPORT_BYTES)
            size = self._library.forkserver_crash_take(slot, buffer,
                                                       _REPORT_BYTES)
            yield "report", buffer.raw[:size]
        if self._file is not None:
            yield "traceback", self._take_text(slot)[:_MOST_BYTES]

    def give(self, slot: int) -> None:
        if slot == _NONE:
            return
        # A child of the worker may have written, and nobody asked for it.
        if self._file is not None and os.pread(
                self._file, 1, slot * _FILE_BYTES).strip(b"\0"):
            self._take_text(slot)
        self._free.append(slot)

    def _take_text(self, slot: int) -> bytes:
        assert self._file is not None
        offset = slot * _FILE_BYTES
        text = os.pread(self._file, _FILE_BYTES, offset).rstrip(b"\0")
        if text:
            os.pwrite(self._file, bytes(len(text)), offset)
        return text


def _enable(fd: int) -> None:
    global writes_here  # pylint: disable=global-statement
    faulthandler.enable(fd)
    writes_here = True


def _open_file() -> Optional[int]:
    try:
        fd = os.memfd_create("forkserver tracebacks",
                             os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, _SLOTS * _FILE_BYTES)
        # No worker can make it larger or smaller.
        fcntl.fcntl(fd, _ADD_SEALS, _SEAL_SIZE)
        return move_up(fd)
    except (AttributeError, OSError):
        return None


def _load() -> Any:
    """The library of the daemon that started this zygote."""
    global _loaded  # pylint: disable=global-statement
    if _loaded is None:
        _loaded = False
        for path in _candidates():
            if not os.path.isfile(path):
                continue
            try:
                library = ctypes.CDLL(path)
                library.forkserver_crash_take.restype = ctypes.c_size_t
                library.forkserver_crash_take.argtypes = [
                    ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
                _loaded = library
                break
            except (OSError, AttributeError):
                continue
    return _loaded


def _candidates() -> Iterator[str]:
    folders = [os.environ.get("FORKSERVER_BIN", "")]
    try:
        folders.append(
            os.path.dirname(os.readlink(f"/proc/{os.getppid()}/exe")))
    except OSError:
        pass
    for folder in folders:
        if os.path.isabs(folder):
            for beside in _FOLDERS:
                yield os.path.join(folder, beside, _LIBRARY)
