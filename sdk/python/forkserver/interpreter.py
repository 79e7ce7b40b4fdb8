"""The command line of an interpreter like this one, as a zygote."""

import faulthandler
import os
import subprocess
import sys
from typing import List, Optional

from forkserver.errors import BadRequest
from forkserver.zygote_host import main_module
from forkserver.zygote_host.settings import Settings
from forkserver.zygote_host.streams import is_unbuffered

_RUN = ("from forkserver.zygote_host.host import main; "
        "from forkserver.zygote_host.settings import Settings; "
        "sys.exit(main(Settings.from_json(sys.argv.pop())))")
# Nothing is imported before sys.path is the caller's: a folder in front of it
# may hold anything.
_SAME = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); " + _RUN
# Its own sys.path, without the current folder, and this package behind it.
_OTHER = "import sys; sys.path[:1] = []; sys.path += [sys.argv.pop(1)]; " + _RUN


def is_this(python: Optional[str]) -> bool:
    """Whether `python` is the running interpreter."""
    return python is None or python == sys.executable


def command(python: Optional[str], settings: Settings) -> List[str]:
    """The argv of a zygote. Of this interpreter (`python` None) it takes over
    the flags (-O, -I, -s, -W, -X, -u ...) and sys.path; of another one only
    that it can import this package. Raises BadRequest."""
    program = python or sys.executable
    if not program:
        raise BadRequest("the path of this interpreter is not known",
                         hint="give it: python=")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not is_this(python):
        return [program, "-c", _OTHER, package, settings.to_json()]
    path = absolute_path()
    if package not in path:
        path.append(package)
    return [program, *_flags(), "-c", _SAME, "\n".join(path),
            settings.to_json()]


def own_settings() -> Settings:
    """What a zygote takes over from this process."""
    return Settings(main=main_module.describe_main(),
                    faulthandler=faulthandler.is_enabled())


def absolute_path() -> List[str]:
    """sys.path, for a process with another working directory."""
    return [os.path.abspath(each) for each in sys.path
            if isinstance(each, str)]


def _flags() -> List[str]:
    flags: List[str] = (
        # The one that multiprocessing uses, on every version.
        subprocess._args_from_interpreter_flags())  # type: ignore
    return flags + (["-u"] if is_unbuffered() else [])
