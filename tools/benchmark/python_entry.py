"""What workers of the benchmark's Python zygote run: django is loaded with the
project of DJANGO_SETTINGS_MODULE, as a zygote for its tests would have it."""

import mmap
import os
import struct
import time

import django

django.setup()

with open(os.environ["BENCHMARK_STAMP_FILE"], "r+b") as file:
    STAMP = mmap.mmap(file.fileno(), 4096)


def stamp(_context):
    struct.pack_into("=q", STAMP, 0, time.monotonic_ns())
