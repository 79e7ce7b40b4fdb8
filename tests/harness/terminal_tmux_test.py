"""What a person sees of a run in a terminal: the bar, sizes, keys, signals."""

import os
import re
import signal
import unittest

from daemon_fixture import is_sanitized, wait_for
from replay import REPLAY_RUN, SUMMARY
from tmux import Tmux, children

# Slow enough to be looked at, and does not end by itself.
HOLD = ("--hold", "--speed", "2")


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


def bars(lines):
    """The lines of the screen that are a bar's."""
    return [line for line in lines if re.search(r"\d+/60\b", line)]


def has_one_bar_at_its_end(lines):
    return bars(lines) == [lines[-2]]


class TerminalTest(unittest.TestCase):

    def start(self, *arguments, columns=100, rows=30, **changes):
        tmux = Tmux([REPLAY_RUN, *arguments], columns, rows, **changes)
        self.addCleanup(tmux.close)
        return tmux

    def shell(self, **changes):
        """A shell with job control; its prompt is `$$`."""
        tmux = Tmux(["bash", "--norc", "--noprofile", "-i"], PS1="$$ ",
                    HISTFILE="/dev/null", **changes)
        self.addCleanup(tmux.close)
        return tmux

    def wait_for_bar(self, tmux, pattern):
        return wait_for(
            lambda: any(re.search(pattern, line) for line in tmux.screen()) and
            tmux.screen(), lambda: f"{pattern} in:\n" + "\n".join(tmux.screen()))


class BarTest(TerminalTest):

    def test_the_bar_shows_counts_running_tests_and_their_time(self):
        tmux = self.start(*HOLD)
        self.wait_for_bar(tmux, r"[━╸]+ +\d+/60  +\d failed +\d+ passed")
        self.wait_for_bar(tmux, r"^ +\d+\.\d+s  SLOW bazel-bin/physics/solver_")
        self.wait_for_bar(tmux, r"^━+.* 59/60 ")
        lines = tmux.screen()
        # What stays is above it, and below it is what runs.
        at = lines.index(bars(lines)[0])
        self.assertTrue(all("running" not in line for line in lines[:at]))
        self.assertRegex(lines[at + 1], r"^ *\d+\.\d+s  \S")
        self.assertEqual(len(lines), at + 2)
        self.assertEqual(len(bars(lines)), 1)

    def test_when_the_run_ends_no_bar_is_left(self):
        tmux = self.start("--speed", "20")
        self.assertEqual(tmux.wait_for_end(), 1)
        text = tmux.everything()
        self.assertIn(SUMMARY, text)
        self.assertEqual(bars(text.splitlines()), [])
        # Failing output is there once.
        self.assertEqual(text.count("sampling level -1"), 2)

    def test_a_terminal_of_any_width_has_one_bar_that_fits(self):
        tmux = self.start(*HOLD)
        self.wait_for_bar(tmux, r"^━+.* 59/60 ")
        for columns in (60, 20, 33, 100, 10, 140, 20, 80):
            with self.subTest(columns=columns):
                tmux.resize(columns)
                wait_for(
                    lambda: tmux.value("pane_width") == str(columns) and
                    has_one_bar_at_its_end(tmux.screen()),
                    lambda: "\n".join(tmux.screen()))
        # It grew again.
        self.wait_for_bar(tmux, r"━.*59/60  7 failed  50 passed  1 flaky")

    def test_a_terminal_that_shrinks_keeps_the_lines_above_the_bar(self):
        tmux = self.start(*HOLD)
        self.wait_for_bar(tmux, r"^━+.* 59/60 ")
        before = tmux.everything().count("FAIL ")
        for columns in (40, 20, 100):
            tmux.resize(columns)
            wait_for(lambda: tmux.value("pane_width") == str(columns), "size")
            self.wait_for_bar(tmux, r"59/60")
        self.assertEqual(tmux.everything().count("FAIL "), before)

    def test_a_low_terminal_shows_the_bar_alone(self):
        tmux = self.start(*HOLD, rows=3)
        self.wait_for_bar(tmux, r"59/60")
        self.assertRegex(tmux.screen()[-1], r"59/60")

    def test_the_terminal_is_not_moved_by_what_tests_write(self):
        tmux = self.start("--speed", "0")
        tmux.wait_for_end()
        self.assertIn("^[[2J^[[H^[]0;title^G moved", tmux.everything())
        self.assertNotIn("title", tmux.value("pane_title"))


class LookTest(TerminalTest):

    def test_colours_are_there_unless_they_are_not_wanted(self):
        for changes, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
            with self.subTest(changes):
                tmux = self.start("--speed", "20", **changes)
                tmux.wait_for_end()
                text = tmux.everything(escapes=True)
                self.assertEqual("\x1b[31m" in text or "\x1b[1m" in text,
                                 wanted)

    def test_no_color_still_has_a_bar(self):
        tmux = self.start(*HOLD, NO_COLOR="1")
        self.wait_for_bar(tmux, r"━.*59/60")

    def test_a_dumb_terminal_gets_lines(self):
        tmux = self.start("--speed", "20", TERM="dumb")
        tmux.wait_for_end()
        text = tmux.everything(escapes=True)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("━", text)
        self.assertIn("is still running", text)
        self.assertIn(SUMMARY, text)

    def test_without_utf8_everything_is_ascii(self):
        tmux = self.start(*HOLD, LC_ALL="C")
        self.wait_for_bar(tmux, r"\[=+-*\]  59/60")
        tmux.keys("C-c")
        tmux.wait_for_end()
        self.assertTrue(tmux.everything().isascii())
        self.assertIn("??", tmux.everything())


class KeysAndSignalsTest(TerminalTest):

    def test_t_shows_what_runs_with_its_output(self):
        tmux = self.start("--speed", "0.4")
        self.wait_for_bar(tmux, r"SLOW .*SolverTest.Converges 14")
        tmux.keys("t")
        text = tmux.wait_for_text("running now: ", "iteration 2: residual 0.5",
                                  "SolverTest.Converges 14  (slot ")
        # The key itself is not shown.
        self.assertNotRegex(text, r"(?m)^t$|^t━")
        self.wait_for_bar(tmux, r"━.*\d/60")

    def test_sigusr1_does_so_too(self):
        tmux = self.start("--speed", "0.4")
        self.wait_for_bar(tmux, r"SLOW .*SolverTest.Converges 14")
        os.kill(tmux.pid(), signal.SIGUSR1)
        tmux.wait_for_text("running now: ", "iteration 2: residual 0.5")

    def test_ctrl_c_ends_with_a_report(self):
        tmux = self.start(*HOLD)
        self.wait_for_bar(tmux, r"59/60")
        tmux.keys("C-c")
        self.assertEqual(tmux.wait_for_end(), 130)
        text = tmux.everything()
        self.assertIn("INTERRUPTED  50 passed", text)
        self.assertIn("1 not run", text)

    def test_the_terminal_is_as_before_whatever_ends_the_run(self):
        for name, end in (("ends", ("--speed", "0")),
                          ("crashes", ("--speed", "0", "--crash-after", "20")),
                          ("is interrupted", HOLD),
                          ("gets SIGHUP", HOLD), ("gets SIGQUIT", HOLD)):
            if name == "crashes" and is_sanitized(REPLAY_RUN):
                continue
            with self.subTest(name):
                tmux = self.shell()
                tmux.keys("stty -a | md5sum; " + " ".join((REPLAY_RUN,) + end) +
                          "; stty -a | md5sum; echo all do''ne", "Enter")
                if end == HOLD:
                    self.wait_for_bar(tmux, r"59/60")
                    self.assertEqual(tmux.value("cursor_flag"), "0")
                    tmux.keys({"is interrupted": "C-c",
                               "gets SIGQUIT": "C-\\"}.get(name, ""))
                    if name == "gets SIGHUP":
                        os.kill(children(tmux.pid())[-1], signal.SIGHUP)
                tmux.wait_for_text("all done")
                sums = re.findall(r"(?m)^([0-9a-f]{32})  -", tmux.everything())
                self.assertEqual(len(sums), 2, tmux.everything())
                self.assertEqual(sums[0], sums[1])
                self.assertEqual(tmux.value("cursor_flag"), "1")

    def test_ctrl_z_gives_the_terminal_back_and_fg_goes_on(self):
        tmux = self.shell()
        tmux.keys("stty -a | md5sum; " + " ".join((REPLAY_RUN,) + HOLD),
                  "Enter")
        self.wait_for_bar(tmux, r"59/60")
        tmux.keys("C-z")
        tmux.wait_for_text("Stopped")
        self.assertEqual(tmux.value("cursor_flag"), "1")
        # The bar is gone, the shell's lines begin where it was.
        self.assertEqual(bars(tmux.screen()), [])
        tmux.keys("stty -a | md5sum", "Enter")
        wait_for(
            lambda: len(re.findall(r"(?m)^[0-9a-f]{32}  -", tmux.everything()))
            == 2, tmux.everything)
        sums = re.findall(r"(?m)^([0-9a-f]{32})  -", tmux.everything())
        self.assertEqual(sums[0], sums[1])
        tmux.keys("fg", "Enter")
        self.wait_for_bar(tmux, r"━.*59/60")
        tmux.keys("t")
        tmux.wait_for_text("running now: 1 of 60")
        tmux.keys("C-c")
        tmux.wait_for_text("INTERRUPTED")

    def test_in_the_background_it_is_not_stopped_and_draws_no_bar(self):
        tmux = self.shell()
        # tostop: whoever writes from the background would be stopped.
        tmux.keys("stty tostop; " + " ".join((REPLAY_RUN,) + HOLD) + " &",
                  "Enter")
        tmux.wait_for_text("FLAKY", "TIMEOUT")
        child = children(tmux.pid())[-1]
        # Keys are the shell's.
        tmux.keys("echo t''t t", "Enter")
        tmux.wait_for_text("tt t")
        self.assertNotIn("running now", tmux.everything())
        self.assertNotEqual(state_of(child), "T")
        self.assertNotIn("━", tmux.everything())
        tmux.keys("fg", "Enter")
        self.wait_for_bar(tmux, r"━.*59/60")
        tmux.keys("t")
        tmux.wait_for_text("running now: 1 of 60")
        tmux.keys("C-c")
        tmux.wait_for_text("INTERRUPTED")

    def test_what_is_moved_to_the_background_goes_on_without_a_bar(self):
        tmux = self.shell()
        tmux.keys(" ".join((REPLAY_RUN,) + HOLD), "Enter")
        self.wait_for_bar(tmux, r"\d/60")
        tmux.keys("C-z")
        tmux.wait_for_text("Stopped")
        child = children(tmux.pid())[-1]
        tmux.keys("bg", "Enter")
        wait_for(lambda: state_of(child) != "T", "it goes on")
        tmux.keys("echo he''re", "Enter")
        tmux.wait_for_text("here", "TIMEOUT")
        self.assertEqual(bars(tmux.screen()), [])
        tmux.keys("kill -INT %1", "Enter")
        tmux.wait_for_text("INTERRUPTED")


if __name__ == "__main__":
    unittest.main()
