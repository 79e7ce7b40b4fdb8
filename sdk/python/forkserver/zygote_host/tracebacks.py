"""Tracebacks without what is nobody's business: this package, import."""

import importlib
import traceback
from types import TracebackType
from typing import Optional

from forkserver.originals import os

_OWN_FILES = (os.path.dirname(os.path.abspath(__file__)), "<frozen importlib",
              os.path.dirname(importlib.__file__))


def user_frames(error: BaseException) -> Optional[TracebackType]:
    """From the first frame on that is somebody else's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(
            _OWN_FILES):
        trace = trace.tb_next
    return trace


def describe_exception(error: BaseException) -> str:
    """Its text, with the traceback."""
    return "".join(traceback.format_exception(
        type(error), error, user_frames(error))).rstrip()
