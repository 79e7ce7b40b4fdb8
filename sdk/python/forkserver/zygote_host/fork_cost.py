"""What keeps the fork of a large process cheap.

fork(2) copies the page tables of what the process has written: a gigabyte in
small pages takes 15 ms, in huge ones less than 1.
"""

import re
from typing import Iterator, Tuple

from forkserver.zygote_host import system

# Less is copied sooner than moved.
_LEAST_BYTES = 16 << 20
_HUGE_BYTES = 2 << 20
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+)")


def make_forks_cheap() -> None:
    """Gives memory that is free back to the system, and moves what is large
    and filled into huge pages. To be called once, when everything is loaded:
    it copies that memory, seconds for a gigabyte. Does what the system
    can, and nothing where huge pages are switched off."""
    system.trim_memory()
    if not system.LINUX or system.resident_bytes() < _LEAST_BYTES:
        return
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled",
                  encoding="ascii") as file:
            if "[never]" in file.read():
                return
        for begin, end in list(_large_mappings()):
            begin = -(-begin // _HUGE_BYTES) * _HUGE_BYTES
            end = end // _HUGE_BYTES * _HUGE_BYTES
            if begin < end:
                system.collapse_pages(begin, end - begin)
    except OSError:
        pass  # as it was


def _large_mappings() -> Iterator[Tuple[int, int]]:
    """Mostly there: what is sparse would take more memory than before."""
    begin = end = 0
    is_private_data = False
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Anonymous:"):
                written = int(line.split()[1]) * 1024
                if is_private_data and written >= max(_LEAST_BYTES,
                                                      (end - begin) // 2):
                    yield begin, end
                continue
            head = _MAPPING.match(line)
            if head:
                begin, end = int(head[1], 16), int(head[2], 16)
                is_private_data = head[3] == "rw-p"
