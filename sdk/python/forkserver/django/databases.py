"""The test databases: what a forked process would have of them.

In the process that made them describe() writes down their settings and the
contents of those in memory; restore() gives both to a worker, before Django
turns its connections to the worker's own clones.
"""

import contextlib
import os
import pickle
import sqlite3
import time
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional

from django.db import connections

from forkserver.django.channel import PROTOCOL

_CLONE_SECONDS = 5.0
_CLONE_PAUSE_SECONDS = 0.05


class Database(NamedTuple):
    """Of one alias. `copy`: a file with the contents of one in memory."""
    settings: Dict[str, Any]
    serialized: Optional[str]
    debug_cursor: Any
    copy: Optional[str]


def describe(folder: str, aliases: Optional[Iterable[str]]
            ) -> Dict[str, Database]:
    """{alias: Database}. Copies go into `folder`. `aliases`: those that are
    used, None for all."""
    copies: Dict[str, Optional[str]] = {}
    described = {}
    for alias in connections if aliases is None else sorted(aliases):
        connection = connections[alias]
        name = str(connection.settings_dict["NAME"])
        if name not in copies and is_in_memory(connection):
            copies[name] = _back_up(connection, os.path.join(
                folder, f"{len(copies)}.sqlite3"))
        described[alias] = Database(
            _picklable(connection.settings_dict),
            getattr(connection, "_test_serialized_contents", None),
            connection.force_debug_cursor,
            copies.get(name))
    return described


def restore(databases: Dict[str, Database]) -> None:
    """In a worker, after django.setup()."""
    restored = set()
    for alias, database in databases.items():
        connection = connections[alias]
        connection.close()
        connection.settings_dict.update(database.settings)
        if database.serialized is not None:
            connection._test_serialized_contents = database.serialized
        connection.force_debug_cursor = database.debug_cursor
        if database.copy is None:
            continue
        # Open for as long as the worker lives: with the last connection to a
        # database in memory the database goes.
        connection.ensure_connection()
        if database.copy not in restored:
            restored.add(database.copy)
            with contextlib.closing(sqlite3.connect(
                    f"file:{database.copy}?mode=ro", uri=True)) as source:
                source.backup(connection.connection)


def clone_again(number: int, aliases: Iterable[str]) -> None:
    """Gives the next worker of this number clones as the first one had them:
    a test that was killed leaves its rows behind. Blocks for at most 5 s;
    where it does not work the clone stays as it is."""
    for alias in aliases:
        connection = connections[alias]
        if is_in_memory(connection):
            continue
        deadline = time.monotonic() + _CLONE_SECONDS
        with _silent(connection.creation):
            while not _clone(connection, number):
                # The server may not have noticed yet that the worker is gone.
                if time.monotonic() > deadline:
                    break
                time.sleep(_CLONE_PAUSE_SECONDS)


def _clone(connection: Any, number: int) -> bool:
    try:
        connection.creation.clone_test_db(suffix=str(number), verbosity=0)
        return True
    except (Exception, SystemExit):  # it gives up by sys.exit()
        return False


@contextlib.contextmanager
def _silent(creation: Any) -> Iterator[None]:
    creation.log = lambda *_: None
    try:
        yield
    finally:
        del creation.log


def is_in_memory(connection: Any) -> bool:
    """Of sqlite."""
    check = getattr(connection, "is_in_memory_db", None)
    return connection.vendor == "sqlite" and check is not None and bool(
        check())


def _back_up(connection: Any, path: str) -> Optional[str]:
    if connection.connection is None:
        return None  # not used
    with contextlib.closing(sqlite3.connect(path)) as target:
        connection.connection.backup(target)
    return path


def _picklable(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Options may be functions or objects of a library: these are the
    worker's own then."""
    kept = {}
    for name, value in settings.items():
        with contextlib.suppress(Exception):
            pickle.dumps(value, PROTOCOL)
            kept[name] = value
    return kept
