"""What a worker leaves behind in its process group when it ends."""

from typing import List

from forkserver.originals import os

# So that they fit into a report.
MAX_LEFTOVERS = 3
MAX_BYTES = 64

_EXITING = 0x4  # the kernel's flag of a process on its way out
_KILLED = 1 << 8  # SIGKILL, as a bit of what is pending


def find_leftovers(group: int, heir: int) -> List[str]:
    """The processes of `group` that live on, as "4711 sleep 100": a few.

    Its leader has ended and is not reaped yet. `heir` is the process that
    inherits orphans, or 0: then nothing is looked for. Empty where the system
    does not tell (macOS, or a kernel without CONFIG_PROC_CHILDREN).
    """
    if not heir:
        return []
    try:
        with open(f"/proc/{heir}/task/{heir}/children",
                  encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return []
    found: List[str] = []
    for pid in children:
        if len(found) == MAX_LEFTOVERS:
            break
        if pid != group and _group_of(pid) == group and not _is_ending(pid):
            found.append(_describe(pid))
    return found


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _is_ending(pid: int) -> bool:
    """It has ended, or nothing can keep it from ending."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # "pid (name) state ppid pgrp session tty tpgid flags ..."
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X") or int(fields[6]) & _EXITING:
            return True
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith((b"SigPnd:", b"ShdPnd:")):
                    if int(line.split()[1], 16) & _KILLED:
                        return True
    except (OSError, IndexError):
        return True
    return False


def _describe(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read(MAX_BYTES).rstrip(b"\0").replace(b"\0", b" ")
        if not command:  # while it executes a program
            with open(f"/proc/{pid}/comm", "rb") as file:
                command = b"[%s]" % file.read().rstrip(b"\n")
    except OSError:
        command = b""
    text = b"%d %s" % (pid, command)
    return text[:MAX_BYTES].decode("utf-8", "replace")
