"""Entries that have a name of their own. Besides them a worker can run any
"module:function"."""

from typing import Any, Callable, Dict, List, Optional

from forkserver.zygote_host import call_entry
from forkserver.zygote_host.context import WorkerContext

Entry = Callable[[WorkerContext], Any]

_entries: Dict[str, Entry] = {"call": call_entry.run}


def register(name: str, entry: Entry) -> None:
    """In a preload step: workers, and zygotes that are forked from this one,
    have it too."""
    _entries[name] = entry


def find(name: str) -> Optional[Entry]:
    return _entries.get(name)


def names() -> List[str]:
    return sorted(_entries)
