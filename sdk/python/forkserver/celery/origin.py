"""Where the processes of one pool come from: a client and a zygote."""

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from celery.utils.log import get_logger

from forkserver.celery import app_reference, worker
from forkserver.errors import (ConnectionLost, StaleEnvironment, UnknownZygote,
                               ZygoteRetired, ZygoteUnsafe)

if TYPE_CHECKING:
    from forkserver.client import Client
    from forkserver.worker import Worker

_ENTRY = worker.__name__ + ":run"
_PRELOAD = "forkserver.celery.preloaded"
_LOAD_APP = app_reference.__name__ + ":load_named"

_log = get_logger(__name__)


class Origin:
    """Of a pool in the main process. May be used from several threads."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._lock = threading.Lock()
        self._client: "Optional[Client]" = None
        self._zygote: Optional[str] = None

    def fork(self, **options: Any) -> "Worker":
        """A process that runs. Blocks until it does, the first time until the
        zygote has loaded the app. Raises forkserver.Error."""
        with self._lock:
            try:
                return self._fork(options)
            except (UnknownZygote, ZygoteRetired, StaleEnvironment):
                # It was idle for too long, it crashed, or a frozen variable
                # has changed since.
                self._zygote = None
            except ConnectionLost as error:
                # The daemon ended, and with it every worker.
                _log.warning("connecting again: %s", error)
                self._disconnect()
            return self._fork(options)

    def _fork(self, options: Dict[str, Any]) -> "Worker":
        client = self._connect()
        if self._zygote is None:
            self._zygote = self._start_zygote(client)
        # No grace: as the workers of prefork, they are killed when the main
        # process is.
        return client.fork(self._zygote, _ENTRY, argv=sys.argv or [""],
                           stdin=subprocess.DEVNULL, grace=0, **options)

    def renew(self) -> None:
        """What is forked from now on comes from a new zygote."""
        with self._lock:
            zygote, self._zygote = self._zygote, None
            if zygote is not None and self._client is not None:
                try:
                    self._client.stop_zygote(zygote)
                except (UnknownZygote, ConnectionLost):
                    pass

    def close(self) -> None:
        """Ends what still runs."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        client, self._client, self._zygote = self._client, None, None
        if client is not None:
            client.close()

    def _connect(self) -> "Client":
        if self._client is None:
            from forkserver.client import connect
            self._client = connect(client_name="celery")
        return self._client

    def _start_zygote(self, client: "Client") -> str:
        """Its name."""
        name = f"celery-{os.getpid()}-{os.urandom(3).hex()}"
        reference = app_reference.describe(self.app)
        conf = self.app.conf
        environment = dict(os.environ)
        steps = [_PRELOAD, *conf.get("forkserver_preload", ())]
        if conf.get("forkserver_preload_app", True):
            steps += _steps_of_app(reference, environment)
        try:
            zygote = client.zygote(
                name, preload=steps, env=environment,
                known_threads=conf.get("forkserver_known_threads", ()))
        except ZygoteUnsafe as error:
            error.hint = _advise(error.hint)
            raise
        _log.info("processes come from zygote %s, pid %s", name,
                  zygote.info.pid)
        return name


def _steps_of_app(reference: app_reference.Reference,
                  environment: Dict[str, str]) -> List[str]:
    steps = []
    if reference.main is not None:
        steps.append("__main__")
        path = reference.main.get("path")
        if path is not None:
            # Celery names the tasks of this file as those of the main module.
            environment["MP_MAIN_FILE"] = path
    if reference.app is not None:
        module = reference.app.partition(":")[0]
        if module != "__main__":
            steps.append(module)
    if "DJANGO_SETTINGS_MODULE" in environment and "django" in sys.modules:
        steps.append("django")
    steps += reference.modules
    if reference.app is not None:
        steps.append(_LOAD_APP)
        environment[app_reference.VARIABLE] = reference.app
    return steps


def _advise(hint: str) -> str:
    advice = ("with forkserver_preload_app = False in the app's configuration "
              "each process imports the app for itself")
    return f"{hint}; {advice}" if hint else advice
