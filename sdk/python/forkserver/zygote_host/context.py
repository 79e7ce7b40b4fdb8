"""What an entry is given."""

from typing import List, Optional


class WorkerContext:
    """The request, as the entry sees it. Its process already has the
    environment, working directory, umask, limits, streams and descriptors
    that were asked for.

        def greet(context):              # client: zygote.fork("shop:greet",
            name = context.args.decode()  #            args=b"Ada")
            context.set_result(b"hello, " + name.encode())
            return 0                     # the exit code; None is 0
    """

    __slots__ = ("worker_id", "entry", "args", "argv", "result")

    def __init__(self, worker_id: str, entry: str, args: bytes,
                 argv: List[str]) -> None:
        self.worker_id = worker_id
        self.entry = entry
        self.args = args
        self.argv = argv
        self.result: Optional[bytes] = None

    def set_result(self, result: bytes) -> None:
        """Bytes that the client reads when the entry has returned. The last
        ones set count; a worker that dies sends none."""
        self.result = bytes(result)
