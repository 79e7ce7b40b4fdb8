"""The system's proxy settings, looked up in a worker.

On macOS urllib.request asks the system through _scproxy, which starts threads
and queues: from then on every forked child of the process crashes. So does
`requests`, and what is built on it. After patch_system_proxies() the question
is asked in a fresh worker, and the process that will fork stays clean.
"""

import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from forkserver import isolation

__all__ = ["patch_system_proxies"]

# What urllib.request took from _scproxy, and under these names looks up at
# each call: patching them reaches code that holds getproxies() itself.
_SCPROXY = ("_get_proxies", "_get_proxy_settings")
# Elsewhere: the functions as a whole, if they are not the ones that only read
# environment variables.
_PLAIN = {"getproxies": "getproxies_environment",
          "proxy_bypass": "proxy_bypass_environment"}

_Patch = Tuple[Any, str, Any]
_undo: Optional[Callable[[], None]] = None


def patch_system_proxies(cache_seconds: float = 60.0) -> Callable[[], None]:
    """Routes the system proxy lookup of urllib.request through workers.

        import forkserver
        forkserver.patch_system_proxies()

    Call it before the first request, in settings or manage.py for example.
    Environment variables (http_proxy, no_proxy ...) still come first and are
    read here, without a worker. What a lookup answered is kept for
    `cache_seconds`, in forked children too: a change of the system's settings
    is seen after that time. A lookup that fails raises a forkserver.Error; it
    is never done in this process instead.

    Returns a function that undoes it. To call it again changes nothing and
    returns the same function.
    """
    global _undo
    if _undo is not None:
        return _undo
    import urllib.request as target
    patches: List[_Patch] = []
    names = [name for name in _SCPROXY if hasattr(target, name)]
    if not names:
        names = [name for name, safe in _PLAIN.items()
                 if getattr(target, name) is not getattr(target, safe)]
    for name in names:
        _patch(patches, name, _Lookup(getattr(target, name), cache_seconds))

    def undo() -> None:
        global _undo
        for owner, name, original in patches:
            setattr(owner, name, original)
        patches.clear()
        _undo = None

    _undo = undo
    return undo


def _patch(patches: List[_Patch], name: str, lookup: "_Lookup") -> None:
    """In urllib.request, and wherever else the same function is: where it is
    from, and where `from urllib.request import` took it."""
    original = lookup.__wrapped__
    for module in list(sys.modules.values()):
        try:
            found = vars(module).get(name)
        except TypeError:
            continue
        if found is original:
            patches.append((module, name, original))
            setattr(module, name, lookup)


class _Lookup:
    """Answers in the place of a function."""

    def __init__(self, function: Callable[..., Any],
                 cache_seconds: float) -> None:
        self.__name__ = function.__name__
        self.__wrapped__ = function
        self._module = function.__module__
        self._function = function.__qualname__
        self._seconds = cache_seconds
        self._answers: Dict[Tuple[Any, ...], Tuple[float, Any]] = {}

    def __call__(self, *args: Any) -> Any:
        now = time.monotonic()
        known = self._answers.get(args)
        if known is None or now - known[0] >= self._seconds:
            answer = isolation.call_in_default(
                (), ask, (self._module, self._function, args))
            known = self._answers[args] = (now, answer)
        answer = known[1]
        # Callers may change what they are given.
        return dict(answer) if isinstance(answer, dict) else answer

    def __repr__(self) -> str:
        return f"<{self._module}.{self._function} in a worker>"


def ask(module: str, function: str, args: Tuple[Any, ...]) -> Any:
    """In the worker: the function itself."""
    import importlib
    found: Any = importlib.import_module(module)
    for part in function.split("."):
        found = getattr(found, part)
    return getattr(found, "__wrapped__", found)(*args)
