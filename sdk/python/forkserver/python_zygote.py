"""Zygotes of this Python: start(), which Client.zygote() is, and what it
returns."""

from typing import (TYPE_CHECKING, Any, Callable, Dict, List, Mapping,
                    Optional, Sequence, Tuple, Union)

from forkserver import calls, interpreter
from forkserver.errors import BadRequest, UnknownZygote
from forkserver.records import ZygoteInfo
from forkserver.worker import Worker
from forkserver.zygote import Zygote
from forkserver.zygote_host import sources, state
from forkserver.zygote_host.thread_table import check_rules

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.client import Client
    from forkserver.launch_request import ForkOptions


def start(client: "Client", name: str, preload: Sequence[str] = (), *,
          python: Optional[str] = None,
          parent: Union["PythonZygote", str, None] = None,
          before_freeze: Sequence[str] = (),
          after_fork: Sequence[str] = (),
          known_threads: Sequence[Union[str, Dict[str, Any]]] = (),
          auto_reload: bool = False, **options: Any) -> "PythonZygote":
    """Starts a zygote of this Python, or joins the one of that name that is
    the same. Blocks until it is ready.

        zygote = client.zygote("shop", preload=["django", "shop.models"])
        print(zygote.call(shop.reports.total, 2024))

    It is a process of the caller's interpreter, with its flags, sys.path and
    working directory, that imports `preload` in order; its workers start with
    all that imported.

    preload        module, "module:function" (called without arguments), or
                   "__main__", the caller's main module without what is under
                   `if __name__ == "__main__"`. "django" calls django.setup()
                   if DJANGO_SETTINGS_MODULE is set
    python         another interpreter: it has its own flags and sys.path
    parent         a zygote to fork it from: it has all that that one loaded
    before_freeze  "module:function", run in the zygote after the preload
    after_fork     "module:function", run in each worker before its entry
    known_threads  threads that survive a fork: names, or rules
                   {"thread": pattern, "library": pattern, "module": pattern}
    auto_reload    rebuild it before a call or fork when source files that it
                   loaded have changed
    keep, replace, audit_policy, entry_deadline, grace, spares, freeze, env, cwd,
    umask, limits, nice, cpus, io_priority, oom_score_adj, no_new_privs, group, fds
                   as in Client.start_zygote()

    Raises ZygoteFailed (a preload step raised: the message has its traceback),
    ZygoteUnsafe (a thread, descriptor or library that does not survive a fork,
    named with the step that brought it in), ZygoteConflict, LaunchFailed (no such interpreter).
    """
    argv, given, same = plan(
        preload, python=python, parent=parent, before_freeze=before_freeze,
        after_fork=after_fork, known_threads=known_threads, **options)

    def build() -> ZygoteInfo:
        return client.start_zygote(name, argv, **given).info

    return PythonZygote(client, build(), build, same, auto_reload)


def plan(preload: Sequence[str] = (), *, python: Optional[str] = None,
         parent: Any = None, before_freeze: Sequence[str] = (),
         after_fork: Sequence[str] = (),
         known_threads: Sequence[Union[str, Dict[str, Any]]] = (),
         **options: Any) -> Tuple[List[str], Dict[str, Any], bool]:
    """The arguments of start() as those of Client.start_zygote(): argv and
    options. And whether it is of this interpreter."""
    given = dict(options, preload=_texts(preload, "preload"))
    settings = interpreter.own_settings()
    settings.before_freeze = _texts(before_freeze, "before_freeze")
    settings.after_fork = _texts(after_fork, "after_fork")
    settings.known_threads = check_rules(known_threads)
    same = interpreter.is_this(python)
    if parent is None:
        # A main module is nothing that makes two zygotes differ, unless it
        # is loaded.
        if "__main__" not in preload:
            settings.main = None
        argv = interpreter.command(python, settings)
    else:
        if python is not None:
            raise BadRequest("python= and parent= exclude each other: a "
                             "nested zygote is forked, not executed")
        given["parent"] = parent if isinstance(parent, str) else parent.name
        # As binary too: the identity is not made of args.
        given["args"] = settings.to_json().encode()
        given["binary"] = settings.to_json()
        same = getattr(parent, "same", True)
        argv = []
    return argv, given, same


def _texts(names: Sequence[str], what: str) -> List[str]:
    if isinstance(names, str) or not all(isinstance(each, str)
                                         for each in names):
        raise BadRequest(f"{what} must be a list of texts, not {names!r}")
    return list(names)


class PythonZygote(Zygote):
    """A zygote whose workers run Python functions."""

    def __init__(self, client: "Client", info: ZygoteInfo,
                 build: Callable[[], ZygoteInfo], same: bool,
                 auto_reload: bool) -> None:
        super().__init__(client, info)
        # Whether it is of the caller's interpreter, and finds its modules.
        self.same = same
        self._build = build
        self._auto_reload = auto_reload
        self._stamps: Optional[Dict[str, sources.Stamp]] = None

    def fork(self, entry: str, **options: "Unpack[ForkOptions]") -> Worker:
        """A worker that runs the function "module:function", which is given a
        WorkerContext and returns the exit code. See Client.fork()."""
        if self._auto_reload:
            self._reload_if_stale()
        return super().fork(entry, **options)

    def call(self, function: Callable[..., Any], *args: Any,
             **kwargs: Any) -> Any:
        """Runs function(*args, **kwargs) in a fresh worker; returns its value.

        The worker has the caller's environment, working directory, sys.path,
        sys.argv, standard output and error; its standard input is /dev/null.
        Blocks until the worker has ended.

        Raises what the function raises, with the worker's traceback as
        __cause__ (a RemoteTraceback); RemoteError in its place if it cannot be
        pickled; NotPicklable; WorkerDied, whose message names the signal and
        which has the exit record as `exit`; and what Client.fork() does.
        """
        return self.run_call(function, args, kwargs)

    def run_call(self, function: Callable[..., Any],
                 args: Sequence[Any] = (),
                 kwargs: Optional[Mapping[str, Any]] = None,
                 timeout: Optional[float] = None,
                 **options: "Unpack[ForkOptions]") -> Any:
        """call() with the options of Client.fork(): env, cwd, stdout, ...

        `timeout` is in seconds: the worker is stopped, TimeoutError raised.
        """
        path = interpreter.absolute_path() if self.same else None
        request = calls.Request(function, args, kwargs or {}, path)
        return calls.call(self.fork, request, timeout, **options)

    def preload_reports(self) -> List[Dict[str, Any]]:
        """What each preload step cost and left behind: `name`, `wall_us`,
        `rss_bytes`, `threads`, `new_threads` and `new_fds` in words. Takes a
        worker."""
        return self._ask(state.preload_reports)

    def stale(self) -> List[str]:
        """The source files that the zygote loaded and that have changed or
        are gone since. Takes a worker, the first time."""
        if self._stamps is None:
            self._stamps = self._ask(state.source_stamps)
        return sources.changed(self._stamps)

    def reload(self) -> None:
        """Retires it and starts it anew. Its workers live on; other clients'
        handles of that name are of the new one."""
        try:
            # Unless somebody else has done it already.
            if any(each.id == self.info.id
                   for each in self._client.list().zygotes):
                self.stop()
        except UnknownZygote:
            pass
        self.info = self._build()
        self._stamps = None

    def _reload_if_stale(self) -> None:
        if self.stale():
            self.reload()

    def _ask(self, function: Callable[[], Any]) -> Any:
        """A call about the zygote itself, which is not rebuilt for it."""
        request = calls.Request(function, (), {})
        return calls.call(super().fork, request)
