"""Hooks of preloaded modules: what to do before workers are forked, and after.

    import forkserver.hooks

    @forkserver.hooks.before_freeze
    def warm_up():            # once in the zygote, when all is loaded
        cache.fill()

    @forkserver.hooks.after_fork
    def open_log():           # in each worker, before its entry
        log.open()

They are functions without arguments, run in the order in which they were
registered, in the main thread. A module registers them when it is imported; in
a process that is no zygote they are never run. `before_freeze=` and
`after_fork=` of Client.zygote name hooks as "module:function", without touching
the module.

A before_freeze hook that raises makes the zygote fail; an after_fork hook that
raises makes the worker fail before its entry begins.
"""

from typing import Callable, List, TypeVar

__all__ = ["after_fork", "before_freeze"]

Hook = Callable[[], object]
H = TypeVar("H", bound=Hook)

before_freeze_hooks: List[Hook] = []
after_fork_hooks: List[Hook] = []


def before_freeze(hook: H) -> H:
    """Decorator: `hook` runs in the zygote, after its preload steps."""
    before_freeze_hooks.append(hook)
    return hook


def after_fork(hook: H) -> H:
    """Decorator: `hook` runs in each worker, before its entry."""
    after_fork_hooks.append(hook)
    return hook
