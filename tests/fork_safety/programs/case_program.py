"""One case: a parent that has used something, and its children's answers.

    case_program.py MODULE USE CHILDREN

MODULE has `work(number)`, `right_answer(number)` and, where that is more than
to do the work, a function USE by which a parent comes into the state that the
case is about. The program does so, prints READY, and waits for a line:

    fork   CHILDREN children are forked, at once, and do the work
    ask    forkserverd is asked for CHILDREN workers, by this same parent

Then it prints a JSON list of what became of each, and waits for the end of its
standard input.
"""

import concurrent.futures
import importlib
import json
import os
import resource
import signal
import sys
import time

import forkserver

# A child that sleeps for so long, or computes for so long what takes
# milliseconds, hangs. A loaded machine keeps it runnable, not asleep.
QUIET_SECONDS = 3
CPU_SECONDS = 5


def verdict(module, number, answer):
    if answer == module.right_answer(number):
        return "right answer"
    return f"wrong answer: {answer}"


def attempt(module, number):
    try:
        return verdict(module, number, module.work(number))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Child:
    """A child of os.fork() that does the work."""

    def __init__(self, module, number):
        self.outcome = None
        self._read_end, write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.write(write_end, attempt(module, number).encode()[:4000])
            os._exit(0)
        os.close(write_end)
        self._ticks = None
        self._since = time.monotonic()

    def look(self):
        """Sets the outcome once there is one."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            hang = self._hang()
            if hang is None:
                return
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self.outcome = hang
        elif os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            self.outcome = f"killed by {name}"
        else:
            with open(self._read_end, encoding="utf-8") as pipe:
                self.outcome = (pipe.read() or
                                f"exit code {os.WEXITSTATUS(status)}")

    def _hang(self):
        with open(f"/proc/{self._pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        state, ticks = fields[0], int(fields[11]) + int(fields[12])
        if ticks > CPU_SECONDS * os.sysconf("SC_CLK_TCK"):
            return "hangs, running"
        now = time.monotonic()
        if ticks != self._ticks or state != "S":
            self._ticks, self._since = ticks, now
        elif now - self._since > QUIET_SECONDS:
            with open(f"/proc/{self._pid}/wchan", encoding="utf-8") as file:
                return f"hangs in {file.read()}"
        return None


def fork_children(module, count):
    children = [Child(module, number) for number in range(1, count + 1)]
    while any(child.outcome is None for child in children):
        time.sleep(0.02)
        for child in children:
            if child.outcome is None:
                child.look()
    return [child.outcome for child in children]


def ask_for_workers(module, count):
    with forkserver.connect(autostart=False) as client:
        zygote = client.zygote("case", preload=[module.__name__])
        # A thread for each waits for its answer: this parent may have threads.
        with concurrent.futures.ThreadPoolExecutor(count) as callers:
            return list(callers.map(
                lambda number: verdict(module, number,
                                       zygote.call(module.work, number)),
                range(1, count + 1)))


def main():
    name, use, count = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module = importlib.import_module(name)
    getattr(module, use, lambda: module.work(0))()
    print("READY", flush=True)
    way = {"fork": fork_children, "ask": ask_for_workers}
    outcomes = way[sys.stdin.readline().strip()](module, int(count))
    print(json.dumps(outcomes), flush=True)
    sys.stdin.read()  # Whoever asks may want to look at it still.
    os._exit(0)  # What the parent used may hang at exit, too.


if __name__ == "__main__":
    main()
