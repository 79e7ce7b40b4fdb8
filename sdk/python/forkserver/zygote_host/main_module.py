"""The caller's main module, in a zygote or a worker.

As multiprocessing's spawn does it: imported again under the name
`__mp_main__`, so that what is under `if __name__ == "__main__":` does not run,
and found as `__main__` too, where pickles of its functions look.
"""

import runpy
import sys
import types
from typing import Any, Dict, Optional

from forkserver.originals import os

MP_MAIN = "__mp_main__"


def describe_main() -> Optional[Dict[str, str]]:
    """In the caller: what load() needs. None: it has no file."""
    main: Any = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    name = getattr(spec, "name", None)
    if name:
        return {"name": name}
    path = getattr(main, "__file__", None)
    if not path or not os.path.exists(path):
        return None
    return {"path": os.path.abspath(path)}


def is_named_in(pickled: bytes) -> bool:
    """False: nothing in it is of the main module. The name of its module is
    in the pickle of any function or class."""
    return b"__main__" in pickled or MP_MAIN.encode() in pickled


def load(main: Optional[Dict[str, str]]) -> None:
    """Makes it sys.modules["__main__"], once. Raises ImportError, and
    whatever the module raises."""
    if main is None:
        raise ImportError("the main module of the caller has no file "
                          "(interactive, or python -c): put the function "
                          "into a module")
    wanted = main.get("name") or main["path"]
    current: Any = sys.modules.get(MP_MAIN)
    if current is not None and getattr(current, "_forkserver_main",
                                       None) == wanted:
        return
    module = types.ModuleType(MP_MAIN)
    sys.modules["__main__"] = sys.modules[MP_MAIN] = module
    if "name" in main:
        content = runpy.run_module(main["name"], run_name=MP_MAIN,
                                   alter_sys=True)
    else:
        content = runpy.run_path(main["path"], run_name=MP_MAIN)
    module.__dict__.update(content)
    module.__dict__["_forkserver_main"] = wanted
    # runpy put its own in their place while it ran.
    sys.modules["__main__"] = sys.modules[MP_MAIN] = module
