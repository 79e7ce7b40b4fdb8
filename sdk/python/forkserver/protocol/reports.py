"""Reports of a zygote whose texts must fit into one atomic write."""

from typing import Iterator

from forkserver.errors import Error
from forkserver.protocol import MAX_REPORT_BYTES
from forkserver.protocol.framing import encode_request
from forkserver.protocol.messages import Crash, ErrorBody, Failed

_ELLIPSIS = "..."


def encode_failed(worker: str, pid: int, error: Error) -> bytes:
    """The frame of `failed`, at most 512 bytes: long texts are cut short."""
    failed = Failed(worker, pid, ErrorBody.from_exception(error))
    body = failed.error
    texts = sorted(("message", "hint", "step"),
                   key=lambda name: -len(_bytes(getattr(body, name))))
    frame = encode_request(failed)
    for name in texts:
        excess = len(frame) - MAX_REPORT_BYTES
        if excess <= 0:
            break
        setattr(body, name, _shorten(getattr(body, name), excess))
        frame = encode_request(failed)
    return frame


def encode_crash(worker: str, part: str, text: bytes) -> Iterator[bytes]:
    """The frames of `crash`, each at most 512 bytes, for a text of any
    length."""
    # The length of longer data takes a byte more.
    room = MAX_REPORT_BYTES - 1 - len(encode_request(Crash(worker, part)))
    for start in range(0, len(text), room):
        yield encode_request(Crash(worker, part, text[start:start + room]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shorten(text: str, excess: int) -> str:
    data = _bytes(text)
    size = len(data) - excess - len(_ELLIPSIS)
    if size <= 0:
        return ""
    while size > 0 and data[size] & 0xC0 == 0x80:
        size -= 1
    return data[:size].decode("utf-8", "surrogateescape") + _ELLIPSIS
