"""What processes of multiprocessing start with: a preload step of its zygotes.

What every one of them uses, and what they would import otherwise because their
program has: modules of the standard library, and the code of the main module.
"""

import importlib
import json
import multiprocessing.connection
import multiprocessing.queues
import multiprocessing.reduction
import multiprocessing.resource_tracker
import multiprocessing.spawn
import multiprocessing.synchronize
import multiprocessing.util
import os
import sys
from typing import List

import forkserver.multiprocessing.worker
import forkserver.sentinel
from forkserver.multiprocessing import main_code

# In the environment of a zygote: names of modules, in JSON.
VARIABLE = "FORKSERVER_MULTIPROCESSING_MODULES"
# What does something when it is imported, or is of no use without a terminal;
# on macOS urllib.request loads the system's frameworks.
_LEFT_OUT = {"__main__", "antigravity", "idlelib", "readline", "rlcompleter",
             "test", "this", "tkinter", "turtle"}
_LEFT_OUT_ON_MACOS = {"_scproxy", "urllib.request", "webbrowser"}


def standard_modules() -> List[str]:
    """In the program: what it has loaded of the standard library, in order.
    Before Python 3.10, which does not know, its multiprocessing."""
    known = getattr(sys, "stdlib_module_names",
                    ("multiprocessing", "concurrent"))
    left_out = _LEFT_OUT | (_LEFT_OUT_ON_MACOS if sys.platform == "darwin"
                            else set())
    return [name for name in list(sys.modules)
            if name.partition(".")[0] in known and name not in left_out and
            name.partition(".")[0] not in left_out]


def _import_modules() -> None:
    for name in json.loads(os.environ.pop(VARIABLE, "[]")):
        try:
            importlib.import_module(name)
        except Exception:  # a process that needs it says so
            pass


if VARIABLE in os.environ:
    _import_modules()
    main_code.compile_main()
