"""A zygote, as the blocking client sees it."""

from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type

from forkserver.errors import Error, UnknownZygote
from forkserver.records import ExitRecord, ZygoteInfo
from forkserver.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.client import Client
    from forkserver.launch_request import ForkOptions


class Zygote:
    """A process from which workers are forked.

        with client.start_zygote("words", ["./words"]) as zygote:
            record = zygote.fork("translate", args=b"hello").wait()

    Leaving the `with` block retires it.
    """

    def __init__(self, client: "Client", info: ZygoteInfo) -> None:
        self._client = client
        self.info = info

    @property
    def name(self) -> str:
        return self.info.name

    def __repr__(self) -> str:
        return f"<forkserver.Zygote {self.name!r} pid {self.info.pid}>"

    def fork(self, entry: str, **options: "Unpack[ForkOptions]") -> Worker:
        """A worker that runs `entry`: see Client.fork()."""
        return self._client.fork(self.name, entry, **options)

    def run(self, entry: str, **options: "Unpack[ForkOptions]") -> ExitRecord:
        """fork() and wait() in one request, which is the fastest way when
        only the end matters."""
        return self._client.run_fork(self.name, entry, **options)

    def stop(self) -> None:
        """Retires it: it makes no more workers, and ends with its last."""
        self._client.stop_zygote(self.name)

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]],
                 error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        try:
            self.stop()
        except UnknownZygote:
            pass
        except Error:
            if error is None:
                raise
