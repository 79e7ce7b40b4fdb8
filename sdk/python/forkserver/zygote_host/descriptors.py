"""What descriptors this process has open, in words."""

import stat
from typing import Dict, Iterable, Set

from forkserver.originals import os, socket
from forkserver.zygote_host import system

# Those that stay open in the children of this zygote, under their numbers,
# besides what a request names.
kept: Set[int] = set()


def list_descriptors(without: Iterable[int] = ()) -> Dict[int, str]:
    """{number: what it is}, but for those of `without`."""
    own = set(without)
    found = {}
    for fd in system.open_descriptors():
        if fd not in own:
            text = _describe(fd)
            if text:
                found[fd] = text
    return found


def _describe(fd: int) -> str:
    """Empty if it is not open."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return ""
    if stat.S_ISSOCK(mode):
        return _describe_socket(fd)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return stat.filemode(mode)


def _describe_socket(fd: int) -> str:
    # By a copy: an object with the number itself would close it.
    with socket.socket(fileno=os.dup(fd)) as one:
        family = getattr(one.family, "name", one.family)
        kind = getattr(one.type, "name", one.type)
        text = f"socket {family} {kind}"
        for word, name in (("at", one.getsockname), ("to", one.getpeername)):
            try:
                address = name()
            except OSError:
                continue
            if address:
                text += f" {word} {address!r}"
        return text
