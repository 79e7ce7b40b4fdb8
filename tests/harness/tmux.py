"""A terminal that nobody sees, by tmux: keys, sizes, and what is on it."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile

from daemon_fixture import wait_for
from replay import environment


# Says how the program ended, and keeps the terminal.
_SHELL = 'trap : INT QUIT TSTP; "$@"; echo "[ended with $?]"; exec cat'


class Tmux:
    """A tmux server of its own with one terminal. `close` ends both."""

    def __init__(self, command, columns=100, rows=30, **changes):
        # Not the folder of the test: a socket's path is short.
        self._folder = tempfile.mkdtemp(prefix="fst", dir="/tmp")
        self._socket = os.path.join(self._folder, "s")
        # What programs in it are told. tmux itself gets another.
        term = changes.pop("TERM", "screen-256color")
        self._environment = environment(TERM="xterm", **changes)
        self._run("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y",
                  rows, "cat")
        self._run("set-option", "-g", "default-terminal", term)
        self._run("set-option", "-g", "history-limit", "20000")
        words = ["env", "-i", "TERM=" + term]
        words += [
            f"{name}={value}" for name, value in self._environment.items()
            if name != "TERM"
        ]
        words += ["sh", "-c", _SHELL, "sh", *command]
        self._run("respawn-pane", "-k", shlex.join(words))

    def close(self):
        self._run("kill-server", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *arguments, check=True):
        # -u: tmux itself speaks UTF-8, whatever the programs in it are told.
        return subprocess.run(["tmux", "-u", "-S", self._socket] +
                              [str(word) for word in arguments],
                              env=dict(self._environment, LC_ALL="C.UTF-8"),
                              check=check,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL if not check else None,
                              encoding="utf-8").stdout

    def keys(self, *keys):
        self._run("send-keys", *keys)

    def resize(self, columns, rows=30):
        self._run("resize-window", "-x", columns, "-y", rows)

    def screen(self):
        """The lines of the terminal, without blanks at their ends."""
        return self._run("capture-pane", "-p").rstrip("\n").split("\n")

    def everything(self, escapes=False):
        """What is on the terminal and was, as text; broken lines joined."""
        return self._run("capture-pane", "-p", "-J", "-S", "-",
                         *(["-e"] if escapes else []))

    def value(self, name):
        """A variable of tmux, such as cursor_flag."""
        return self._run("display-message", "-p",
                         "#{" + name + "}").rstrip("\n")

    def pid(self):
        """Of the program in the terminal."""
        return children(int(self.value("pane_pid")))[-1]

    def wait_for_text(self, *parts):
        return wait_for(
            lambda: all(part in self.everything() for part in parts) and
            self.everything(), lambda: f"{parts} in:\n{self.everything()}")

    def wait_for_end(self):
        """Its exit code, as the shell tells it."""
        end = re.compile(r"(?m)^\[ended with (\d+)\]$")
        return int(
            wait_for(lambda: end.search(self.everything()),
                     lambda: f"the end of:\n{self.everything()}").group(1))


def children(pid):
    """Of a process that has some, or will have."""
    path = f"/proc/{pid}/task/{pid}/children"

    def read():
        with open(path, encoding="utf-8") as file:
            return [int(child) for child in file.read().split()]

    return wait_for(read, f"a child of {pid}")
