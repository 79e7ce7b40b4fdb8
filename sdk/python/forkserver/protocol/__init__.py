"""The wire of docs/protocol.md: messages, frames, descriptors.

For the client and the zygote of this package. No I/O of its own but on
sockets that it is given; needs `msgpack`.
"""

# What the protocol calls its limits.
MIN_PROTOCOL = 1
MAX_PROTOCOL = 1
MAX_FRAME_BYTES = 4 << 20
# What a client reads: a list of all workers is long.
MAX_REPLY_BYTES = 64 << 20
MAX_FDS = 253
MAX_NESTING = 32
MAX_ARRAY = 65536
MAX_MAP = 1024
MAX_REPORT_BYTES = 512
MAX_NAME_BYTES = 128
# Every worker has it in its environment: its id, by which what it executes is
# found.
WORKER_VARIABLE = "FORKSERVER_WORKER"
