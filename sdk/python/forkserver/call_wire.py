"""How a call travels: pickles in `args`, and in the result.

`args` is a pickle of the tuple (sys.path, main module, payload, descriptor).
The payload is a pickle of (function, args, kwargs), made into bytes by itself
because its modules can only be found when sys.path is the caller's. If it is
too long for a message it is None, and in a file whose descriptor is named
instead.

The result is the length of the outcome, in 8 bytes, and the outcome: one byte
that says what follows, RETURNED and a pickle of the value; RAISED and a pickle
of the exception and its traceback as text; DESCRIBED and a pickle of texts,
where the exception cannot be pickled; UNPICKLABLE or NOT_LOADED and a text.
"""

import os
import pickle
import struct
import traceback
from typing import Any, Dict, List, Optional, Tuple

RETURNED = b"r"
RAISED = b"x"
DESCRIBED = b"d"
UNPICKLABLE = b"u"
NOT_LOADED = b"l"

LENGTH = struct.Struct(">Q")

# Every interpreter from 3.8 on reads and writes it.
PROTOCOL = 5

Main = Optional[Dict[str, str]]
Header = Tuple[Optional[List[str]], Main, Optional[bytes], int]


def encode_header(path: Optional[List[str]], main: Main,
                  payload: Optional[bytes], fd: int) -> bytes:
    return pickle.dumps((path, main, payload, fd), PROTOCOL)


def decode_header(args: bytes) -> Header:
    header: Header = pickle.loads(args)
    return header


def read_all(fd: int) -> bytes:
    """What is in it from its beginning on, if it has one; closes it."""
    with open(fd, "rb") as file:
        if file.seekable():
            file.seek(0)
        return file.read()


def encode_value(value: Any) -> bytes:
    """The outcome of a function that returned."""
    try:
        return RETURNED + pickle.dumps(value, PROTOCOL)
    except Exception as error:  # pickle raises anything
        return encode_text(UNPICKLABLE,
                           f"the result, of type {type(value).__qualname__}, "
                           f"cannot be pickled: {describe(error)}")


def encode_exception(error: BaseException, skip: int) -> bytes:
    """The outcome of one that raised. `skip`: innermost callers that are
    nobody's business."""
    trace = error.__traceback__
    for _ in range(skip):
        trace = trace.tb_next if trace is not None else None
    text = "".join(traceback.format_exception(type(error), error, trace))
    try:
        data = pickle.dumps((error, text), PROTOCOL)
        # Exceptions often can be pickled and not be made again.
        pickle.loads(data)
        return RAISED + data
    except Exception:  # pickle raises anything
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        return DESCRIBED + pickle.dumps((name, str(error), text), PROTOCOL)


def encode_text(tag: bytes, text: str) -> bytes:
    return tag + os.fsencode(text)


def decode_text(data: bytes) -> str:
    return os.fsdecode(data)


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
