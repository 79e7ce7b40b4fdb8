"""Times processes of CPython's multiprocessing forkserver, as a script.

For each byte on standard input it starts one process, waits for it, and
writes the nanoseconds from start() to the end of join() as 8 native bytes.
"""

import multiprocessing
import os
import struct
import time


def f():
    pass


if __name__ == "__main__":
    multiprocessing.set_start_method("forkserver")
    while os.read(0, 1):
        begun = time.monotonic_ns()
        process = multiprocessing.Process(target=f)
        process.start()
        process.join()
        os.write(1, struct.pack("=q", time.monotonic_ns() - begun))
