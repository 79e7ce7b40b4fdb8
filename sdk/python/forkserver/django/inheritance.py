"""What a forked worker would have inherited, as data.

describe() is called in the process that runs the command; WorkerSetup travels
to each worker, where forkserver.django.worker makes it true again.
"""

import contextlib
import faulthandler
import inspect
import os
import pickle
import sys
import warnings
from multiprocessing import spawn
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from django.conf import settings
from django.test import runner as django_runner
from django.test import utils as django_utils
from django.test.signals import setting_changed

from forkserver.django import databases, measuring
from forkserver.django.channel import PROTOCOL
from forkserver.errors import BadRequest

# Those of each connection travel by themselves.
_OWN_SETTINGS = {"DATABASES"}


class WorkerSetup(NamedTuple):
    """Pickles in it are loaded one after the other: the later ones may refer
    to models, which are there after django.setup() only.

    `preparation`: of multiprocessing, without the main module, which is
    `main`. `configured`: settings.configure() was called with these.
    `initializer`: (function, {parameter: value}).
    """
    parent_pid: int
    preparation: bytes
    main: Dict[str, str]
    measuring: Optional[bytes]
    faulthandler: bool
    process_setup: Optional[bytes]
    configured: Optional[bytes]
    debug: bool
    databases: Dict[str, databases.Database]
    settings: Dict[str, bytes]
    initializer: bytes
    runner_class: bytes
    run_subsuite: bytes
    failfast: bool
    buffer: bool


def describe(suite: Any, folder: str, buffer: bool) -> WorkerSetup:
    """`suite`: the ParallelTestSuite; its attributes differ between versions
    of Django. Copies of databases go into `folder`.

    Raises BadRequest: something cannot be pickled.
    """
    preparation, main = _preparation()
    return WorkerSetup(
        parent_pid=os.getpid(),
        preparation=_pickle("the preparation data", preparation),
        main=main,
        measuring=measuring.describe(),
        faulthandler=faulthandler.is_enabled(),
        process_setup=_process_setup(suite),
        configured=_configured(),
        debug=settings.DEBUG,
        databases=databases.describe(folder,
                                     getattr(suite, "used_aliases", None)),
        settings=pickled_settings(),
        initializer=_pickle("init_worker and its arguments",
                            _initializer(suite)),
        runner_class=_pickle("runner_class", suite.runner_class),
        run_subsuite=_pickle("run_subsuite", _function(suite.run_subsuite)),
        failfast=bool(suite.failfast),
        buffer=buffer)


def has_process_setup(suite_class: Any) -> bool:
    """Whether the project wants something done before django.setup()."""
    own = getattr(suite_class, "process_setup", None)
    stock = getattr(django_runner.ParallelTestSuite, "process_setup", None)
    return own is not None and _function(own) is not _function(stock)


def subsuite_arguments(runner_class: Any, index: int, suite: Any,
                       failfast: bool) -> Tuple[Any, ...]:
    """What run_subsuite() of this version of Django takes. The worker looks
    after --buffer itself: Django 3.2 has no place for it."""
    args: Tuple[Any, ...] = (runner_class, index, suite, failfast)
    known = inspect.signature(django_runner.RemoteTestRunner.__init__)
    return (*args, False) if "buffer" in known.parameters else args


def _preparation() -> Tuple[Dict[str, Any], Dict[str, str]]:
    # By the module: coverage.py replaces the function there.
    data = spawn.get_preparation_data("ForkserverWorker")  # type: ignore
    # It travels to our own worker only, over a socket that has no name.
    data["authkey"] = bytes(data["authkey"])
    main = {}
    for key in ("init_main_from_name", "init_main_from_path"):
        value = data.pop(key, None)
        if value is not None:
            main[key] = value
    return data, main


def _process_setup(suite: Any) -> Optional[bytes]:
    if not has_process_setup(type(suite)):
        return None
    return _pickle("process_setup and process_setup_args", (
        _function(suite.process_setup),
        tuple(getattr(suite, "process_setup_args", None) or ())))


def _configured() -> Optional[bytes]:
    if getattr(settings, "SETTINGS_MODULE", None):
        return None
    given = {name: value for name, value
             in vars(settings._wrapped).items()  # type: ignore[attr-defined]
             if name.isupper()}
    return _pickle("what settings.configure() was given", given)


def pickled_settings() -> Dict[str, bytes]:
    """Of this process, but for what cannot be pickled."""
    return dict(_settings())


def take_over_settings(pickled_settings: Dict[str, bytes]) -> None:
    """Those that have other values here: a runner of the project has changed
    them, or they are made anew each time. What Django has computed from the
    old ones it computes again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        for name, pickled in pickled_settings.items():
            with contextlib.suppress(Exception):
                value = pickle.loads(pickled)
                if not (hasattr(settings, name) and
                        getattr(settings, name) == value):
                    setattr(settings, name, value)
                    setting_changed.send_robust(
                        sender=type(settings._wrapped),  # type: ignore
                        setting=name, value=value, enter=True)


def set_up_test_environment(debug: bool) -> None:
    """Nothing happens if it is set up: the modules of tests refer to it."""
    state: Any = getattr(django_utils, "_TestState", None)
    if not hasattr(state, "saved_data"):
        django_utils.setup_test_environment(debug=debug)


def _settings() -> Iterator[Tuple[str, bytes]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        for name in dir(settings):
            if name.isupper() and name not in _OWN_SETTINGS:
                with contextlib.suppress(Exception):
                    yield name, pickle.dumps(getattr(settings, name),
                                             PROTOCOL)


def _initializer(suite: Any) -> Any:
    """init_worker of this suite with the arguments that Django's own takes in
    this version. They are what is of use in a process that was forked; the
    first one, the counter, is the worker's."""
    known = {
        "counter": None,
        "initial_settings": None,
        "serialized_contents": None,
        "process_setup": None,
        "process_setup_args": None,
        "debug_mode": settings.DEBUG,
        "used_aliases": getattr(suite, "used_aliases", None),
    }
    args = []
    for name in inspect.signature(django_runner._init_worker).parameters:
        if name not in known:
            break  # of a newer version: it has a default
        args.append(known[name])
    return _function(suite.init_worker), args[1:]


def _function(method: Any) -> Any:
    """The function in a class, which was never meant to be a method."""
    return getattr(method, "__func__", method)


def _pickle(what: str, value: Any) -> bytes:
    try:
        data = pickle.dumps(value, PROTOCOL)
    except Exception as error:  # pickle raises anything
        raise BadRequest(
            f"{what} cannot be pickled: {type(error).__name__}: {error}",
            hint="workers are not forked from this process: what they are "
            "given must be found by the name of its module") from error
    return data


def main_is_imported(main: Dict[str, str]) -> bool:
    """Whether workers import a main module: not that of a package, and none
    that coverage.py runs."""
    name = main.get("init_main_from_name")
    if name is not None:
        return name != "__main__" and not name.endswith(".__main__")
    return "init_main_from_path" in main and sys.argv[:1] != ["-c"]
