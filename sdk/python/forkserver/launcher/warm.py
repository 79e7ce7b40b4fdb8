"""Which zygote a command is run from."""

import hashlib
import importlib.util
import json
import os
import sys
from typing import Any, List

from forkserver.launcher.command_line import Command

PRELOAD_VARIABLE = "FORKSERVER_PYTHON_PRELOAD"

# What execnet starts its workers with: those of pytest-xdist.
_EXECNET = "import sys;exec(eval(sys.stdin.readline()))"

# sys.path as python has it, without the current folder; this package behind
# all, which a worker takes off again.
_BOOT = ("import sys; sys.path[:1] = [] if sys.path[:1] == [''] else "
         "sys.path[:1]; sys.path.append(sys.argv.pop(1)); "
         "from forkserver.zygote_host.host import main; "
         "from forkserver.zygote_host.settings import Settings; "
         "sys.exit(main(Settings()))")

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_FROZEN = ("LD_", "DYLD_", "MALLOC_", "OMP_", "PYTHON", "LC_")


def preload_pytest() -> None:
    """A preload step: pytest and its own plugins, which it does not rewrite.
    Others are left to the worker, for their assertions."""
    try:
        config: Any = importlib.import_module("_pytest.config")
    except ImportError:
        return
    for name in config.default_plugins:
        importlib.import_module("_pytest." + name)


def preload_of(command: Command) -> List[str]:
    """Preload steps: what the user says, else what is sure to be needed."""
    named = os.environ.get(PRELOAD_VARIABLE)
    if named is not None:
        return [each for each in named.replace(",", " ").split() if each]
    if (command.kind, command.target) in (("-c", _EXECNET), ("-m", "pytest")):
        return ["forkserver.launcher.warm:preload_pytest"]
    return []


def start_zygote(client: Any, command: Command) -> Any:
    """Starts it, or joins the one of an earlier command. It is kept for later
    ones until it has been idle for long."""
    steps = ["forkserver.launcher.entry", *preload_of(command)]
    argv = [sys.executable, *command.flags, "-c", _BOOT, PACKAGE]
    # Everything that makes a difference is in its name, so that there is no
    # conflict with other commands of this user.
    identity = [
        argv, steps, _stamp(sys.executable), _stamp(__file__),
        [_stamp(_origin(step)) for step in steps],
        sorted(each for each in os.environ.items()
               if each[0].startswith(_FROZEN) or each[0] == "HOME"),
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return client.start_zygote(f"python-{digest[:16]}", argv, preload=steps,
                               cwd="/", keep=True)


def _origin(step: str) -> str:
    name = step.partition(":")[0].partition(".")[0]
    if name == "forkserver" and "pytest" in step:
        name = "_pytest"
    spec = importlib.util.find_spec(name)
    return (spec.origin or "") if spec is not None else ""


def _stamp(path: str) -> List[Any]:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return [path]
    return [path, info.st_ino, info.st_size, info.st_mtime_ns]
