"""Texts of the wire: any bytes, in a `str` that is UTF-8 with surrogates.

Python's own file names and variables are in the encoding of the file system,
which is nearly always the same, but need not be.
"""

import os
import sys
from typing import Any

from forkserver.errors import BadRequest

_SAME = (sys.getfilesystemencoding().lower().replace("-", "") == "utf8" and
         sys.getfilesystemencodeerrors() == "surrogateescape")


def to_text(value: Any, what: str) -> str:
    """A str, bytes or path of the caller, as the wire has it.

    Raises BadRequest, which names `what`, for anything else and for a NUL byte.
    """
    if _SAME and value.__class__ is str and value.isascii():
        text: str = value
    else:
        try:
            text = os.fsencode(value).decode("utf-8", "surrogateescape")
        except TypeError:
            raise BadRequest(f"{what} must be a string, bytes or a path, not "
                             f"{type(value).__name__}") from None
        except UnicodeEncodeError:
            raise BadRequest(f"{what} cannot be sent as bytes: "
                             f"{value!r}") from None
    if "\0" in text:
        raise BadRequest(f"{what} holds a NUL byte")
    return text


def to_bytes(text: str) -> bytes:
    """What a text of the wire is in the system."""
    return text.encode("utf-8", "surrogateescape")


def from_text(text: str) -> str:
    """A text of the wire, as os.environ, os.chdir and sys.argv have it."""
    return text if _SAME else os.fsdecode(to_bytes(text))
