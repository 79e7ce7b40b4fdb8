"""How far a worker has come with its tests."""

from typing import Any, List, Optional

from forkserver.event_pipe import End
from forkserver.unittest.worker import Description


class Progress:
    """Of one worker, from its events."""

    def __init__(self, name: str, first: int) -> None:
        self.first = first
        self.next = first  # the first test that it has not come to
        self.running: Optional[Description] = None
        self.done = False
        self._name = name

    def note(self, event: Any) -> None:
        method, index, *rest = event
        if method == "done":
            self.done = True
        elif method == "startTest":
            self.running = rest[0]
        elif method == "stopTest":
            self.running = None
        if index is not None:
            self.next = max(self.next, index + 1)

    def death(self, end: End) -> List[Any]:
        """The events that the worker would have sent, had it been able to."""
        how = end.describe()
        report = "\n" + end.crash_report if end.crash_report else ""
        if self.running is None:
            holder = f"worker ({self._name})"
            text = (f"forkserver: the worker {how} before, between or after "
                    f"its tests\n{report}")
            return [("addError", None, (holder, holder, None), text)]
        test, self.running = self.running, None
        text = f"forkserver: the worker {how} while it ran this test\n{report}"
        return [("addError", None, test, text), ("stopTest", None, test)]
