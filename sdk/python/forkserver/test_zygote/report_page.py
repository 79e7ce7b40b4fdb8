"""The worker's end of a report page: memory that it shares with the harness.
sdk/cpp/testing/report_page.h says how it is laid out.

A test cannot close it, as it could a descriptor, and what was written stays
when the process dies. Only the process that opened it writes: a process that a
test forks has it too, and stays silent.
"""

import struct
from typing import Iterable, Set

from forkserver.originals import os
from forkserver.protocol.messages import TestFailure, TestProgress
from forkserver.test_zygote.names import travelling
from forkserver.zygote_host import system

_HEADER = struct.Struct("=IIII")  # magic, version, pid, committed
_U32 = struct.Struct("=I")
_PID_AT = 8
_COMMITTED_AT = 12
_MAGIC = 0x52545346
_VERSION = 1
_MAX_TEXT = 256 << 10
# Failures have this much room, what is behind it is for the rest.
_FAILURE_BYTES = 4 << 20
_CUT = "\n... [cut by forkserver]"


class ReportPage:
    """Methods raise nothing: what does not fit is left out."""

    def __init__(self, fd: int) -> None:
        """Maps `fd` and closes it. Raises OSError and ValueError: it is no
        report page."""
        try:
            size = os.fstat(fd).st_size
            if size <= _FAILURE_BYTES:
                raise ValueError(f"descriptor {fd} is no report page: it has "
                                 f"{size} bytes")
            self._memory = system.map_shared(fd, size)
        finally:
            os.close(fd)
        self._pid = os.getpid()
        self._size = size
        self._ended: Set[str] = set()
        magic, version, pid, self._end = _HEADER.unpack_from(self._memory)
        if (magic, version, pid) != (_MAGIC, _VERSION, 0):
            raise ValueError(
                f"descriptor {fd} is no report page for this process: magic "
                f"{magic:#x}, version {version}, written by {pid}")
        _U32.pack_into(self._memory, _PID_AT, self._pid)

    def begun(self, test: str) -> None:
        """`test` is about to run."""
        self._write(TestProgress("begun", test))

    def ended(self, progress: TestProgress) -> None:
        """The framework's word on a test."""
        progress.event = "ended"
        self._ended.add(progress.test)
        self._write(progress)

    def complete(self, tests: Iterable[str]) -> None:
        """The framework has returned. Nothing is told if it has left out one
        of `tests`."""
        if self._ended.issuperset(tests):
            self._write(TestProgress("complete"))

    def note(self, progress: TestProgress) -> None:
        """What is no word on a test."""
        self._write(progress)

    def _write(self, progress: TestProgress) -> None:
        owner, = _U32.unpack_from(self._memory, _PID_AT)
        # It is not the writer any more when the harness has given it up.
        if not os.getpid() == self._pid == owner:
            return
        progress.test = _cut(progress.test, "")
        progress.skip_reason = _cut(progress.skip_reason)
        record = self._encode(progress)
        if progress.failures and self._end + len(record) > _FAILURE_BYTES:
            progress.failures = [TestFailure(
                f"{len(progress.failures)} failures: there is no room for "
                "what they say")]
            record = self._encode(progress)
        if _HEADER.size + self._end + len(record) > self._size:
            return
        at = _HEADER.size + self._end
        self._memory[at:at + len(record)] = record
        self._end += len(record)
        # Last: whoever reads sees whole records only.
        _U32.pack_into(self._memory, _COMMITTED_AT, self._end)

    @staticmethod
    def _encode(progress: TestProgress) -> bytes:
        for failure in progress.failures:
            failure.message = _cut(failure.message)
            failure.where = _cut(failure.where)
        body = progress.encode()
        return _U32.pack(len(body)) + body


def _cut(text: str, note: str = _CUT) -> str:
    """At most _MAX_TEXT bytes of it, and the note that it was cut; without
    surrogates that stand for no byte, which cannot travel."""
    text = travelling(text)
    if len(text) * 4 <= _MAX_TEXT:
        return text
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= _MAX_TEXT:
        return text
    return data[:_MAX_TEXT].decode("utf-8", "surrogateescape") + note
