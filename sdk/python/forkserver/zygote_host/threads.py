"""The threads of this process: how many, who they are, who started them.

A Python thread is named by threading; the module that started it is the one
that called start(), which is watched while preload steps run. A native thread
has the name that the kernel knows, often the program's own: the library that
started it is found on its stack, where glibc keeps the function it began with.
"""

import bisect
import ctypes
import struct
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple

from forkserver.originals import os, time
from forkserver.zygote_host import system
from forkserver.zygote_host.thread_table import Thread

_TASKS = "/proc/self/task"
_SETTLE_ATTEMPTS = 50
_SETTLE_SECONDS = 0.0002
_SPIN_ATTEMPTS = 250
_SPIN_SECONDS = 0.001
_MAX_STACK_BYTES = 1 << 20
# What is on every thread's stack, and starts none by itself.
_RUNTIME = ("libc.so", "libc-", "libpthread", "ld-linux", "ld-musl",
            "libstdc++", "libgcc_s", "[vdso]")
_DARWIN_TASKINFO_BYTES, _DARWIN_THREADNUM_AT, _PROC_PIDTASKINFO = 96, 84, 4


def count_threads() -> int:
    """-1: cannot be counted."""
    if not system.LINUX:
        return _count_darwin()
    try:
        # Two links of the folder are "." and "..".
        return os.stat(_TASKS).st_nlink - 2
    except OSError:
        return -1


def count_settled_threads() -> int:
    """The same; waits up to 10 ms for threads that have been joined."""
    threads = count_threads()
    for _ in range(_SETTLE_ATTEMPTS):
        if threads <= 1:
            break
        time.sleep(_SETTLE_SECONDS)
        threads = count_threads()
    return threads


def _count_darwin() -> int:
    info = ctypes.create_string_buffer(_DARWIN_TASKINFO_BYTES)
    libc = system._LIBC  # pylint: disable=protected-access
    size = libc.proc_pidinfo(os.getpid(), _PROC_PIDTASKINFO,
                             ctypes.c_uint64(0), info, _DARWIN_TASKINFO_BYTES)
    if size != _DARWIN_TASKINFO_BYTES:
        return -1
    return int(struct.unpack_from("i", info.raw, _DARWIN_THREADNUM_AT)[0])


def thread_ids() -> List[int]:
    """Without the main thread's; empty where they cannot be listed."""
    main = os.getpid()
    try:
        return sorted(int(name) for name in os.listdir(_TASKS)
                      if int(name) != main)
    except OSError:
        return [each.native_id or 0 for each in threading.enumerate()
                if each.native_id not in (None, threading.get_native_id())]


def list_threads(starters: Dict[int, str]) -> List[Thread]:
    """Every thread but this one. `starters`: of StartWatch."""
    python_threads = {each.native_id: each for each in threading.enumerate()}
    frames = _outermost_modules()
    mappings: Optional[_Mappings] = None
    found = []
    for thread_id in thread_ids():
        known = python_threads.get(thread_id)
        if known is not None:
            module = starters.get(id(known)) or _module_of(known)
            found.append(Thread(thread_id, known.name, module))
            continue
        if mappings is None:
            mappings = _Mappings()
        name = _read(f"{_TASKS}/{thread_id}/comm").decode(errors="replace")
        library = mappings.starter_of(thread_id)
        module = ""
        if library and _is_python(library) and frames:
            module = ", ".join(sorted(frames))
        found.append(Thread(thread_id, name.strip(), module, library))
    return found


def mapped_libraries() -> List[str]:
    return sorted({path for _, _, path in _executable_mappings()})


class StartWatch:
    """While it is entered: which module calls Thread.start()."""

    def __init__(self) -> None:
        self.starters: Dict[int, str] = {}
        self._start: Any = None

    def __enter__(self) -> "StartWatch":
        start = self._start = threading.Thread.start
        starters = self.starters

        def watched(thread: threading.Thread) -> None:
            starters[id(thread)] = _calling_module()
            start(thread)

        threading.Thread.start = watched  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        threading.Thread.start = self._start  # type: ignore[method-assign]


def _calling_module() -> str:
    """The first module outside of the library's own thread makers."""
    frame = sys._getframe(2)  # pylint: disable=protected-access
    own = ("threading", "concurrent.futures", "multiprocessing", "asyncio")
    name = first = str(frame.f_globals.get("__name__", "?"))
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "?"))
        if not name.startswith(own):
            return name
        frame = frame.f_back  # type: ignore[assignment]
    return first


def _module_of(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None)
    return str(getattr(target, "__module__", None) or type(thread).__module__)


def _outermost_modules() -> List[str]:
    """Where threads run that _thread.start_new_thread started."""
    known = {each.ident for each in threading.enumerate()}
    modules = []
    # pylint: disable=protected-access
    for ident, frame in sys._current_frames().items():
        if ident in known:
            continue
        while frame.f_back is not None:
            frame = frame.f_back
        modules.append(str(frame.f_globals.get("__name__", "?")))
    return modules


def _is_python(library: str) -> bool:
    name = os.path.basename(library)
    return name.startswith(("python", "libpython"))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _executable_mappings() -> List[Tuple[int, int, str]]:
    return [(first, end, path) for first, end, path, executable
            in _parse_maps() if executable and path]


def _parse_maps() -> List[Tuple[int, int, str, bool]]:
    mappings = []
    for line in _read("/proc/self/maps").decode(errors="replace").splitlines():
        fields = line.split(None, 5)
        first, end = (int(part, 16) for part in fields[0].split("-"))
        path = fields[5] if len(fields) > 5 else ""
        mappings.append((first, end, path, "x" in fields[1]))
    return mappings


class _Mappings:
    """What is mapped where, to read the stacks of other threads."""

    def __init__(self) -> None:
        self._all = _parse_maps()
        self._firsts = [each[0] for each in self._all]

    def starter_of(self, thread_id: int) -> str:
        """The library whose function the thread began with, or ""."""
        stack = self._stack_of(thread_id)
        libraries = []
        for (word,) in struct.iter_unpack("N", stack):
            found = self._at(word)
            if found and found[3] and found[2] and not os.path.basename(
                    found[2]).startswith(_RUNTIME):
                libraries.append(found[2])
        # The stack grows downwards: the last is where it began.
        return libraries[-1] if libraries else ""

    def _at(self, address: int) -> Optional[Tuple[int, int, str, bool]]:
        index = bisect.bisect_right(self._firsts, address) - 1
        if index >= 0 and address < self._all[index][1]:
            return self._all[index]
        return None

    @staticmethod
    def _where_it_waits(thread_id: int) -> List[bytes]:
        """The fields of its system call. One that runs has none: idle threads
        of OpenBLAS spin for some 30 ms before they sleep."""
        for _ in range(_SPIN_ATTEMPTS):
            fields = _read(f"{_TASKS}/{thread_id}/syscall").split()
            if fields != [b"running"]:
                return fields
            time.sleep(_SPIN_SECONDS)
        return []

    def _stack_of(self, thread_id: int) -> bytes:
        """From its stack pointer to its end, whole words."""
        fields = self._where_it_waits(thread_id)
        if len(fields) < 3:
            return b""
        pointer = int(fields[-2], 16)
        mapping = self._at(pointer)
        if mapping is None:
            return b""
        size = min(mapping[1] - pointer, _MAX_STACK_BYTES)
        word = struct.calcsize("N")
        try:
            with open("/proc/self/mem", "rb", buffering=0) as memory:
                memory.seek(mapping[1] - size)
                data = memory.read(size)
        except (OSError, ValueError, OverflowError):
            return b""
        return data[len(data) % word:]
