"""python_peer.py PROGRAM: for each byte on standard input starts PROGRAM, waits
for its exit and writes the nanoseconds that took, as 8 bytes.
"""

import os
import struct
import subprocess
import sys
import time

NONE = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}

while os.read(0, 1):
    begun = time.monotonic_ns()
    code = subprocess.Popen([sys.argv[1]], **NONE).wait()
    elapsed_ns = time.monotonic_ns() - begun
    if code != 0:
        sys.exit(1)
    os.write(1, struct.pack("=q", elapsed_ns))
