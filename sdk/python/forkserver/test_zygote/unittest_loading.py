"""Loads the tests of a target as unittest does, and gives each a name."""

import argparse
import importlib
import os
import sys
import unittest
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from forkserver.test_zygote.names import travelling, unique
from forkserver.test_zygote.request import Request, TestsNotFound
from forkserver.zygote_host.tracebacks import describe_exception


class Test(NamedTuple):
    """`case`: what is called to run it. `suites`: those around it that have a
    run() of their own (from load_tests), the outermost first."""
    name: str
    case: Any
    suites: Tuple[Any, ...]


class Loaded(NamedTuple):
    """`tests`: by name, in unittest's order. `errors`: texts of what could not
    be loaded. `buffer`, `locals`: options of unittest."""
    tests: Dict[str, Test]
    errors: List[str]
    buffer: bool
    locals: bool


def load(request: Request) -> Loaded:
    """Raises TestsNotFound."""
    options = _parse(request.arguments)
    loader = unittest.TestLoader()
    if options.k:
        loader.testNamePatterns = [each if "*" in each else f"*{each}*"
                                   for each in options.k]
    try:
        suite = _load(loader, request.target, options)
    except TestsNotFound:
        raise
    # As of a module that ends the interpreter; the loader catches ImportError.
    except BaseException as error:
        return Loaded({}, [describe_exception(error)], False, False)
    leaves = [(case, suites) for case, suites in _leaves(suite, ())
              if not _is_failed(case)]
    names = unique(travelling(case.id()) for case, _ in leaves)
    tests = {name: Test(name, case, suites)
             for name, (case, suites) in zip(names, leaves)}
    return Loaded(tests, list(loader.errors), options.buffer, options.locals)


def _parse(arguments: List[str]) -> Any:
    """unittest's own options, of those that mean something here."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("-p", "--pattern", default="test*.py")
    parser.add_argument("-t", "--top-level-directory", default=None)
    parser.add_argument("-k", action="append", default=[])
    parser.add_argument("-b", "--buffer", action="store_true")
    parser.add_argument("--locals", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser.parse_args(arguments)


class _Parser(argparse.ArgumentParser):

    def error(self, message: str) -> Any:
        raise TestsNotFound(
            f"unittest: {message}; known are -p PATTERN, -t FOLDER, -k NAME, "
            "-b, --locals")


def _load(loader: Any, target: str, options: Any) -> Any:
    path, _, node = target.partition("::")
    top = options.top_level_directory
    if os.path.isdir(path):
        if node:
            raise TestsNotFound(f"{path} is a folder: what is after :: must "
                                "be in a file")
        top = os.path.abspath(top or _top_of(path))
        return loader.discover(os.path.abspath(path), options.pattern, top)
    if os.path.isfile(path):
        top = os.path.abspath(top or _top_of(os.path.dirname(path) or "."))
        name = _module_name(path, top)
        if top not in sys.path:
            sys.path.insert(0, top)
        if node:
            name += "." + node.replace("::", ".")
    elif node or os.sep in path or path.endswith(".py"):
        raise TestsNotFound(f"there is no file {path}")
    else:
        name = path
    if not node and os.path.isfile(path):
        # By the module: one whose import fails is told with its traceback.
        return loader.loadTestsFromModule(importlib.import_module(name))
    return loader.loadTestsFromName(name)


def _top_of(folder: str) -> str:
    """The first folder, from here upwards, that is no package."""
    folder = os.path.abspath(folder)
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder


def _module_name(path: str, top: str) -> str:
    relative = os.path.relpath(os.path.abspath(path), top)
    if relative.startswith(os.pardir):
        raise TestsNotFound(f"{path} is not below the top level folder {top}")
    stem, extension = os.path.splitext(relative)
    if extension != ".py":
        raise TestsNotFound(f"{path} is no Python file")
    return stem.replace(os.sep, ".")


def _leaves(suite: Any, suites: Tuple[Any, ...]
            ) -> Iterator[Tuple[Any, Tuple[Any, ...]]]:
    if not isinstance(suite, unittest.BaseTestSuite):
        yield suite, suites
        return
    if type(suite).run not in (unittest.TestSuite.run,
                               unittest.BaseTestSuite.run):
        suites = (*suites, suite)
    tests: Any = suite
    for each in tests:
        yield from _leaves(each, suites)


def _is_failed(case: Any) -> bool:
    """A stand-in for what could not be loaded: the loader has its error."""
    failed = getattr(unittest.loader, "_FailedTest", ())
    return isinstance(case, failed)
