"""In the worker: does what python would do with its command line."""

import atexit
import builtins
import gc
import importlib.machinery
import io
import linecache
import os
import pickle
import runpy
import signal
import sys
import types
from typing import Any, Dict, List, NamedTuple, Optional

ENTRY = "forkserver.launcher.entry:run"


class Request(NamedTuple):
    """`kind` is "-c", "-m" or "script". Signals are numbers."""
    kind: str
    target: str
    argv: List[str]
    orig_argv: List[str]
    package: str  # what the zygote put behind sys.path
    ignored_signals: List[int]
    blocked_signals: List[int]


def run(context: Any) -> int:
    """Its end is that of python: exit code, tracebacks, a signal."""
    request = Request(*pickle.loads(context.args))
    _restore_signals(request)
    # Runs after every exit function of the program.
    atexit.register(_finalize)
    _become_python(request)
    try:
        if request.kind == "-m":
            _new_main(None)
            runpy._run_module_as_main(request.target)  # type: ignore
        elif request.kind == "-c":
            code = compile(request.target, "<string>", "exec", 0, True)
            _show_lines(code, request.target)
            exec(code, _new_main(None))
        else:
            _run_script(request.target)
    except SystemExit:
        raise
    except BaseException as error:  # pylint: disable=broad-except
        _print_exception(error)
        if isinstance(error, KeyboardInterrupt):
            _end.signal = signal.SIGINT
        return 1
    return 0


class _End:
    """How to leave, if not with the exit code."""
    signal: Optional[int] = None


_end = _End()


def _restore_signals(request: Request) -> None:
    for number in request.ignored_signals:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked_signals)


def _become_python(request: Request) -> None:
    for index in range(len(sys.path) - 1, -1, -1):
        if sys.path[index] == request.package:
            del sys.path[index]
            break
    sys.argv = [request.kind, *request.argv]
    if request.kind == "script":
        sys.argv[0] = request.target
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = request.orig_argv
    if sys.flags.isolated or getattr(sys.flags, "safe_path", False):
        return
    if request.kind == "-c":
        sys.path.insert(0, "")
    elif request.kind == "-m":
        sys.path.insert(0, os.getcwd())
    elif not _is_archive(request.target):
        sys.path.insert(0, os.path.dirname(os.path.realpath(request.target)))


def _new_main(path: Optional[str]) -> Dict[str, Any]:
    module: Any = types.ModuleType("__main__")
    module.__builtins__ = builtins
    module.__annotations__ = {}
    if path is None:
        module.__loader__ = importlib.machinery.BuiltinImporter
    else:
        module.__loader__ = importlib.machinery.SourceFileLoader(
            "__main__", path)
        module.__file__ = path
        module.__cached__ = None
    sys.modules["__main__"] = module
    content: Dict[str, Any] = module.__dict__
    return content


def _run_script(target: str) -> None:
    path = target
    if sys.version_info >= (3, 9):
        path = os.path.join(os.getcwd(), target)
    if _is_archive(target):
        sys.path.insert(0, path)
        _new_main(None)
        runpy._run_module_as_main("__main__", False)  # type: ignore
        return
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", 0, True)
    exec(code, _new_main(path))


def _is_archive(target: str) -> bool:
    """A folder or zip file with a __main__."""
    import pkgutil  # pylint: disable=import-outside-toplevel
    return os.path.isdir(target) or pkgutil.get_importer(target) is not None


def _show_lines(code: Any, source: str) -> None:
    """Tracebacks of Python 3.13 and later show the lines of -c."""
    if "<string>" in linecache.cache:  # 3.13.0
        linecache.cache["<string>"] = (
            len(source), None,
            [line + "\n" for line in source.splitlines()], "<string>")
    elif hasattr(linecache, "_interactive_cache"):
        linecache._register_code(code, source,  # type: ignore[attr-defined]
                                 "<string>")


def _print_exception(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _finalize() -> None:
    """A worker leaves by os._exit(): what python would destroy, files above
    all, has to be destroyed by now."""
    content = sys.modules["__main__"].__dict__
    names = [name for name in content if not name.startswith("__")]
    # As python does: private names first.
    for name in sorted(names, key=lambda each: not each.startswith("_")):
        content[name] = None
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError as error:
        os.write(2, f"Exception ignored in: {sys.stdout!r}\n"
                 f"{type(error).__name__}: {error}\n".encode())
        os._exit(120)
    if _end.signal is not None:
        signal.signal(_end.signal, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [_end.signal])
        os.kill(os.getpid(), _end.signal)
