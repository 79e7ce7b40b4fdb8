"""What sys.stdout and sys.stderr were while pytest captured in a zygote.

Modules keep them: logging.basicConfig() in a conftest module, `from sys import
stdout`, a default argument. pytest closes them when it stops to capture, as a
zygote has to; in its workers they are to write where prints go.
"""

import io
from typing import Any, Dict, List

_DESCRIPTORS = {"out": 1, "err": 2}


class CapturedStreams:
    """Those of one process, and of the zygotes that it was forked from."""

    def __init__(self) -> None:
        # For ever: one that is destroyed would close what it writes to.
        self._streams: Dict[str, List[Any]] = {"out": [], "err": []}

    def note(self, capturing: Any) -> None:
        """`capturing`: pytest's MultiCapture, before it is stopped."""
        for name, streams in self._streams.items():
            stream = getattr(getattr(capturing, name), "tmpfile", None)
            if stream is not None:
                streams.append(stream)

    def revive(self, capturing: Any) -> None:
        """They write to what is captured now, or to the descriptor if that is
        nothing."""
        for name, streams in self._streams.items():
            current = getattr(getattr(capturing, name), "tmpfile", None)
            for stream in streams:
                buffer = current.buffer if current is not None else io.FileIO(
                    _DESCRIPTORS[name], "wb", closefd=False)
                # As pytest makes its own.
                io.TextIOWrapper.__init__(
                    stream, buffer, encoding=stream.encoding,
                    errors=stream.errors, newline="", write_through=True)
                if hasattr(stream, "_other"):  # --capture=tee-sys
                    stream._other = getattr(current, "_other", io.StringIO())
