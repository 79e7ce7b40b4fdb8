"""How the items of a session are spread over workers and zygotes."""

from typing import Any, List, NamedTuple, Tuple

import pytest


class Unit(NamedTuple):
    """Items that one worker runs, one after the other."""
    file: str
    items: List[int]


class Plan(NamedTuple):
    """What the main process needs to know of a collected session."""
    items: List[Tuple[str, Any]]  # node id, location
    units: List[Unit]
    # Files with fixtures for several units, which a zygote of their own has.
    zygote_files: List[str]


def make_plan(items: List[Any], scope: str) -> Plan:
    """`scope`: "function", "class" or "file". Keeps the order of items."""
    units: List[Unit] = []
    key: Any = None
    for index, item in enumerate(items):
        its_key = _key(item, scope)
        if not units or its_key is None or its_key != key:
            units.append(Unit(file_of(item), []))
        units[-1].items.append(index)
        key = its_key
    files = [unit.file for unit in units]
    warm = {file_of(item) for item in items if has_module_fixture(item)}
    return Plan([(item.nodeid, item.location) for item in items], units,
                sorted(file for file in warm if files.count(file) > 1))


def file_of(item: Any) -> str:
    """The node id of its file."""
    parent = item.getparent(pytest.File)
    nodeid: str = item.nodeid if parent is None else parent.nodeid
    return nodeid


def _key(item: Any, scope: str) -> Any:
    if scope == "file":
        return file_of(item)
    if scope == "class":
        # None: a function of its own.
        return item.getparent(pytest.Class)
    return None


def has_module_fixture(item: Any) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    return info is not None and any(
        fixtures[-1].scope in ("module", "package")
        for fixtures in info.name2fixturedefs.values())
