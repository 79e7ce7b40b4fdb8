"""What a zygote looks at by itself before each fork: whether anything has
changed since it was found fit to be forked. The audit proper looks from
outside and is the daemon's."""

import ctypes
from typing import Callable, Iterable, List, Tuple

from forkserver.errors import ZygoteUnsafe
from forkserver.originals import os
from forkserver.protocol.messages import LibraryAnswer
from forkserver.zygote_host.threads import (count_settled_threads,
                                            count_threads, list_threads,
                                            mapped_libraries, thread_ids)

_NOLOAD = getattr(os, "RTLD_NOLOAD", 0)
_STEP = "before a fork"
_HINT = ("start threads and use such libraries in the workers (hook "
         "after_fork), not in the zygote")


class SelfAudit:
    """Made when the zygote is ready: what is there then is what the daemon
    judges."""

    def __init__(self, ask: Iterable[str]) -> None:
        """`ask`: the functions by which libraries say that they were used."""
        self.answers: List[LibraryAnswer] = []
        self._threads = set(thread_ids())
        self._unused: List[Tuple[str, Callable[[], bool]]] = []
        for symbol in ask:
            self._ask(symbol)

    def _ask(self, symbol: str) -> None:
        # None: what every library can see. Others may be a module's own.
        for path in (None, *mapped_libraries()):
            try:
                library = ctypes.CDLL(path, _NOLOAD | ctypes.DEFAULT_MODE)
                function = getattr(library, symbol)
            except (OSError, AttributeError):
                continue
            function.restype = ctypes.c_bool
            used = bool(function())
            self.answers.append(LibraryAnswer(symbol, path or "", used))
            if not used:
                self._unused.append((path or symbol, function))
            return

    def check(self) -> None:
        """Raises ZygoteUnsafe. One system call as a rule."""
        if count_threads() != 1:
            self._check_threads()
        for path, used in self._unused:
            if used():
                raise ZygoteUnsafe(
                    f"{path} was used since the zygote was ready", step=_STEP,
                    hint=_HINT)

    def _check_threads(self) -> None:
        if self._threads and self._threads.issuperset(thread_ids()):
            return
        threads = count_settled_threads()
        if threads < 1:
            raise ZygoteUnsafe("the threads of the zygote cannot be counted",
                               step=_STEP, hint="is /proc mounted?")
        added = [each.describe() for each in list_threads({})
                 if each.id not in self._threads]
        if added:
            raise ZygoteUnsafe(
                "the zygote has threads that it had not when it was ready: " +
                "; ".join(added), step=_STEP, hint=_HINT)

