"""What a preload step must not do to the zygote, caught at the os module.

os._exit() would end it without a word, and loops that close "every descriptor
from 3 on" would cut it off from the daemon. C code that does the same is not
caught: the daemon then sees that the zygote ended.
"""

import errno
import os
from typing import Any, Callable, Iterable


class _Builtin:
    """A function that is no method of a class that has it, as those of os are
    none."""

    def __init__(self, function: Callable[..., None], original: Any) -> None:
        self.__name__ = original.__name__
        self.__doc__ = original.__doc__
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self._function(*args, **kwargs)


class OsGuard:
    """While it is entered. What a module took by `from os import close` is a
    plain os.close() afterwards."""

    def __init__(self, own_fds: Iterable[int],
                 on_exit: Callable[[str], None]) -> None:
        """`on_exit` is told what was called, before the process ends."""
        self._own = sorted(own_fds)
        self._on_exit = on_exit
        self._active = False
        self._originals: Any = ()

    def __enter__(self) -> "OsGuard":
        leave, close, close_range = os._exit, os.close, os.closerange
        self._originals = leave, close, close_range
        self._active = True

        def guarded_exit(status: int) -> None:
            if self._active:
                self._on_exit(f"it called os._exit({status})")
            leave(status)

        def guarded_close(fd: int) -> None:
            if self._active and fd in self._own:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            close(fd)

        def guarded_closerange(fd_low: int, fd_high: int, /) -> None:
            for own in self._own if self._active else ():
                if fd_low <= own < fd_high:
                    close_range(fd_low, own)
                    fd_low = own + 1
            close_range(fd_low, fd_high)

        os._exit = _Builtin(guarded_exit, leave)  # type: ignore[assignment]
        os.close = _Builtin(guarded_close, close)
        os.closerange = _Builtin(guarded_closerange, close_range)
        return self

    def __exit__(self, *_: object) -> None:
        self._active = False
        os._exit, os.close, os.closerange = self._originals
