"""Seconds of callers: checked, as milliseconds, as deadlines."""

import math
import time
from typing import Any, Optional

from forkserver.errors import BadRequest


def milliseconds(seconds: Any, what: str, least: float = 0.0) -> int:
    """Rounded up, so that what is more than nothing stays so."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise BadRequest(f"{what} must be a number of seconds, not "
                         f"{type(seconds).__name__}")
    if not math.isfinite(seconds):
        raise BadRequest(f"{what} must be finite, not {seconds}",
                         hint="leave it out, or say None, for the default")
    if seconds < least:
        raise BadRequest(f"{what} must be at least {least:g} s, not {seconds}")
    return math.ceil(seconds * 1000)


def deadline_of(timeout: Optional[float]) -> Optional[float]:
    """When a number of seconds is over, as time.monotonic() counts."""
    if timeout is None:
        return None
    return time.monotonic() + milliseconds(timeout, "timeout") / 1000
