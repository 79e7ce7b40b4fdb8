"""What descriptors this process has open, in words."""

import stat
from typing import Dict, Iterable, List, Set

from forkserver.originals import os, socket
from forkserver.zygote_host import system

# Those that stay open in the children of this zygote, under their numbers,
# besides what a request names.
kept: Set[int] = set()


def list_descriptors(without: Iterable[int] = ()) -> Dict[int, str]:
    """{number: what it is}, but for those of `without`."""
    own = set(without)
    return {fd: _describe(fd) for fd in open_numbers() if fd not in own}


def open_numbers() -> List[int]:
    """Ascending."""
    numbers = []
    for fd in system.open_descriptors():
        try:
            os.fstat(fd)
            numbers.append(fd)
        except OSError:
            pass  # that of the listing
    return numbers


def _describe(fd: int) -> str:
    mode = os.fstat(fd).st_mode
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
