"""System calls that fail: the other side of tests/faults/fail_nth.cc."""

import mmap
import os
import struct

from daemon_fixture import ROOT

# To be preloaded, with FAIL_CONTROL naming the file that Faults was given.
FAIL_NTH = os.path.join(ROOT, "tests/faults/fail_nth.so")

CONTROL = struct.Struct("=32siiii")


class Faults:
    """At most one fault is armed at a time."""
    def __init__(self, path):
        with open(path, "w+b") as file:
            file.write(bytes(CONTROL.size))
            file.flush()
            self.map = mmap.mmap(file.fileno(), CONTROL.size)

    def arm(self, call, nth, error):
        self.map[:] = CONTROL.pack(b"", 0, 0, 0, 0)
        self.map[:] = CONTROL.pack(call.encode(), nth, error, 0, 0)

    def disarm(self):
        """True if the fault was hit."""
        hit = CONTROL.unpack(self.map[:])[4]
        self.map[:] = CONTROL.pack(b"", 0, 0, 0, 0)
        return hit == 1
