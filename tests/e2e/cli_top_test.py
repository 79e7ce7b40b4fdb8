"""`forkserver top`: what it measures, and what it does to a terminal."""

import os
import re
import shlex
import signal
import sys
import unittest

from daemon_fixture import (FORKSERVER, ZYGOTE_PROGRAM, DaemonTestCase, alive,
                            is_sanitized, wait_for)
from tmux import Tmux, children

# Memory that is no other process's, and a word when it is there.
ALLOCATE = """
import sys, time
held = bytearray(b"x" * (int(sys.argv[1]) << 20))
print("held", flush=True)
time.sleep(1000)
"""


class TopTestCase(DaemonTestCase):

    def start_service(self, name, *words):
        """words: options, --, a command."""
        result = self.cli("start", name, *words)
        self.assertEqual(result.returncode, 0, result.stderr)

    def rows(self, *options):
        """{name: row} of one sample."""
        return {row["name"]: row for row in self.cli_json("top", *options)}


class SampleTest(TopTestCase):

    def test_services_workers_and_zygotes_are_rows_with_all_keys(self):
        self.start_service("web", "--", "sleep", "1000")
        self.start_service("job", "--restart", "no", "--", "true")
        wait_for(lambda: self.cli_json("status", "job")["state"] == "finished",
                 "job has finished")
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        worker = self.cli("run", "--detach", "--name", "nap", "--", "sleep",
                          "1000").stdout.strip()
        rows = self.rows("--interval", "100ms")
        self.assertEqual({name: row["kind"] for name, row in rows.items()},
                         {"web": "service", "job": "service", "z": "zygote",
                          "nap": "worker"})
        for row in rows.values():
            self.assertEqual(list(row), [
                "kind", "name", "id", "pid", "state", "cpu_percent",
                "memory_bytes", "restarts"
            ])
        web = self.cli_json("status", "web")
        self.assertEqual((rows["web"]["pid"], rows["web"]["id"]),
                         (web["pid"], web["worker"]))
        self.assertEqual(rows["web"]["restarts"], 0)
        self.assertEqual(rows["nap"]["id"], worker)
        self.assertIsNone(rows["nap"]["restarts"])
        self.assertGreater(rows["z"]["memory_bytes"], 0)
        # What does not run takes nothing, and nobody says 0.
        self.assertEqual(
            {key: rows["job"][key] for key in
             ("pid", "state", "cpu_percent", "memory_bytes")},
            {"pid": 0, "state": "finished", "cpu_percent": None,
             "memory_bytes": None})

    def test_what_computes_comes_first(self):
        self.start_service("idle", "--", "sleep", "1000")
        # A grandchild computes.
        self.start_service("busy", "--", "sh", "-c",
                           "sh -c 'while :; do :; done' & wait")
        rows = self.cli_json("top")
        self.assertEqual([row["name"] for row in rows], ["busy", "idle"])
        self.assertGreater(rows[0]["cpu_percent"], rows[1]["cpu_percent"])

    def test_children_that_have_ended_count(self):
        # Each ends by itself, sooner or later than a sample.
        self.start_service(
            "short", "--", "sh", "-c",
            "while :; do sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); "
            "done'; done")
        self.start_service("idle", "--", "sleep", "1000")
        rows = self.rows()
        self.assertGreater(rows["short"]["cpu_percent"],
                           rows["idle"]["cpu_percent"])

    def test_memory_is_that_of_the_whole_tree(self):
        ready = ("--ready", "line:held", "--")
        allocate = (sys.executable, "-c", ALLOCATE)
        self.start_service("small", *ready, *allocate, "1")
        self.start_service("parent", *ready, "sh", "-c", '"$@" & wait', "sh",
                           *allocate, "64")
        # Its parent has ended, and it leads a session of its own.
        self.start_service(
            "daemon", *ready, "sh", "-c",
            '(setsid "$@" &); exec sleep 1000', "sh", *allocate, "64")
        rows = self.rows("--interval", "100ms")
        for name in ("parent", "daemon"):
            self.assertGreater(rows[name]["memory_bytes"], 64 << 20, name)
        self.assertLess(rows["small"]["memory_bytes"], 64 << 20)

    def test_the_workers_of_a_zygote_are_not_part_of_it(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        command = " ".join(map(shlex.quote,
                               [sys.executable, "-c", ALLOCATE, "64"]))
        worker = self.start_cli("fork", "z", "--entry", "run_shell", "--args",
                                command, "--name", "forked")
        self.addCleanup(worker.communicate)
        self.addCleanup(worker.kill)
        self.assertEqual(worker.stdout.readline(), "held\n")
        rows = self.rows("--interval", "100ms")
        self.assertEqual(set(rows), {"z", "forked"})
        self.assertGreater(rows["forked"]["memory_bytes"], 64 << 20)
        self.assertLess(rows["z"]["memory_bytes"], 64 << 20)


class OnceTest(TopTestCase):

    def table(self, **options):
        result = self.cli("top", "--interval", "100ms", **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn("\x1b", result.stdout)
        return result.stdout

    def test_in_a_pipe_it_prints_one_table(self):
        self.start_service("web", "--", "sleep", "1000")
        pid = self.cli_json("status", "web")["pid"]
        lines = self.table().splitlines()
        self.assertEqual(lines[0].split(), [
            "NAME", "CPU%", "MEMORY", "RESTARTS", "KIND", "STATE", "PID", "ID"
        ])
        self.assertEqual(len(lines), 2)
        self.assertRegex(
            lines[1],
            rf"^web +[\d.]+ +[\d.]+[KMG] +0 +service +running +{pid} +\S+$")

    def test_names_do_not_break_the_table(self):
        name = "a\x1b[2J\nb"
        result = self.cli("zygote", "start", name, "--", ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(self.table().splitlines()), 2)
        self.assertEqual([row["name"] for row in self.cli_json("top")], [name])

    def test_nothing_runs(self):
        self.assertEqual(len(self.table().splitlines()), 1)
        self.assertEqual(self.cli_json("top", "--interval", "0.1"), [])

    def test_without_a_daemon(self):
        result = self.cli("top", "--socket", self.folder + "/none")
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertIn("no daemon serves", result.stderr)

    def test_an_interval_that_is_none(self):
        for value in ("soon", "0", "99ms", "-1"):
            result = self.cli("top", "--interval", value)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn("--interval", result.stderr)


class TerminalTestCase(TopTestCase):

    def setUp(self):
        super().setUp()
        self.terminals = []

    def tearDown(self):
        # What runs in them are clients of the daemon.
        for tmux in self.terminals:
            tmux.close()
        super().tearDown()

    def terminal(self, command, columns=100, rows=30, **changes):
        environment = {"FORKSERVER_SOCKET": self.sandbox.socket, **changes}
        tmux = Tmux(command, columns, rows, **environment)
        self.terminals.append(tmux)
        return tmux

    def top(self, *options, **size):
        tmux = self.terminal([FORKSERVER, "top", *options], **size)
        self.wait_for_line(tmux, r"^NAME ")
        return tmux

    def shell(self, **changes):
        """A shell with job control; its prompt is `$$`."""
        return self.terminal(["bash", "--norc", "--noprofile", "-i"],
                             PS1="$$ ", HISTFILE="/dev/null", **changes)

    def wait_for_line(self, tmux, *patterns):
        def found():
            lines = tmux.screen()
            return all(any(re.search(pattern, line) for line in lines)
                       for pattern in patterns) and lines
        return wait_for(found, lambda: f"{patterns} in:\n" +
                        "\n".join(tmux.screen()))

    def start_services(self, count):
        for number in range(count):
            self.start_service(f"s{number:02}", "--", "sleep", "1000")

    def names(self, tmux):
        return [match.group(0) for line in tmux.screen()
                if (match := re.match(r"s\d\d\b", line))]

    def wait_for_names(self, tmux, wanted):
        wait_for(lambda: self.names(tmux) == wanted,
                 lambda: f"{wanted} is:\n" + "\n".join(tmux.screen()))


class ScreenTest(TerminalTestCase):

    def test_it_shows_what_there_is_and_what_comes(self):
        self.start_service("web", "--", "sleep", "1000")
        tmux = self.top("--interval", "200ms")
        self.assertEqual(tmux.value("alternate_on"), "1")
        self.assertEqual(tmux.value("cursor_flag"), "0")
        # The second sample has a CPU time.
        self.wait_for_line(tmux, r"^web +\d+\.\d +\S+[KMG] +0 +service +running",
                           r"1 service, 0 workers, 0 zygotes; CPU \d",
                           r"^sorted by CPU; ")
        self.start_service("db", "--", "sleep", "1000")
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        self.wait_for_line(tmux, r"^db ", r"^web ", r"^z .* zygote ",
                           r"2 services, 0 workers, 1 zygote;")
        self.cli("remove", "web")
        self.wait_for_line(tmux, r"1 service, 0 workers")
        self.assertFalse([line for line in tmux.screen()
                          if line.startswith("web")])

    def test_a_restart_is_seen(self):
        self.start_service("web", "--restart", "always", "--backoff", "10ms",
                           "--", "sleep", "1000")
        tmux = self.top("--interval", "100ms")
        os.kill(self.cli_json("status", "web")["pid"], signal.SIGKILL)
        self.wait_for_line(tmux, r"^web +\d+\.\d +\S+ +1 +service +running")

    def test_keys_sort(self):
        self.start_service("a-idle", "--", "sleep", "1000")
        self.start_service("b-big", "--ready", "line:held", "--",
                           sys.executable, "-c", ALLOCATE, "64")
        self.start_service("c-busy", "--", "sh", "-c", "while :; do :; done")
        tmux = self.top("--interval", "300ms")

        def wait_for_first(name, by):
            def first_is_it():
                lines = tmux.screen()
                return (len(lines) > 2 and lines[2].startswith(name + " ") and
                        lines[-1].startswith(f"sorted by {by};"))
            wait_for(first_is_it, lambda: f"{name} is first in:\n" +
                     "\n".join(tmux.screen()))

        wait_for_first("c-busy", "CPU")
        tmux.keys("m")
        wait_for_first("b-big", "memory")
        tmux.keys("n")
        wait_for_first("a-idle", "name")
        tmux.keys("r")
        wait_for_first("a-idle", "restarts")
        tmux.keys("c")
        wait_for_first("c-busy", "CPU")

    def test_arrows_and_letters_scroll(self):
        self.start_services(8)
        everything = [f"s{number:02}" for number in range(8)]
        # Seven lines: four of them are rows. Longer than the test: only keys
        # change what is there.
        tmux = self.top("--interval", "1h", rows=7)
        tmux.keys("n")
        self.wait_for_names(tmux, everything[:4])
        tmux.keys("Down", "Down")
        self.wait_for_names(tmux, everything[2:6])
        self.assertIn("; 3-6 of 8;", tmux.screen()[-1])
        tmux.keys("j", "j", "j", "j")
        self.wait_for_names(tmux, everything[4:])
        tmux.keys("Up")
        self.wait_for_names(tmux, everything[3:7])
        tmux.keys("k")
        self.wait_for_names(tmux, everything[2:6])
        tmux.keys("PageUp")
        self.wait_for_names(tmux, everything[:4])

    def test_every_size_is_survived(self):
        self.start_services(8)
        tmux = self.top("--interval", "100ms")
        tmux.keys("n")
        # Where there is little room, the first row is what is shown.
        for columns, rows, first in (
            (1, 1, "."), (200, 1, "s00 "), (1, 50, "."), (2, 2, "…0"),
            (13, 3, "NAME"), (1, 1, "."), (40, 10, "forks"),
            (300, 100, "forkserverd "), (4, 7, "f"), (100, 30, "forkserverd ")):
            with self.subTest(columns=columns, rows=rows):
                tmux.resize(columns, rows)
                wait_for(
                    lambda: (tmux.value("pane_width"),
                             tmux.value("pane_height")) ==
                    (str(columns), str(rows)) and
                    tmux.screen()[0].startswith(first) and
                    len(tmux.screen()[0]) <= columns,
                    lambda: "\n".join(tmux.screen()))
        self.wait_for_line(tmux, r"^NAME ", r"^s00 ", r"^s07 .* running ",
                           r"^sorted by name; ")
        tmux.keys("q")
        self.assertEqual(tmux.wait_for_end(), 0)

    def test_colours_only_where_they_are_wanted(self):
        for changes, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
            with self.subTest(changes):
                tmux = self.terminal([FORKSERVER, "top"], **changes)
                self.wait_for_line(tmux, r"^NAME ")
                self.assertEqual(
                    "\x1b[1m" in tmux.everything(escapes=True), wanted)

    def test_a_dumb_terminal_gets_one_table(self):
        self.start_service("web", "--", "sleep", "1000")
        tmux = self.terminal([FORKSERVER, "top", "--interval", "100ms"],
                             TERM="dumb")
        self.assertEqual(tmux.wait_for_end(), 0)
        text = tmux.everything(escapes=True)
        self.assertNotIn("\x1b", text)
        self.assertEqual(len(re.findall(r"(?m)^web ", text)), 1)

    def test_json_in_a_terminal(self):
        tmux = self.terminal(
            [FORKSERVER, "top", "--json", "--interval", "100ms"])
        self.assertEqual(tmux.wait_for_end(), 0)
        self.assertEqual(tmux.screen()[0], "[]")


class EndTest(TerminalTestCase):
    """Whatever ends it, the terminal is as it was."""

    def setUp(self):
        super().setUp()
        self.start_service("web", "--", "sleep", "1000")

    def modes(self, tmux):
        """What `stty -a | md5sum` said, each time."""
        return re.findall(r"(?m)^([0-9a-f]{32})  -", tmux.everything())

    def wait_for_modes(self, tmux, count):
        return wait_for(lambda: len(self.modes(tmux)) == count and
                        self.modes(tmux), tmux.everything)

    def start_in_shell(self, suffix=""):
        tmux = self.shell()
        tmux.keys(f"stty -a | md5sum; {FORKSERVER} top{suffix}", "Enter")
        self.wait_for_line(tmux, r"^web ")
        self.assertEqual(tmux.value("alternate_on"), "1")
        return tmux

    def check_as_before(self, tmux):
        wait_for(lambda: tmux.value("alternate_on") == "0", "the screen")
        self.assertEqual(tmux.value("cursor_flag"), "1")
        self.assertEqual(tmux.value("wrap_flag"), "1")
        tmux.keys("stty -a | md5sum", "Enter")
        before, after = self.wait_for_modes(tmux, 2)
        self.assertEqual(before, after)
        # The screen of before, and nothing of the table.
        self.assertIn("md5sum; ", tmux.everything())
        self.assertNotIn("sorted by", tmux.everything())

    def test_whatever_ends_it(self):
        ends = {
            "q": 0,
            "C-c": 130,
            "C-\\": 131,
            "SIGTERM": 143,
            "SIGHUP": 129,
            "SIGSEGV": 139,
        }
        for end, code in ends.items():
            if end == "SIGSEGV" and is_sanitized(FORKSERVER):
                continue
            with self.subTest(end):
                tmux = self.start_in_shell("; echo code $?")
                if end.startswith("SIG"):
                    os.kill(children(tmux.pid())[-1], getattr(signal, end))
                else:
                    tmux.keys(end)
                # A shell drops the rest of a line at SIGINT.
                if end != "C-c":
                    tmux.wait_for_text(f"code {code}")
                self.check_as_before(tmux)

    def test_a_daemon_that_is_lost(self):
        tmux = self.start_in_shell(" --interval 1h; echo code $?")
        self.kill_daemon()
        # It does not wait for the next sample.
        tmux.wait_for_text("connection_lost", "code 125")
        self.check_as_before(tmux)

    def test_a_daemon_that_does_not_answer(self):
        tmux = self.start_in_shell(" --interval 100ms; echo code $?")
        top = children(tmux.pid())[-1]
        os.kill(self.daemon.pid, signal.SIGSTOP)
        try:
            tmux.keys("C-c")
            wait_for(lambda: not alive(top), "it ends")
            self.check_as_before(tmux)
        finally:
            os.kill(self.daemon.pid, signal.SIGCONT)

    def test_ctrl_z_gives_the_terminal_back_and_fg_draws_anew(self):
        tmux = self.start_in_shell()
        tmux.keys("C-z")
        tmux.wait_for_text("Stopped")
        self.check_as_before(tmux)
        self.start_service("later", "--", "sleep", "1000")
        tmux.resize(70, 20)
        tmux.keys("fg", "Enter")
        self.wait_for_line(tmux, r"^web ", r"^later ", r"^sorted by ")
        self.assertEqual(tmux.value("alternate_on"), "1")
        self.assertEqual(tmux.value("cursor_flag"), "0")
        tmux.keys("n")
        self.wait_for_line(tmux, r"^sorted by name")
        tmux.keys("q")
        wait_for(lambda: tmux.value("alternate_on") == "0", "it ends")

    def test_ctrl_z_where_nobody_could_continue_it(self):
        # The terminal's own program, and no shell with job control.
        tmux = self.top()
        tmux.keys("C-z")
        tmux.keys("n")
        self.wait_for_line(tmux, r"^web ", r"^sorted by name")
        self.assertEqual(tmux.value("alternate_on"), "1")

    def test_in_the_background_it_draws_nothing(self):
        tmux = self.shell()
        # tostop: whoever writes from the background would be stopped.
        tmux.keys("stty tostop", "Enter", f"{FORKSERVER} top --interval 100ms &",
                  "Enter", "echo pid$!", "Enter")
        top = int(wait_for(lambda: re.search(r"(?m)^pid(\d+)$",
                                             tmux.everything()),
                           tmux.everything).group(1))
        # Keys are the shell's.
        tmux.keys("echo q''q", "Enter")
        tmux.wait_for_text("qq")
        self.assertEqual(tmux.value("alternate_on"), "0")
        self.assertTrue(alive(top))
        tmux.keys("fg", "Enter")
        self.wait_for_line(tmux, r"^web ")
        tmux.keys("C-z")
        tmux.wait_for_text("Stopped")
        tmux.keys("bg", "Enter")
        tmux.keys("echo he''re", "Enter")
        tmux.wait_for_text("here")
        self.assertEqual(tmux.value("alternate_on"), "0")
        tmux.keys("fg", "Enter")
        self.wait_for_line(tmux, r"^web ")
        tmux.keys("q")
        wait_for(lambda: not alive(top), "it ends")
        self.assertEqual(tmux.value("alternate_on"), "0")

    def test_a_terminal_that_goes_away_and_hup_is_ignored(self):
        tmux = self.terminal(["sh", "-c", 'trap "" HUP; exec "$@"', "sh",
                              FORKSERVER, "top", "--interval", "1h"])
        self.wait_for_line(tmux, r"^web ")
        top = tmux.pid()
        tmux.close()
        wait_for(lambda: not alive(top), "it ends")


if __name__ == "__main__":
    unittest.main()
