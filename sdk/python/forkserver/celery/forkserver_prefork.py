"""The pool class that Celery is configured with.

Celery tells kinds of pools apart by the name of their module: from 5.5 it looks
for "prefork" in it, and its banner shows the last part.
"""

from typing import Any, List

from celery.concurrency import prefork

from forkserver.celery.context import PoolContext
from forkserver.celery.origin import Origin


class _Removing:
    """Takes a process out of the pool again that could not be started:
    billiard leaves it there, and trips over it when it joins the others and
    should say what they have lost."""

    _pool: List[Any]

    def _create_worker_process(self, index: int) -> Any:
        try:
            return super()._create_worker_process(index)  # type: ignore[misc]
        except BaseException:
            self._pool[:] = [each for each in self._pool
                             if each._popen is not None]
            raise


class _AsynPool(_Removing, prefork.AsynPool):  # type: ignore[misc]
    pass


class _BlockingPool(_Removing, prefork.BlockingPool):  # type: ignore[misc]
    pass


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """The prefork pool, but its processes come from forkserverd.

    What start() raises: ZygoteFailed (the app, or a task module, raised when
    it was imported), ZygoteUnsafe (it started a thread), ConnectFailed and
    other forkserver.Error.
    """

    Pool = _AsynPool
    BlockingPool = _BlockingPool

    _origin: Any = None

    def on_start(self) -> None:
        self._origin = Origin(self.app)
        self.options = dict(self.options, context=PoolContext(self._origin))
        super().on_start()

    def restart(self) -> None:
        # With the modules as they are now.
        self._origin.renew()
        super().restart()

    def on_stop(self) -> None:
        super().on_stop()
        self._end()

    def on_terminate(self) -> None:
        super().on_terminate()
        self._end()

    def _end(self) -> None:
        if self._origin is not None:
            self._origin.close()
