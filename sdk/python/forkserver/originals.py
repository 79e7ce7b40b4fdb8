"""Modules of the standard library as they were when this package was loaded.

Tests replace functions of them, one for a moment or for a whole session: that
of the clock, `os.write`, `socket.socket`. Zygotes and workers that run tests go
on regardless.

    from forkserver.originals import os, time
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fcntl as fcntl
    import gc as gc
    import os as os
    import pickle as pickle
    import select as select
    import signal as signal
    import socket as socket
    import time as time
else:
    import importlib
    import types

    def _as_it_is(name):
        module = importlib.import_module(name)
        copy = types.ModuleType(name)
        copy.__dict__.update(module.__dict__)
        return copy

    fcntl = _as_it_is("fcntl")
    gc = _as_it_is("gc")
    os = _as_it_is("os")
    pickle = _as_it_is("pickle")
    select = _as_it_is("select")
    signal = _as_it_is("signal")
    socket = _as_it_is("socket")
    time = _as_it_is("time")
