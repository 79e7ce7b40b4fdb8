"""What plugins of a session have open, in a worker: what its modules have,
inherited_descriptors sees to."""

from typing import Any, List

# Files that must never be closed: their numbers are others'.
_leaked: List[Any] = []


def disconnect(config: Any) -> None:
    """In the zygote: pytest-rerunfailures has a connection to the main
    process."""
    if _rerun_port(config) is not None:
        config.failures_db.sock.close()


def reconnect(config: Any) -> None:
    """In a worker."""
    port = _rerun_port(config)
    if port is not None:
        config.failures_db = type(config.failures_db)(port)


def _rerun_port(config: Any) -> Any:
    if hasattr(getattr(config, "failures_db", None), "sock"):
        return config.workerinput.get("sock_port")
    return None


def use_own_streams(config: Any) -> None:
    """For the option faulthandler_timeout."""
    try:
        # pylint: disable=import-outside-toplevel
        from _pytest import faulthandler as plugin
        for name in ("fault_handler_stderr_fd_key",
                     "fault_handler_stderr_key"):
            key = getattr(plugin, name, None)
            if key is not None and key in config.stash:
                _leaked.append(config.stash[key])
                config.stash[key] = 2
    except (ImportError, AttributeError):
        pass  # another version of pytest
