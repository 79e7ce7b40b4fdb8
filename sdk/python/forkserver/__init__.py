"""Worker processes from a clean parent: the Python side of forkserverd.

    import forkserver

    with forkserver.connect() as client:
        with client.spawn(["sh", "-c", "exit 3"], timeout=60) as worker:
            print(worker.wait().code)

Calls block, times are in seconds, and every error is a forkserver.Error with
`code`, `step`, `errno` and `hint`. AsyncClient (forkserver.connect_async) has
the same methods for asyncio. docs/python.md says how things go together.

PYTEST_DONT_REWRITE: pytest, which has a plugin here, leaves it alone.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

from forkserver.errors import *

__version__ = "0.1.0"

if TYPE_CHECKING:
    from forkserver.aio import AsyncClient, connect_async
    from forkserver.aio_handles import (AsyncSubscription, AsyncWorker,
                                        AsyncZygote)
    from forkserver import hooks
    from forkserver.aio_zygote import AsyncPythonZygote
    from forkserver.calls import (NotPicklable, RemoteError, RemoteTraceback,
                                  WorkerDied)
    from forkserver.client import Client, connect
    from forkserver.daemon import default_socket_path
    from forkserver.daemon_version import DaemonVersionWarning
    from forkserver.fork_warnings import (ForkGuard, ForkUnsafeWarning,
                                          guard)
    from forkserver.isolation import isolated
    from forkserver.python_zygote import PythonZygote
    from forkserver.records import (DaemonStatus, DaemonUpgrade, Event,
                                    ExitRecord, Journey, PreloadReport,
                                    ServiceInfo, Snapshot, WorkerInfo,
                                    ZygoteInfo)
    from forkserver.service_policy import ServicePolicy
    from forkserver.system_proxies import patch_system_proxies
    from forkserver.subscription import Subscription
    from forkserver.worker import Worker
    from forkserver.zygote import Zygote
    from forkserver.zygote_host.context import WorkerContext

# Where each public name is. Loaded at its first use, so that a zygote does
# not load a client, nor a client asyncio.
_PLACES = {
    "AsyncClient": "aio",
    "AsyncPythonZygote": "aio_zygote",
    "AsyncSubscription": "aio_handles",
    "AsyncWorker": "aio_handles",
    "AsyncZygote": "aio_handles",
    "Client": "client",
    "DaemonStatus": "records",
    "DaemonUpgrade": "records",
    "DaemonVersionWarning": "daemon_version",
    "Event": "records",
    "ExitRecord": "records",
    "Journey": "records",
    "ForkGuard": "fork_warnings",
    "ForkUnsafeWarning": "fork_warnings",
    "NotPicklable": "calls",
    "PreloadReport": "records",
    "PythonZygote": "python_zygote",
    "RemoteError": "calls",
    "RemoteTraceback": "calls",
    "ServiceInfo": "records",
    "ServicePolicy": "service_policy",
    "Snapshot": "records",
    "Subscription": "subscription",
    "Worker": "worker",
    "WorkerContext": "zygote_host.context",
    "WorkerDied": "calls",
    "WorkerInfo": "records",
    "Zygote": "zygote",
    "ZygoteInfo": "records",
    "connect": "client",
    "connect_async": "aio",
    "default_socket_path": "daemon",
    "guard": "fork_warnings",
    "isolated": "isolation",
    "patch_system_proxies": "system_proxies",
}


def __getattr__(name: str) -> Any:
    if name == "hooks":
        return importlib.import_module(".hooks", __name__)
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module("." + place, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_PLACES})
