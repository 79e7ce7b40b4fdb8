"""sys.stdin, sys.stdout and sys.stderr of a worker.

The zygote's own were made for other descriptors: whether a stream is a
terminal decides how it is buffered. Encoding and error handler depend on the
locale and on PYTHON* variables, which are the zygote's: they carry over.
"""

import io
import sys
from typing import Any, List, Sequence


def flush_streams() -> None:
    """What is in buffers would be printed by every worker."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            pass  # closed, or None


def is_unbuffered() -> bool:
    """Whether the interpreter runs with -u, of which sys.flags has nothing."""
    return isinstance(getattr(sys.__stdout__, "buffer", None), io.RawIOBase)


class StreamSettings:
    """Taken in the zygote, applied in its children."""

    def __init__(self) -> None:
        self._read = _settings(sys.__stdin__, "strict")
        self._write = _settings(sys.__stdout__, "strict")
        self._error = _settings(sys.__stderr__, "backslashreplace")
        self._unbuffered = is_unbuffered()

        # Streams that this process has opened on /dev/null.
        self._null: List[int] = []

    def reopen(self, null_streams: Sequence[int]) -> None:
        """Streams on descriptors 0, 1 and 2, as a fresh interpreter has them.
        They are the objects that they were, which modules may have kept.
        `null_streams`: those that are /dev/null; a spare has streams for
        them."""
        present = [each for each in self._null if each in null_streams]
        self._null = list(null_streams)
        if 0 not in present:
            sys.stdin = sys.__stdin__ = _open_reader(  # type: ignore[misc]
                sys.__stdin__, *self._read)
        if 1 not in present:
            sys.stdout = sys.__stdout__ = _open_writer(  # type: ignore[misc]
                sys.__stdout__, 1, "<stdout>", self._unbuffered, False,
                *self._write)
        if 2 not in present:
            sys.stderr = sys.__stderr__ = _open_writer(  # type: ignore[misc]
                sys.__stderr__, 2, "<stderr>", self._unbuffered,
                sys.version_info >= (3, 9), *self._error)


def _settings(stream: Any, errors: str) -> Any:
    if stream is None:
        return "utf-8", errors
    return stream.encoding, stream.errors


def _open_reader(stream: Any, encoding: str, errors: str
                ) -> io.TextIOWrapper:
    raw = io.FileIO(0, "rb", closefd=False)
    raw.name = "<stdin>"
    return _wrap(stream, "r", io.BufferedReader(raw), encoding, errors, "\n",
                 raw.isatty())


def _open_writer(stream: Any, fd: int, name: str, unbuffered: bool,
                 always_by_line: bool, encoding: str, errors: str
                ) -> io.TextIOWrapper:
    raw: Any = io.FileIO(fd, "wb", closefd=False)
    raw.name = name
    by_line = not unbuffered and (always_by_line or raw.isatty())
    buffer = raw if unbuffered else io.BufferedWriter(raw)
    return _wrap(stream, "w", buffer, encoding, errors, "\n", by_line,
                 unbuffered)


def _wrap(stream: Any, mode: str, *options: Any) -> io.TextIOWrapper:
    """`stream`, made anew; another one if it is None or of somebody's class."""
    if type(stream) is io.TextIOWrapper:
        stream.__init__(*options)  # type: ignore[misc]
    else:
        stream = io.TextIOWrapper(*options)
    stream.mode = mode  # type: ignore[misc]
    return stream
