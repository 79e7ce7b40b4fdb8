"""The program's main module in its processes, without compiling it in each.

A process imports the main module again, under the name `__mp_main__`. Its code
object is not cached in a file as those of other modules are, and is the larger
part of what a small process costs. So a zygote compiles it once. Whether the
file is still the same is looked at each time.
"""

import os
import sys
import types
from multiprocessing import spawn
from typing import Any, NamedTuple, Optional, Tuple

# In the environment of a zygote: the file.
VARIABLE = "FORKSERVER_MULTIPROCESSING_MAIN"
MP_MAIN = "__mp_main__"

Stamp = Tuple[int, int, int]


class _Compiled(NamedTuple):
    path: str
    stamp: Stamp
    code: types.CodeType


_compiled: Optional[_Compiled] = None


def path_of_main() -> Optional[str]:
    """In the program: what multiprocessing would run. None: nothing, or a
    module that has a name."""
    main: Any = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) is not None:
        return None
    path = getattr(main, "__file__", None)
    if not isinstance(path, str):
        return None
    if not os.path.isabs(path) and spawn.process.ORIGINAL_DIR is not None:
        path = os.path.join(spawn.process.ORIGINAL_DIR, path)
    return os.path.normpath(path)


def compile_main() -> None:
    """In a zygote. What cannot be compiled is an error of each process."""
    global _compiled
    path = os.environ.pop(VARIABLE, None)
    if path is None:
        return
    try:
        stamp = _stamp(path)
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return
    _compiled = _Compiled(path, stamp, code)


def run_main(path: str) -> None:
    """In a process: as multiprocessing.spawn does it. Raises what the module
    raises."""
    if _compiled is None or _compiled.path != path:
        spawn._fixup_main_from_path(path)  # type: ignore[attr-defined]
        return
    try:
        fresh = _stamp(path) == _compiled.stamp
    except OSError:
        fresh = False
    current: Any = sys.modules["__main__"]
    if not fresh or getattr(current, "__file__", None) == path:
        spawn._fixup_main_from_path(path)  # type: ignore[attr-defined]
        return
    spawn.old_main_modules.append(current)  # type: ignore[attr-defined]
    module = types.ModuleType(MP_MAIN)
    module.__dict__.update(__file__=path, __cached__=None, __package__="")
    sys.modules[MP_MAIN] = module
    # As runpy does: a module that asks for its program's name gets its own.
    argv0, sys.argv[0] = sys.argv[0], path
    try:
        exec(_compiled.code, module.__dict__)
    finally:
        sys.argv[0] = argv0
    sys.modules["__main__"] = sys.modules[MP_MAIN] = module


def _stamp(path: str) -> Stamp:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino
