"""Which source files a process has loaded, and which have changed since."""

import sys
from typing import Any, Dict, List, Mapping, Tuple

from forkserver.originals import os

Stamp = Tuple[int, int]  # modification time in ns, size in bytes


class Sources:
    """{path: stamp} of the modules that are loaded."""

    def __init__(self) -> None:
        self.stamps: Dict[str, Stamp] = {}
        self._seen: Dict[str, Any] = {}

    def note(self) -> None:
        """Looks at modules that are new since the last call."""
        for name, module in list(sys.modules.items()):
            if self._seen.get(name) is module:
                continue
            self._seen[name] = module
            path = getattr(module, "__file__", None)
            if not isinstance(path, str):
                continue
            path = os.path.abspath(path)
            stamp = stamp_of(path)
            if stamp is not None:
                self.stamps.setdefault(path, stamp)


def stamp_of(path: str) -> Any:
    """None if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def changed(stamps: Mapping[str, Stamp]) -> List[str]:
    """The paths of those that are not any more what they were."""
    return sorted(path for path, stamp in stamps.items()
                  if stamp_of(path) != tuple(stamp))
