"""The app, by name: the main process says which, a zygote or worker loads it.

The main process has the app that its command line named. A process of a zygote
has to have the same one, not a copy: tasks belong to it.
"""

import importlib
import os
import sys
import types
from typing import Any, Dict, List, NamedTuple, Optional

from forkserver.zygote_host import main_module

# Where load_named() looks; only the zygote's own environment has it.
VARIABLE = "FORKSERVER_CELERY_APP"
_MAIN = "__main__"
_NOT_THE_APPS = ("celery", "forkserver", main_module.MP_MAIN)


class Reference(NamedTuple):
    """`app`: "module:attribute", or None where no module has it: then it is
    pickled. `main`: what describes the main module, if the app or a task is in
    it. `modules`: those of the tasks, but for the main one."""
    app: Optional[str]
    main: Optional[Dict[str, str]]
    modules: List[str]


def describe(app: Any) -> Reference:
    """In the main process."""
    name = _name_of(app)
    modules = {each.__module__ for each in list(app.tasks.values())}
    main = None
    if _MAIN in modules or (name or "").startswith(_MAIN + ":"):
        main = main_module.describe_main()
    return Reference(name, main,
                     sorted(each for each in modules if _is_importable(each)))


def _name_of(app: Any) -> Optional[str]:
    found = None
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, types.ModuleType) or _is_ours(module_name):
            continue
        for attribute, value in list(vars(module).items()):
            if value is app:
                found = f"{module_name}:{attribute}"
                if module_name != _MAIN:
                    return found
    return found


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _NOT_THE_APPS


def _is_importable(module: str) -> bool:
    return (module != _MAIN and not _is_ours(module) and
            getattr(sys.modules.get(module), "__spec__", None) is not None)


def load_named() -> None:
    """A preload step of the zygote: the app that VARIABLE names."""
    set_up(find(os.environ[VARIABLE]))


def find(name: str) -> Any:
    """Imports it. Raises whatever that raises."""
    module, _, attribute = name.partition(":")
    # Python gives another object than the one in sys.modules for __main__.
    where = (sys.modules[_MAIN] if module == _MAIN
             else importlib.import_module(module))
    return getattr(where, attribute)


def set_up(app: Any) -> None:
    """What the main process had done before prefork would have forked it.
    Does nothing the second time."""
    from celery import signals
    from celery.app import backends
    if app.loader.worker_initialized:
        return
    app.loader.init_worker()
    app.finalize()
    # The modules of the backend; each process has its own connections.
    backends.by_url(app.backend_cls or app.conf.result_backend, app.loader)
    # What Celery itself hangs on the signal worker_init: what an application
    # does there is for the main process alone.
    for fixup in app._fixups:
        if hasattr(fixup, "on_worker_init"):
            fixup.on_worker_init(signal=signals.worker_init, sender=_Sender())


class _Sender:
    """Stands for the sender of worker_init, Celery's WorkController: from 5.5
    the Django fixup asks it for the pool."""

    @property
    def pool_cls(self) -> Any:
        from forkserver.celery.forkserver_prefork import TaskPool
        return TaskPool


def import_modules(modules: List[str]) -> None:
    """Those that the main process has got since the zygote was started."""
    for each in modules:
        if each not in sys.modules:
            importlib.import_module(each)
