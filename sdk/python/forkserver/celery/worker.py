"""A process of the pool, as the entry of a zygote's worker."""

import io
import os
import pickle
from typing import Any, Dict, List, NamedTuple, Optional

from forkserver.celery import app_reference
from forkserver.zygote_host import main_module
from forkserver.zygote_host.context import WorkerContext

# Stands for the app in the pickle of a process.
APP_ID = "app"


class Header(NamedTuple):
    """What goes before the pickle of the process.

    `app`, `main`, `modules`: see app_reference.Reference. `changes`: of the
    app's configuration, made since it was loaded or before.
    """
    app: Optional[str]
    main: Optional[Dict[str, str]]
    modules: List[str]
    changes: Dict[str, Any]

    @classmethod
    def of(cls, app: Any) -> "Header":
        """In the main process."""
        changes = {name: value for name, value in app.conf.changes.items()
                   if _can_be_pickled(value)}
        return cls(*app_reference.describe(app), changes)


def _can_be_pickled(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # pickle raises anything
        return False
    return True


class OwnNumber:
    """Stands for a descriptor that has the number of the main process here."""

    def __init__(self, number: int) -> None:
        self._number = number

    def detach(self) -> int:
        """In the worker: the descriptor, now the caller's."""
        os.set_inheritable(self._number, False)
        return self._number


def run(context: WorkerContext) -> int:
    """Its exit code, though billiard leaves by itself."""
    from celery.app import trace
    stream = io.BytesIO(context.args)
    header = Header(*pickle.load(stream))
    if header.main is not None:
        main_module.load(header.main)
    app = None
    if header.app is not None:
        app = app_reference.find(header.app)
        app_reference.set_up(app)
        app.conf.update(header.changes)
    app_reference.import_modules(header.modules)
    process = _Unpickler(stream, app).load()
    app, hostname = process._target.initargs
    trace.setup_worker_optimizations(app, hostname)
    code: int = process._bootstrap()
    return code


class _Unpickler(pickle.Unpickler):

    def __init__(self, stream: Any, app: Any) -> None:
        super().__init__(stream)
        self._app = app

    def persistent_load(self, value: Any) -> Any:
        return self._app
