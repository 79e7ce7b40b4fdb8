"""Zygotes of this Python, for the asyncio client."""

import asyncio
import os
from typing import (TYPE_CHECKING, Any, Callable, Dict, List, Mapping,
                    Optional, Sequence)

from forkserver import calls, interpreter
from forkserver.aio_handles import AsyncWorker, AsyncZygote
from forkserver.errors import UnknownZygote
from forkserver.python_zygote import plan
from forkserver.records import ZygoteInfo
from forkserver.zygote_host import sources, state

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.aio import AsyncClient
    from forkserver.launch_request import ForkOptions

_READ_BYTES = 64 * 1024


async def start_async(client: "AsyncClient", name: str,
                      preload: Sequence[str] = (), *,
                      auto_reload: bool = False,
                      **options: Any) -> "AsyncPythonZygote":
    """As python_zygote.start()."""
    argv, given, same = plan(preload, **options)
    zygote = AsyncPythonZygote(client, name, argv, given, same, auto_reload)
    await zygote._build()
    return zygote


class AsyncPythonZygote(AsyncZygote):
    """As PythonZygote."""

    def __init__(self, client: "AsyncClient", name: str, argv: List[str],
                 given: Dict[str, Any], same: bool,
                 auto_reload: bool) -> None:
        super().__init__(client, ZygoteInfo(name=name))
        self.same = same
        self._argv = argv
        self._given = given
        self._auto_reload = auto_reload
        self._stamps: Optional[Dict[str, sources.Stamp]] = None

    async def fork(self, entry: str,
                   **options: "Unpack[ForkOptions]") -> AsyncWorker:
        """As PythonZygote.fork()."""
        if self._auto_reload and await self.stale():
            await self.reload()
        return await super().fork(entry, **options)

    async def call(self, function: Callable[..., Any], *args: Any,
                   **kwargs: Any) -> Any:
        """As PythonZygote.call(). Cancelling it stops the worker."""
        return await self.run_call(function, args, kwargs)

    async def run_call(self, function: Callable[..., Any],
                       args: Sequence[Any] = (),
                       kwargs: Optional[Mapping[str, Any]] = None,
                       timeout: Optional[float] = None,
                       **options: Any) -> Any:
        """As PythonZygote.run_call()."""
        path = interpreter.absolute_path() if self.same else None
        request = calls.Request(function, args, kwargs or {}, path)
        return await _call(self.fork, request, timeout, **options)

    async def preload_reports(self) -> List[Dict[str, Any]]:
        """As PythonZygote.preload_reports()."""
        reports: List[Dict[str, Any]] = await self._ask(state.preload_reports)
        return reports

    async def stale(self) -> List[str]:
        """As PythonZygote.stale()."""
        if self._stamps is None:
            self._stamps = await self._ask(state.source_stamps)
        return sources.changed(self._stamps)

    async def reload(self) -> None:
        """As PythonZygote.reload()."""
        try:
            # Unless somebody else has done it already.
            if any(each.id == self.info.id
                   for each in (await self._client.list()).zygotes):
                await self.stop()
        except UnknownZygote:
            pass
        await self._build()

    async def _build(self) -> None:
        zygote = await self._client.start_zygote(self.name, self._argv,
                                                 **self._given)
        self.info = zygote.info
        self._stamps = None

    async def _ask(self, function: Callable[[], Any]) -> Any:
        """A call about the zygote itself, which is not rebuilt for it."""
        return await _call(super().fork, calls.Request(function, (), {}))


async def _call(fork: Callable[..., Any], request: calls.Request,
                timeout: Optional[float] = None, **options: Any) -> Any:
    read_end, write_end = os.pipe()
    try:
        try:
            worker = await fork(calls.ENTRY, result=write_end,
                                timeout=timeout,
                                **{**request.options, **options})
        finally:
            os.close(write_end)
            request.close()
        async with worker:
            data = await _read_result(read_end)
            record = await worker.wait()
    finally:
        os.close(read_end)
    return calls.outcome(data, record, request.name)


async def _read_result(pipe: int) -> Optional[bytes]:
    os.set_blocking(pipe, False)
    loop = asyncio.get_running_loop()
    read: "asyncio.Future[None]" = loop.create_future()
    buffer = calls.ResultBuffer()

    def on_readable() -> None:
        if buffer.feed(os.read(pipe, _READ_BYTES)):
            loop.remove_reader(pipe)
            if not read.done():
                read.set_result(None)

    loop.add_reader(pipe, on_readable)
    try:
        await read
    finally:
        loop.remove_reader(pipe)
    return buffer.data()
