"""Times processes and pools of one start method of multiprocessing, as a
script: multiprocessing_contender.py METHOD [bare]

For each byte on standard input it writes nanoseconds as 8 native bytes:
for `p` from the start() of a process to the end of its join(), for `o` of the
creation of a Pool of 4, for `f` from the start() of a process to its first
line.

Its processes import it again. It imports what programs do, unless it is bare.
"""

import mmap
import multiprocessing
import os
import struct
import sys
import time

if sys.argv[2:] != ["bare"]:
    import argparse
    import json
    import logging
    import subprocess


def f():
    pass


def stamp():
    moment = time.monotonic_ns()
    with open(os.environ["BENCHMARK_STAMP_FILE"], "r+b") as file:
        with mmap.mmap(file.fileno(), 4096) as page:
            struct.pack_into("=q", page, 0, moment)


def time_first_line():
    begun = time.monotonic_ns()
    process = multiprocessing.Process(target=stamp)
    process.start()
    process.join()
    with open(os.environ["BENCHMARK_STAMP_FILE"], "rb") as file:
        return struct.unpack("=q", file.read(8))[0] - begun


def time_process():
    begun = time.monotonic_ns()
    process = multiprocessing.Process(target=f)
    process.start()
    process.join()
    return time.monotonic_ns() - begun


def time_pool():
    begun = time.monotonic_ns()
    pool = multiprocessing.Pool(4)
    elapsed = time.monotonic_ns() - begun
    pool.terminate()
    pool.join()
    return elapsed


if __name__ == "__main__":
    if sys.argv[1] == "forkserverd":
        import forkserver.multiprocessing
    multiprocessing.set_start_method(sys.argv[1])
    questions = {b"p": time_process, b"o": time_pool, b"f": time_first_line}
    while True:
        question = os.read(0, 1)
        if not question:
            break
        os.write(1, struct.pack("=q", questions[question]()))
