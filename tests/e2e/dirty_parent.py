"""Becomes forkserverd after it has made itself as dirty as a process can be.

  dirty_parent.py MADE COMMAND...

Everything that execve(2) hands on is made strange. MADE is a file that gets,
as JSON, each step with null, or why the system did not allow it. COMMAND,
forkserverd, is executed in a child whose parent ends when it does, and which
has asked to be killed then. DIRTY_PRELOAD is a library, DIRTY_ALSO names steps
that cannot be undone, DIRTY_NOT limits to leave alone.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
RT_SIGACTION, IOPRIO_SET, SET_MEMPOLICY, TGKILL = \
    (134, 30, 237, 131) if ARM else (13, 251, 238, 234)
PR_SET_PDEATHSIG, PR_SET_TIMERSLACK, PR_SET_THP_DISABLE = 1, 29, 41
PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 28, 38
ADDR_NO_RANDOMIZE = 0x0040000
IDLE_CLASS = 3 << 13
SECBIT_NO_SETUID_FIXUP = 4
MPOL_PREFERRED = 1


def check(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def prctl(*arguments):
    words = [ctypes.c_ulong(each) for each in arguments]
    check(LIBC.prctl(*words, *[ctypes.c_ulong(0)] * (5 - len(words))))


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def in_a_child(function):
    """The number that it returns there."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, str(function()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as result:
        number = int(result.read())
    os.waitpid(pid, 0)
    return number


def lowest_niceness():
    """0, or what this process has if it may not go back there."""

    def lower():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        return os.getpriority(os.PRIO_PROCESS, 0)

    return in_a_child(lower)


def lowest_oom_score():
    """The same of oom_score_adj."""

    def lower():
        with contextlib.suppress(OSError):
            write("/proc/self/oom_score_adj", "0")
        with open("/proc/self/oom_score_adj", encoding="ascii") as file:
            return int(file.read())

    return in_a_child(lower)


def nice():
    before = os.getpriority(os.PRIO_PROCESS, 0)

    def there_and_back():
        os.setpriority(os.PRIO_PROCESS, 0, before + 1)
        return int(lowest_niceness() > before)

    if "nice" not in os.environ["DIRTY_ALSO"] and in_a_child(there_and_back):
        raise OSError("it takes rights to undo it")
    os.setpriority(os.PRIO_PROCESS, 0, 10)


def batch():
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def one_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def io_idle():
    check(LIBC.syscall(IOPRIO_SET, 1, 0, IDLE_CLASS))


def oom_score():
    write("/proc/self/oom_score_adj", "500")


def timer_slack():
    prctl(PR_SET_TIMERSLACK, 1_000_000_000)


def no_huge_pages():
    prctl(PR_SET_THP_DISABLE, 1)


def memory_policy():
    node = ctypes.c_ulong(1)
    check(LIBC.syscall(SET_MEMPOLICY, MPOL_PREFERRED, ctypes.byref(node), 8))


def no_randomization():
    check(LIBC.personality(ADDR_NO_RANDOMIZE))


def securebits():
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)


def no_new_privs():
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def cgroup():
    write(os.path.join(os.environ["DIRTY_CGROUP"], "cgroup.procs"),
          str(os.getpid()))


def terminal():
    os.setsid()
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (master, slave):
        os.set_inheritable(fd, True)


def descriptors():
    """Hundreds, of all kinds, and some above 1000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    for _ in range(50):
        os.pipe()
        for each in socket.socketpair():
            each.detach()
    listening = socket.socket()
    listening.listen(1)
    listening.detach()
    for number in (1000, 1001, 1500, 2000):
        if number < hard:
            os.dup2(0, number)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.set_inheritable(int(name), True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def signals():
    """Blocked, ignored, and pending."""
    everything = (ctypes.c_ulong * 16)(*[2**64 - 1] * 16)
    LIBC.syscall(14 if not ARM else 135, signal.SIG_BLOCK, everything, None,
                 ctypes.c_size_t(8))
    # Not the two that glibc hides: starting a thread unblocks them.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMAX):
        LIBC.syscall(TGKILL, os.getpid(), os.getpid(), int(number))
    # What is ignored is not pending: others.
    ignore = struct.pack("Q24x", 1)
    for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE,
                   signal.SIGUSR2, signal.SIGALRM):
        LIBC.syscall(RT_SIGACTION, int(number), ignore, None,
                     ctypes.c_size_t(8))


def timers():
    # SIGALRM's own action is to kill.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    signal.setitimer(signal.ITIMER_PROF, 0.3)


def limits():
    for name, value in (("NOFILE", 32), ("CORE", 0), ("CPU", 60),
                        ("FSIZE", 1 << 20), ("STACK", 5 << 20),
                        ("NPROC", 200), ("MEMLOCK", 65536),
                        ("AS", 1 << 30), ("DATA", 512 << 20)):
        if name in os.environ.get("DIRTY_NOT", "").split():
            continue
        number = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(number)[1]
        if hard == resource.RLIM_INFINITY or value < hard:
            resource.setrlimit(number, (value, hard))


def lowered_hard_limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, 900))


def working_directory():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def file_mask():
    os.umask(0o777)


def threads():
    never = threading.Event()
    for _ in range(4):
        threading.Thread(target=never.wait, daemon=True).start()


def parent_death():
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def streams():
    for stream in range(3):
        os.close(stream)


# In this order: what comes late would be in the way of what comes early.
ALWAYS = [
    terminal, nice, batch, one_cpu, io_idle, oom_score, timer_slack,
    no_huge_pages, memory_policy, no_randomization, securebits, threads,
    working_directory, file_mask, parent_death
]
BY_NAME = {each.__name__: each for each in (
    nice, no_new_privs, cgroup, lowered_hard_limits)}


def environment():
    """A megabyte, and what others read at their start."""
    variables = {f"BIG_{i}": "x" * 100_000 for i in range(10)}
    return {
        **os.environ, **variables,
        "MALLOC_ARENA_MAX": "1", "MALLOC_PERTURB_": "165",
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
        "LC_ALL": "tr_TR.UTF-8", "LD_BIND_NOW": "1",
        "LISTEN_PID": "1", "LISTEN_FDS": "3",
        "NOTIFY_SOCKET": "@nobody-listens-here",
        "LD_PRELOAD": os.environ["DIRTY_PRELOAD"],
    }


def become_dirty(made_file):
    made = {}
    for step in ALWAYS + [BY_NAME[name] for name in
                          os.environ.get("DIRTY_ALSO", "").split()]:
        try:
            step()
            made[step.__name__] = None
        except (OSError, ValueError) as error:
            made[step.__name__] = str(error)
    os.umask(0o077)
    write(made_file, json.dumps(made))
    os.umask(0o777)
    # Nothing may be read, written or opened after these.
    descriptors()
    signals()
    limits()
    timers()
    streams()


def main():
    made_file, command = sys.argv[1], sys.argv[2:]
    pid = os.fork()
    if pid == 0:
        become_dirty(made_file)
        os.execve(command[0], command, environment())
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xff)


if __name__ == "__main__":
    main()
