"""Is a target one of pytest or of unittest?

pytest, if this interpreter can import it and
- the target is a node id (FILE::NAME), or
- there is a configuration of pytest, or a conftest.py, in the target's folder
  or one above it, or a conftest.py below it, or
- one of its files has test functions, imports pytest, or has a Test class that
  is derived from nothing.

Else unittest, which always is there.
"""

import configparser
import importlib.util
import os
import re
from typing import Iterator, List

from forkserver.test_zygote.request import PYTEST, UNITTEST

# What only pytest would collect, at the start of a line.
_MARKS = re.compile(
    rb"^(?:(?:async[ \t]+)?def[ \t]+test"
    rb"|[ \t]*(?:import|from)[ \t]+pytest\b"
    rb"|class[ \t]+Test\w*[ \t]*(?:\([ \t]*(?:object[ \t]*)?\))?[ \t]*:)",
    re.MULTILINE)
_TEST_FILE = re.compile(r"(?:test.*|.*_test)\.py")
_SKIPPED_FOLDERS = {"__pycache__", "node_modules", "venv", "build", "dist"}


def choose(target: str) -> str:
    """`target`: an existing path, a dotted name or a node id."""
    if importlib.util.find_spec(PYTEST) is None:
        return UNITTEST
    path, node, _ = target.partition("::")
    if not os.path.exists(path):
        path = module_file(path)
    if node or any(_configures(folder) for folder in _upwards(path)):
        return PYTEST
    files = _files(path)
    if any(os.path.basename(file) == "conftest.py" or _is_marked(file)
           for file in files):
        return PYTEST
    return UNITTEST


def _upwards(path: str) -> Iterator[str]:
    folder = os.path.abspath(path)
    if not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _configures(folder: str) -> bool:
    """As pytest looks for its rootdir, and conftest.py."""
    for name in ("pytest.ini", ".pytest.ini", "conftest.py"):
        if os.path.isfile(os.path.join(folder, name)):
            return True
    return (b"[tool.pytest" in _read(os.path.join(folder, "pyproject.toml"))
            or _has_section(os.path.join(folder, "tox.ini"), "pytest")
            or _has_section(os.path.join(folder, "setup.cfg"), "tool:pytest"))


def _has_section(path: str, name: str) -> bool:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return False
    return parser.has_section(name)


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [each for each in folders
                      if each not in _SKIPPED_FOLDERS
                      and not each.startswith(".")]
        for name in names:
            if name == "conftest.py" or _TEST_FILE.fullmatch(name):
                yield os.path.join(folder, name)


def module_file(name: str) -> str:
    """Of the longest part of a dotted name that is a module; without
    importing it, nor its packages."""
    parts: List[str] = name.split(".")
    for end in range(len(parts), 0, -1):
        path = os.path.join(*parts[:end])
        for file in (path + ".py", os.path.join(path, "__init__.py")):
            if os.path.isfile(file):
                return file
    return ""


def _is_marked(path: str) -> bool:
    return _MARKS.search(_read(path)) is not None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
