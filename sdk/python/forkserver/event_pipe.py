"""What a worker tells its client while it runs: events, on a pipe.

In the worker:

    events = EventWriter(event_pipe.CHILD_FD)
    events.send("startTest", "test_add")

In the client, in a thread of its own, for zygote.fork(entry, ...):

    end = forward_events(zygote.fork, "tests:run", on_event, args=b"...")
    print(end.record.signal, end.crash_report)

An event is a tuple of what can be pickled. One that a dying worker sent in
part is dropped.
"""

import faulthandler
import struct
import tempfile
from typing import IO, Any, Callable, Iterator, List, NamedTuple, Tuple

from forkserver import calls
from forkserver.originals import os, pickle, select
from forkserver.records import ExitRecord

Event = Tuple[Any, ...]

# Where a worker or zygote finds its end of the pipe, and its request: where no
# module that is loaded opens anything, and no program looks that thinks that it
# knows its descriptors.
CHILD_FD = 200
REQUEST_FD = 201
CRASH_FD = 202

_LENGTH = struct.Struct(">I")


class EventWriter:
    """The sending end. Takes over `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_inheritable(fd, False)

    def fileno(self) -> int:
        return self._fd

    def send(self, *event: Any) -> None:
        """Blocks while the pipe is full. Raises OSError: the reader is gone,
        or the program closed the descriptor."""
        data = pickle.dumps(event, 4)
        view = memoryview(_LENGTH.pack(len(data)) + data)
        while view:
            view = view[os.write(self._fd, view):]

    def close(self) -> None:
        os.close(self._fd)


class End(NamedTuple):
    """How a worker ended."""
    record: ExitRecord
    # What faulthandler wrote, if the worker called report_crashes().
    crash_report: str

    def describe(self) -> str:
        """In words: "was killed by SIGSEGV"."""
        return calls.describe_end(self.record)


def report_crashes() -> None:
    """In the worker: a crash is to leave its Python traceback for the
    client."""
    os.set_inheritable(CRASH_FD, False)
    faulthandler.enable(CRASH_FD)


def read_events(fd: int, sentinel: int) -> Iterator[Event]:
    """Events until the end of file, or until `sentinel` is readable: children
    of the worker may hold its end open. Blocks."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(sentinel, select.POLLIN)
    data = b""
    while True:
        if fd not in (each for each, _ in poll.poll()):
            # It has ended. What it wrote last may have come after the look.
            if not select.select([fd], [], [], 0)[0]:
                return
        chunk = os.read(fd, 65536)
        if not chunk:
            return
        data += chunk
        while len(data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
            if len(data) < end:
                break
            yield pickle.loads(data[_LENGTH.size:end])
            data = data[end:]


def recorded_events(file: IO[bytes]) -> List[Event]:
    """What an EventWriter wrote to a file, all of it."""
    file.seek(0)
    data = file.read()
    events: List[Event] = []
    while len(data) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        if len(data) < end:
            break
        events.append(pickle.loads(data[_LENGTH.size:end]))
        data = data[end:]
    return events


def request_file(request: Any) -> IO[bytes]:
    """A file with a pickle of `request`, to be handed on as REQUEST_FD: for
    what is too long for an environment or a message."""
    # Closed by the caller.
    # pylint: disable-next=consider-using-with
    file = tempfile.TemporaryFile()
    pickle.dump(request, file, 4)
    file.flush()
    file.seek(0)
    return file


def read_request() -> Any:
    """In the process that got it as REQUEST_FD."""
    with open(REQUEST_FD, "rb") as file:
        return pickle.load(file)


def forward_events(fork: Callable[..., Any], entry: str,
                   on_event: Callable[[Event], None],
                   on_start: Callable[[Any], None], **options: Any) -> End:
    """Forks a worker with the sending end of a pipe as CHILD_FD, calls
    on_start(worker), then on_event(event) for each.

    Blocks until the worker has ended. Raises what `fork` does.
    """
    read_end, write_end = os.pipe()
    with open(read_end, "rb"), tempfile.TemporaryFile() as crash:
        try:
            worker = fork(entry, fds={CHILD_FD: write_end, CRASH_FD: crash},
                          **options)
        finally:
            os.close(write_end)
        on_start(worker)
        for event in read_events(read_end, worker.sentinel):
            on_event(event)
        record = worker.wait()
        crash.seek(0)
        return End(record, crash.read().decode(errors="replace"))
