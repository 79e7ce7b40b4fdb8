"""The client for asyncio: as forkserver.client, with `await`."""

import asyncio
import socket
import time
from typing import (TYPE_CHECKING, Any, List, Optional, Sequence, Type,
                    TypeVar, Union)

from forkserver import daemon
from forkserver.aio_handles import (AsyncSubscription, AsyncWorker,
                                    AsyncZygote, until)
from forkserver.channel import Channel
from forkserver.daemon_version import warn_of_other_version
from forkserver.durations import deadline_of
from forkserver.errors import (ConnectionLost, DaemonStopping, Disabled,
                               Timeout)
from forkserver.fork_guard import guard
from forkserver.launch_request import (Prepared, prepare_fork, prepare_spawn,
                                       prepare_zygote, stop_request,
                                       upgrade_request)
from forkserver.process_setup import StrOrPath
from forkserver.protocol.fields import M, Message
from forkserver.protocol.messages import (DaemonStatus, DaemonUpgrade, Done,
                                          ExitReply, List_, ServiceReply,
                                          Shutdown, Signal, Status,
                                          ZygoteReply, ZygoteStop)
from forkserver.protocol.text import to_text
from forkserver.records import (ExitRecord, ServiceInfo, Snapshot,
                                WorkerInfo)
from forkserver.service_request import (prepare_service,
                                        prepare_service_restart,
                                        prepare_service_stop)
from forkserver.session import Launched, Promise, Session

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from forkserver.aio_zygote import AsyncPythonZygote
    from forkserver.launch_request import (ForkOptions, WorkerOptions,
                                           ZygoteOptions)
    from forkserver.service_request import ServiceOptions

T = TypeVar("T")


async def connect_async(path: Optional[StrOrPath] = None,
                        autostart: bool = True, *,
                        daemon_program: Optional[str] = None,
                        start_timeout: float = 10.0,
                        client_name: str = "python") -> "AsyncClient":
    """As connect(), for the running event loop.

        async with await forkserver.connect_async() as client:
            worker = await client.spawn(["make"])
            print((await worker.wait()).code)
    """
    if daemon.is_disabled():
        raise Disabled("connect_async() needs a daemon, and "
                       "FORKSERVER_DISABLE is set",
                       hint="unset FORKSERVER_DISABLE")
    socket_path = daemon.socket_path(path)
    name = to_text(client_name, "client_name")
    deadline = time.monotonic() + start_timeout
    pause = 0.01
    while True:
        steps = daemon.connect_steps(socket_path, autostart, deadline,
                                     daemon_program)
        client = AsyncClient(await _take_steps(steps), socket_path)
        try:
            await client._say_hello(name, deadline)
            warn_of_other_version(client.daemon_version, 2)
            return client
        except (ConnectionLost, DaemonStopping):
            client._end()
            if not autostart or time.monotonic() >= deadline:
                raise
        except BaseException:
            client._end()
            raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)


async def _take_steps(steps: "daemon.Steps[Any]") -> Any:
    try:
        while True:
            try:
                pause = next(steps)
            except StopIteration as end:
                return end.value
            await asyncio.sleep(pause)
    finally:
        steps.close()


class AsyncClient:
    """As Client, with `await`, in one event loop, made by connect_async().

    A worker whose spawn() or fork() is cancelled is stopped. To cancel another
    call is to give up its answer: what run() started runs on until the client
    is closed.
    """

    def __init__(self, sock: socket.socket, socket_path: str) -> None:
        self._channel = Channel(sock, socket_path)
        self._session = self._channel.session
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._receive)
        guard(self)

    # --- workers ---

    async def spawn(self, argv: Sequence[StrOrPath],
                    **options: "Unpack[WorkerOptions]") -> AsyncWorker:
        """As Client.spawn()."""
        return await self._launch(prepare_spawn(argv, options))

    async def run(self, argv: Sequence[StrOrPath],
                  **options: "Unpack[WorkerOptions]") -> ExitRecord:
        """As Client.run()."""
        prepared = prepare_spawn(argv, options, "run")
        return await self._wait(
            self._start().run(prepared.body, prepared.take_fds()))

    async def fork(self, zygote: str, entry: str,
                   **options: "Unpack[ForkOptions]") -> AsyncWorker:
        """As Client.fork()."""
        return await self._launch(prepare_fork(zygote, entry, options))

    async def run_fork(self, zygote: str, entry: str,
                       **options: "Unpack[ForkOptions]") -> ExitRecord:
        """As Client.run_fork()."""
        prepared = prepare_fork(zygote, entry, options, "run_fork")
        return await self._wait(
            self._start().run(prepared.body, prepared.take_fds()))

    async def attach(self, worker: str) -> AsyncWorker:
        """As Client.attach()."""
        worker_id = _id_of(worker)
        for info in (await self.list()).workers:
            if info.id == worker_id:
                return AsyncWorker(self, info)
        record = await self.wait(worker_id)
        return AsyncWorker(self, WorkerInfo.of_ended(record))

    async def wait(self, worker: Union[AsyncWorker, str],
                   timeout: Optional[float] = None) -> ExitRecord:
        """As Client.wait()."""
        if isinstance(worker, AsyncWorker):
            return await worker.wait(timeout)
        return await self._await_end(_id_of(worker), None, timeout)

    async def signal(self, worker: Union[AsyncWorker, str], signal: int,
                     group: bool = False) -> None:
        """As Client.signal()."""
        await self._ask(Signal(worker=_id_of(worker), signal=signal,
                               group=group), Done)

    async def stop(self, worker: Union[AsyncWorker, str],
                   grace: Optional[float] = None) -> ExitRecord:
        """As Client.stop()."""
        if isinstance(worker, AsyncWorker):
            return await worker.stop(grace)
        return await self._stop(_id_of(worker), None, grace)

    # --- zygotes ---

    async def start_zygote(self, name: str, argv: Sequence[StrOrPath] = (),
                           **options: "Unpack[ZygoteOptions]") -> AsyncZygote:
        """As Client.start_zygote()."""
        prepared = prepare_zygote(name, argv, options)
        reply = await self._wait(self._start().ask(
            prepared.body, ZygoteReply, prepared.take_fds()))
        return AsyncZygote(self, reply.zygote)

    async def zygote(self, name: str, preload: Sequence[str] = (),
                     **options: Any) -> "AsyncPythonZygote":
        """As Client.zygote()."""
        from forkserver import aio_zygote
        return await aio_zygote.start_async(self, name, preload, **options)

    async def stop_zygote(self, name: str) -> None:
        """As Client.stop_zygote()."""
        await self._ask(ZygoteStop(name=to_text(name, "the zygote's name")),
                        Done)

    # --- services ---

    async def start_service(
            self, name: str, argv: Optional[Sequence[StrOrPath]] = None,
            **options: "Unpack[ServiceOptions]") -> ServiceInfo:
        """As Client.start_service()."""
        return await self._ask_about(prepare_service(name, argv, options))

    async def stop_service(self, name: str, *, grace: Optional[float] = None,
                           remove: bool = False) -> ServiceInfo:
        """As Client.stop_service()."""
        return await self._ask_about(
            prepare_service_stop(name, grace, remove))

    async def restart_service(self, name: str,
                              wait: bool = True) -> ServiceInfo:
        """As Client.restart_service()."""
        return await self._ask_about(prepare_service_restart(name, wait))

    async def services(self) -> "List[ServiceInfo]":
        """As Client.services()."""
        return (await self._ask(List_(), Snapshot)).services

    # --- the daemon ---

    async def list(self) -> Snapshot:
        """As Client.list()."""
        return await self._ask(List_(), Snapshot)

    async def status(self) -> DaemonStatus:
        """As Client.status()."""
        return await self._ask(Status(), DaemonStatus)

    async def subscribe(self) -> AsyncSubscription:
        """As Client.subscribe()."""
        subscription = AsyncSubscription(self)
        subscription.snapshot = await self._wait(
            self._start().subscribe(subscription._on_event))
        return subscription

    async def shutdown(self) -> None:
        """As Client.shutdown()."""
        await self._ask(Shutdown(), Done)

    async def upgrade(self,
                      program: Optional[StrOrPath] = None) -> DaemonUpgrade:
        """As Client.upgrade()."""
        return await self._wait(
            self._start().upgrade(upgrade_request(program)))

    @property
    def daemon_version(self) -> str:
        """As Client.daemon_version."""
        return self._session.daemon_version

    # --- the end ---

    async def close(self) -> None:
        """Ends the connection: workers that are not detached are stopped."""
        self._end()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        await self.close()

    def abandon(self) -> None:
        """In a forked child: closes its copies."""
        self._channel.abandon()

    # --- of this package ---

    async def _ask(self, body: Message, cls: Type[M]) -> M:
        return await self._wait(self._start().ask(body, cls))

    async def _ask_about(self, body: Message) -> ServiceInfo:
        return (await self._ask(body, ServiceReply)).service

    async def _launch(self, prepared: "Prepared[Any]") -> AsyncWorker:
        promise = self._start().launch(prepared.body, prepared.take_fds())
        try:
            launched = await self._wait(promise)
        except asyncio.CancelledError:
            promise.when_done(lambda: self._stop_unwanted(promise))
            raise
        return AsyncWorker(self, launched.info, launched.end)

    def _stop_unwanted(self, promise: "Promise[Launched]") -> None:
        if not promise.failed and not self._session.lost:
            self._session.ask(stop_request(promise.result().info.id, None),
                              ExitReply)
            self._loop.call_soon(self._flush)

    async def _await_end(self, worker_id: str,
                         end: "Optional[Promise[ExitRecord]]",
                         timeout: Optional[float]) -> ExitRecord:
        deadline = deadline_of(timeout)
        if end is None:
            end = self._start().end_of(worker_id)
        return await self._wait(
            end, deadline,
            f"worker {worker_id} has not ended within {timeout} s")

    async def _stop(self, worker_id: str,
                    end: "Optional[Promise[ExitRecord]]",
                    grace: Optional[float]) -> ExitRecord:
        body = stop_request(worker_id, grace)
        if end is not None and end.done and not end.failed:
            return end.result()
        return (await self._ask(body, ExitReply)).exit

    async def _say_hello(self, name: str, deadline: float) -> None:
        session = self._start()
        promise = session.hello(name)
        try:
            await self._wait(
                promise, deadline,
                f"the daemon at {session.socket_path} does not answer: it is "
                "stopped or very busy")
        except ConnectionLost:
            pass
        session.check_hello(promise)

    def _start(self) -> Session:
        """The session, for a request that _wait() then sends."""
        self._channel.check_owner()
        return self._session

    async def _wait(self, promise: "Promise[T]",
                    deadline: Optional[float] = None, late: str = "") -> T:
        self._flush()
        if not promise.done:
            future = self._loop.create_future()

            def wake() -> None:
                if not future.done():
                    future.set_result(None)

            promise.when_done(wake)
            await until(future, deadline)
        self._channel.check_owner()
        if not promise.done:
            raise Timeout(late)
        return promise.result()

    def _flush(self) -> None:
        sent = self._channel.flush()
        if self._session.lost:
            self._unwatch()
        elif sent:
            self._loop.remove_writer(self._channel.fileno())
        else:
            self._loop.add_writer(self._channel.fileno(), self._flush)

    def _receive(self) -> None:
        self._channel.receive()
        if self._session.lost:
            self._unwatch()

    def _unwatch(self) -> None:
        fd = self._channel.fileno()
        if fd >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)

    def _end(self) -> None:
        if not self._channel.is_inherited():
            self._session.lose("this client closed it")
            self._unwatch()
            self._channel.close()


def _id_of(worker: Union[AsyncWorker, str]) -> str:
    if isinstance(worker, AsyncWorker):
        return worker.id
    return to_text(worker, "the worker's id")
