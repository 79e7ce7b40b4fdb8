"""SIGINT in a worker: KeyboardInterrupt in tests, and nowhere else.

The main process sends it to workers that are not needed any more, which may be
anywhere between their fork and their end.
"""

from contextlib import contextmanager
from typing import Any, Iterator

from forkserver.originals import signal


class _Interrupts:

    def __init__(self) -> None:
        self.came = False
        self._handler: Any = signal.default_int_handler

    def hold_back(self) -> None:
        """In the zygote, whose workers begin like that."""
        handler = signal.signal(signal.SIGINT, self._note)
        if handler is not None and handler != self._note:
            self._handler = handler

    def _note(self, _number: int, _frame: Any) -> None:
        self.came = True

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Around a test, which may change the handler."""
        signal.signal(signal.SIGINT, self._handler)
        try:
            if self.came:
                raise KeyboardInterrupt
            yield
        finally:
            signal.signal(signal.SIGINT, self._note)


interrupts = _Interrupts()
