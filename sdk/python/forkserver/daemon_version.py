"""A daemon of another version than this package: told once."""

import re
import warnings
from typing import List

from forkserver import __version__

_told = False


class DaemonVersionWarning(UserWarning):
    """The daemon is of another version than this package."""


def warn_of_other_version(daemon_version: str, stacklevel: int) -> None:
    """Once in a process. `stacklevel` is that of warnings.warn for the caller
    of this function: 1 is its own line."""
    global _told
    if _told or not daemon_version or daemon_version == __version__:
        return
    _told = True
    advice = ("`forkserver daemon upgrade` brings it to the version installed"
              if _numbers(daemon_version) <= _numbers(__version__) else
              "this package is the older one")
    warnings.warn(f"this is forkserver {__version__}, the daemon is "
                  f"forkserverd {daemon_version}: {advice}",
                  DaemonVersionWarning, stacklevel + 1)


def _numbers(version: str) -> List[int]:
    return [int(digits) for digits in re.findall("[0-9]+", version)]
