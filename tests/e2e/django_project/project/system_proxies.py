"""A stand-in for _scproxy of macOS, with Darwin's rule.

A process that has looked up the system's proxies has used frameworks that no
forked child may use: in a child that was forked after the lookup, the next one
ends with SIGSEGV. A child that was forked before it is fine.
"""

import os
import signal
import urllib.request

_used = False
_poisoned = False


def _after_fork_in_child():
    global _poisoned
    _poisoned = _poisoned or _used


os.register_at_fork(after_in_child=_after_fork_in_child)


def _ask_the_system():
    global _used
    if _poisoned:
        os.kill(os.getpid(), signal.SIGSEGV)
    _used = True


def getproxies():
    """As on macOS: the environment, then the system."""
    proxies = urllib.request.getproxies_environment()
    _ask_the_system()
    return proxies


def proxy_bypass(host):
    _ask_the_system()
    return bool(urllib.request.proxy_bypass_environment(host))


def install(hidden):
    """urllib.request asks the system from now on, and with it requests.
    `hidden`: requests alone."""
    targets = [] if hidden else [urllib.request]
    try:
        import requests.compat
        import requests.sessions
        import requests.utils
        targets += [requests.compat, requests.sessions, requests.utils]
    except ImportError:
        pass
    for module in targets:
        for function in (getproxies, proxy_bypass):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)
