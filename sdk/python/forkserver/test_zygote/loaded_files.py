"""What the tests were loaded from: modules, files that these and the framework
read meanwhile, folders that they looked through. When something of it has
changed the zygote is stale."""

import os
import sys
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from forkserver.protocol.messages import (LoadedFile, LoadedFolder,
                                          TestFiles)
from forkserver.zygote_host import state
from forkserver.zygote_host.context import WorkerContext

# (modification time in ns, time of change in ns, size, inode)
Stamp = Tuple[int, int, int, int]
_CHANGED_MEANWHILE = (-1, -1, -1, -1)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {"open", "os.listdir", "os.scandir"}
# By so much a file's time may be before the clock's.
_CLOCK_NS = 20_000_000


class LoadedFiles:
    """Of this process, or of the zygote that it was forked from.

    stamps    of files
    folders   what is in those below the working directory and the target: of
              folders and of files with one of `suffixes`, which are those of
              the files that were read; without names that begin with a dot
    """

    def __init__(self) -> None:
        self._opened: Optional[Set[str]] = None
        self._begun_ns = 0
        self._roots: Tuple[str, ...] = ()
        self.stamps: Dict[str, Stamp] = {}
        self.folders: Dict[str, List[str]] = {}
        self.suffixes: List[str] = []
        self._listed: Dict[str, List[Tuple[str, bool]]] = {}

    def begin(self, target: str) -> None:
        """From now on it is noted what is read, until finish()."""
        self._begun_ns = time.time_ns() - _CLOCK_NS
        self._roots = tuple(os.path.join(os.path.abspath(each), "")
                            for each in (os.curdir, target))
        self._opened = set()
        sys.addaudithook(self._audit)

    def finish(self) -> None:
        opened, self._opened = self._opened or set(), None
        assert state.preloader is not None
        sources = state.preloader.sources
        sources.note()
        for path in {*opened, *sources.stamps, *_interpreter()}:
            self._note(path)
        self.suffixes = sorted({".py", *(
            _suffix(path) for path in opened
            if path.startswith(self._roots) and _counts(path))})
        self.folders = {
            folder: sorted(name for name, is_folder in content
                           if is_folder or _suffix(name) in self.suffixes)
            for folder, content in self._listed.items()}

    def _audit(self, event: str, arguments: Tuple[Any, ...]) -> None:
        opened = self._opened
        if opened is None or event not in _EVENTS:
            return
        try:
            path = arguments[0]
            if path is None:
                path = os.curdir
            if isinstance(path, int):
                return
            path = os.path.abspath(os.fsdecode(path))
            if event == "open":
                flags = arguments[2]
                if not (isinstance(flags, int) and flags & _WRITING):
                    opened.add(path)
            elif path not in self._listed and os.path.join(
                    path, "").startswith(self._roots):
                # Before whoever asks sees it: what comes later is new.
                self._listed[path] = []
                self._listed[path] = _content(path)
        except (OSError, ValueError, TypeError):
            pass  # no path, or the working directory is gone

    def _note(self, path: str) -> None:
        if not _counts(path):
            return
        try:
            status = os.stat(path)
        except OSError:
            return
        if not os.path.isfile(path):
            return
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size,
                 status.st_ino)
        # Whether it was loaded before or after that nobody can know.
        self.stamps[path] = (_CHANGED_MEANWHILE
                             if status.st_ctime_ns >= self._begun_ns
                             else stamp)


def _interpreter() -> List[str]:
    return [os.path.abspath(sys.executable), os.path.realpath(sys.executable),
            os.path.join(sys.prefix, "pyvenv.cfg")]


def _content(folder: str) -> List[Tuple[str, bool]]:
    """(name, whether it is a folder)."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir()) for entry in entries
                if not entry.name.startswith(".")
                and entry.name != "__pycache__"]


def _suffix(path: str) -> str:
    """With the dot; empty if there is none."""
    return os.path.splitext(path)[1]


def _counts(path: str) -> bool:
    return not (path.endswith((".pyc", ".pyo"))
                or path.startswith(("/proc/", "/dev/", "/sys/")))


loaded_files = LoadedFiles()


def tell(context: WorkerContext) -> int:
    """The entry "forkserver.test_files"."""
    context.set_result(TestFiles(
        [LoadedFile(path, *stamp)
         for path, stamp in loaded_files.stamps.items()],
        [LoadedFolder(path, names)
         for path, names in loaded_files.folders.items()],
        loaded_files.suffixes).encode())
    return 0
