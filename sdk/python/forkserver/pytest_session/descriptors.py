"""What a session has open, in a worker, which has none of its zygote's
descriptors."""

import logging
from typing import Any, List

# Files whose descriptors are not there any more must never be closed: the
# numbers may be others' by now.
_leaked: List[Any] = []


def reopen_logs() -> None:
    references: Any = logging._handlerList  # type: ignore[attr-defined]
    for reference in list(references):
        handler = reference() if callable(reference) else reference
        if isinstance(handler, logging.FileHandler) and handler.stream:
            _leaked.append(handler.stream)
            handler.stream = open(  # pylint: disable=consider-using-with
                handler.baseFilename, "a", encoding=handler.encoding)


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
