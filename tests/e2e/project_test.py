"""Project files: what forkserver.toml says is what runs, from outside."""

import json
import os
import re
import signal
import textwrap
import unittest

from daemon_fixture import (MARKER, ROOT, ZYGOTE_PROGRAM, DaemonTestCase,
                            SandboxTestCase, alive, read_file, wait_for)

# So that what is left of a test is found.
HEAD = f'inherit = ["PATH", "{MARKER}"]\n'


class Project:
    """A folder with a forkserver.toml."""

    def __init__(self, folder, text):
        self.folder = os.path.realpath(folder)
        self.file = os.path.join(self.folder, "forkserver.toml")
        os.makedirs(folder, exist_ok=True)
        self.write(text)

    def write(self, text, head=HEAD):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(head + textwrap.dedent(text))


class ProjectTestCase(DaemonTestCase):

    def project(self, text, name="p"):
        return Project(os.path.join(self.folder, name), text)

    def run_in(self, project, *arguments, code=0):
        result = self.cli(*arguments, cwd=project.folder)
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)
        return result

    def outcomes(self, project, *arguments, code=0):
        """{name: outcome} of a command that prints JSON."""
        result = self.run_in(project, *arguments, "--json", code=code)
        return {each["name"]: each for each in json.loads(result.stdout)}

    def actions(self, project, *arguments, code=0):
        outcomes = self.outcomes(project, *arguments, code=code)
        return {name: each["action"] for name, each in outcomes.items()}

    def services(self):
        return {each["name"]: each for each in self.cli_json("services")}

    def pids(self):
        return {name: each["pid"] for name, each in self.services().items()}

    def environment_of(self, name):
        pid = self.services()[name]["pid"]
        variables = read_file(f"/proc/{pid}/environ").split(b"\0")[:-1]
        return dict(each.decode().split("=", 1) for each in variables)


THREE = """
    [services.web]
    command = ["sleep", "1003"]
    after = ["cache"]
    [services.cache]
    command = ["sleep", "1002"]
    after = ["db"]
    [services.db]
    command = ["sleep", "1001"]
    ready = "exec:true"
"""


class UpTest(ProjectTestCase):

    def test_everything_is_ready_when_up_returns(self):
        project = self.project(THREE)
        result = self.run_in(project, "up")
        self.assertEqual([line.split() for line in result.stdout.splitlines()],
                         [[name, "running", "started:", "it", "is", "new"]
                          for name in ("db", "cache", "web")])
        services = self.services()
        self.assertEqual({each["state"] for each in services.values()},
                         {"running"})
        self.assertEqual({each["project"] for each in services.values()},
                         {project.file})

    def test_up_again_touches_nothing(self):
        project = self.project(THREE + """
            [services.once]
            command = "echo >>once"
        """)
        self.run_in(project, "up")
        wait_for(lambda: self.services()["once"]["state"] == "finished",
                 "it has finished")
        before = self.pids()
        self.assertEqual(set(self.actions(project, "up").values()), {"keep"})
        self.assertEqual(self.pids(), before)
        self.assertEqual(
            read_file(os.path.join(project.folder, "once")), b"\n")

    def test_up_starts_what_was_stopped_or_has_failed(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        before = self.pids()
        self.cli("stop", "web")
        outcomes = self.outcomes(project, "up")
        self.assertEqual(outcomes["web"]["action"], "start")
        self.assertEqual(outcomes["web"]["why"], "it was stopped")
        after = self.pids()
        self.assertEqual(before["db"], after["db"])
        self.assertNotEqual(before["web"], after["web"])

    def test_names_bring_what_they_need(self):
        project = self.project(THREE)
        self.run_in(project, "up", "cache")
        self.assertEqual(set(self.services()), {"cache", "db"})
        result = self.run_in(project, "up", "wep", code=2)
        self.assertIn("no service 'wep'; did you mean 'web'?", result.stderr)

    def test_a_failure_is_named_and_keeps_those_after_it(self):
        project = self.project("""
            [services.bad]
            command = "exit 7"
            restart = "no"
            ready = "fd"
            [services.web]
            command = "sleep 1000"
            after = ["bad"]
            [services.good]
            command = "sleep 1000"
        """)
        result = self.run_in(project, "up", code=1)
        self.assertIn("bad: service 'bad' has failed: exit code 7",
                      result.stderr)
        self.assertIn("web: service 'web' has failed: service 'bad', which it "
                      "is after, is failed", result.stderr)
        outcomes = self.outcomes(project, "up", code=1)
        self.assertIsNone(outcomes["good"]["error"])
        self.assertEqual(outcomes["good"]["state"], "running")
        self.assertIn("exit code 7", outcomes["bad"]["error"])
        self.assertEqual(outcomes["bad"]["state"], "failed")

    def test_a_program_that_is_not_there(self):
        project = self.project("""
            [services.bad]
            command = ["no-such-program"]
        """)
        result = self.run_in(project, "up", code=1)
        self.assertIn("no-such-program", result.stderr)

    def test_no_wait_returns_at_once(self):
        project = self.project("""
            [services.slow]
            command = "sleep 1000"
            ready = "notify"
        """)
        outcomes = self.outcomes(project, "up", "--no-wait")
        self.assertEqual(outcomes["slow"]["state"], "starting")

    def test_it_is_found_from_a_folder_below(self):
        project = self.project("""
            [services.here]
            command = ["sleep", "1000"]
            [services.below]
            command = ["sleep", "1000"]
            cwd = "a/b"
        """)
        below = os.path.join(project.folder, "a/b")
        os.makedirs(below)
        result = self.cli("up", cwd=below)
        self.assertEqual(result.returncode, 0, result.stderr)
        for name, folder in (("here", project.folder), ("below", below)):
            pid = self.services()[name]["pid"]
            self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), folder)
        # The same project, however it is named.
        self.assertEqual(self.actions(project, "up", "--file",
                                      "a/../forkserver.toml"),
                         {"here": "keep", "below": "keep"})


class EnvironmentTest(ProjectTestCase):

    ECHO = """
        [services.echo]
        command = ["sleep", "1000"]
    """

    def test_nothing_of_the_daemon_and_only_what_is_named_of_the_caller(self):
        project = self.project(self.ECHO + """
            environment = { OWN = "1", SHADOWED = "own" }
            [environment]
            COMMON = "a b"
            SHADOWED = "common"
        """)
        self.sandbox.environment.update({"CALLER": "x", "COMMON": "caller"})
        self.run_in(project, "up")
        variables = self.environment_of("echo")
        self.assertRegex(variables.pop("FORKSERVER_WORKER"), r"^\w+-\d+$")
        self.assertEqual(
            variables, {
                "PATH": self.sandbox.environment["PATH"],
                MARKER: self.sandbox.marker,
                "COMMON": "a b",
                "SHADOWED": "own",
                "OWN": "1",
                "FORKSERVER_SERVICE": "echo",
            })

    def test_a_variable_that_is_gone_is_gone(self):
        project = self.project(self.ECHO + "environment = { A = '1' }")
        self.run_in(project, "up")
        self.assertIn("A", self.environment_of("echo"))
        project.write(self.ECHO)
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(outcomes["echo"]["why"],
                         "its environment (A) changed")
        self.assertNotIn("A", self.environment_of("echo"))

    def test_another_terminal_is_no_change(self):
        project = self.project(self.ECHO)
        self.run_in(project, "up")
        self.sandbox.environment.update({"WINDOWID": "7", "SHLVL": "9"})
        self.assertEqual(self.actions(project, "reload"), {"echo": "keep"})

    def test_a_variable_that_is_inherited_is_a_change(self):
        project = self.project(self.ECHO)
        project.write(self.ECHO, f'inherit = ["PATH", "{MARKER}", "TOKEN"]\n')
        self.sandbox.environment["TOKEN"] = "1"
        self.run_in(project, "up")
        self.assertEqual(self.environment_of("echo")["TOKEN"], "1")
        self.sandbox.environment["TOKEN"] = "2"
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(outcomes["echo"]["why"],
                         "its environment (TOKEN) changed")
        self.assertEqual(self.environment_of("echo")["TOKEN"], "2")


class DownTest(ProjectTestCase):

    def test_those_after_others_stop_first(self):
        stop = "trap 'echo {} >>stopped; exit' TERM; echo >&3; "
        loop = "while :; do sleep 0.05; done"
        text = ""
        for name, after in (("db", []), ("cache", ["db"]),
                            ("web", ["cache", "db"])):
            text += f"""
                [services.{name}]
                command = \"\"\"{stop.format(name)}{loop}\"\"\"
                ready = "fd"
                after = {json.dumps(after)}
            """
        project = self.project(text)
        self.run_in(project, "up")
        pids = self.pids()
        self.run_in(project, "down")
        stopped = read_file(os.path.join(project.folder, "stopped"))
        self.assertEqual(stopped.split(), [b"web", b"cache", b"db"])
        self.assertEqual(self.services(), {})
        for pid in pids.values():
            self.assertFalse(alive(pid))

    def test_down_again_and_without_a_daemon_has_nothing_to_do(self):
        project = self.project(THREE)
        self.assertEqual(self.actions(project, "down"), {})
        self.run_in(project, "up")
        self.run_in(project, "down")
        self.assertIn("nothing", self.run_in(project, "down").stdout)

    def test_a_name_takes_those_after_it_along(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        outcomes = self.outcomes(project, "down", "cache")
        self.assertEqual(list(outcomes), ["web", "cache"])
        self.assertEqual(outcomes["web"]["why"],
                         "it is after what is taken down")
        self.assertIsNone(outcomes["web"]["state"])
        self.assertEqual(set(self.services()), {"db"})
        self.run_in(project, "down", "web")
        self.run_in(project, "down", "nothing", code=2)

    def test_a_file_that_is_broken_can_be_taken_down(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        project.write("[services.db\n")
        self.run_in(project, "reload", code=2)
        self.run_in(project, "down")
        self.assertEqual(self.services(), {})

    def test_grace(self):
        project = self.project("""
            [services.stubborn]
            command = "trap '' TERM; echo >&3; while :; do sleep 1; done"
            ready = "fd"
            grace = "1h"
        """)
        self.run_in(project, "up")
        self.run_in(project, "down", "--grace", "0")
        self.assertEqual(self.services(), {})


class ReloadTest(ProjectTestCase):

    def test_only_what_has_changed_is_touched(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        before = self.pids()
        project.write(THREE.replace("1002", "2002") + """
            [services.new]
            command = ["sleep", "1004"]
        """)
        dry = self.outcomes(project, "reload", "--dry-run")
        self.assertEqual(self.pids(), before)
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(
            [(each["action"], each["why"]) for each in outcomes.values()],
            [(each["action"], each["why"]) for each in dry.values()])
        self.assertEqual({name: (each["action"], each["why"])
                          for name, each in outcomes.items()},
                         {"db": ("keep", ""), "web": ("keep", ""),
                          "cache": ("replace", "its command changed"),
                          "new": ("start", "it is new")})
        after = self.pids()
        self.assertEqual((after["db"], after["web"]),
                         (before["db"], before["web"]))
        self.assertNotEqual(after["cache"], before["cache"])
        self.assertFalse(alive(before["cache"]))
        self.assertEqual(self.services()["cache"]["argv"], ["sleep", "2002"])
        self.assertEqual(set(self.actions(project, "reload").values()),
                         {"keep"})

    def test_every_kind_of_change_is_seen(self):
        base = """
            [services.job]
            command = ["sleep", "1000"]
        """
        project = self.project(base)
        self.run_in(project, "up")
        os.makedirs(os.path.join(project.folder, "sub"))
        for line, why in (
            ('cwd = "sub"', "its working directory"),
            ('environment = { A = "1" }', "its environment (A)"),
            ('umask = "077"', "its set-up"), ("nice = 19", "its set-up"),
            ("limit = { nofile = 99 }", "its set-up"),
            ("oom-score-adj = 700", "its set-up"),
            ('io-priority = "idle"', "its set-up"),
            ("no-new-privs = true", "its set-up"),
            ('grace = "7s"', "how it is kept"),
            ('restart = "always"', "how it is kept")):
            with self.subTest(line=line):
                project.write(base + line)
                outcome = self.outcomes(project, "reload")["job"]
                self.assertEqual(outcome["action"], "replace")
                self.assertIn(why, outcome["why"])
                self.assertEqual(self.actions(project, "reload"),
                                 {"job": "keep"})

    def test_what_is_gone_from_the_file_is_removed(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        before = self.pids()
        project.write("""
            [services.db]
            command = ["sleep", "1001"]
            ready = "exec:true"
        """)
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(list(outcomes), ["web", "cache", "db"])
        self.assertEqual(outcomes["web"]["why"],
                         "it is not in the file any more")
        self.assertEqual(self.pids(), {"db": before["db"]})

    def test_an_order_that_is_turned_around(self):
        project = self.project("""
            [services.a]
            command = ["sleep", "1"]
            restart = "always"
            [services.b]
            command = ["sleep", "1000"]
            after = ["a"]
        """)
        self.run_in(project, "up")
        project.write("""
            [services.a]
            command = ["sleep", "1000"]
            after = ["b"]
            [services.b]
            command = ["sleep", "1000"]
        """)
        self.assertEqual(self.actions(project, "reload"),
                         {"a": "replace", "b": "replace"})
        self.assertEqual(self.services()["a"]["state"], "running")

    def test_up_says_what_differs_and_replaces_nothing(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        before = self.pids()
        project.write(THREE.replace("1001", "2001"))
        result = self.run_in(project, "up", code=1)
        self.assertIn("db: it is running, and differs in its command; "
                      "`forkserver reload` replaces it", result.stderr)
        self.assertEqual(self.pids(), before)

    def test_a_start_by_hand_is_undone_by_reload(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        self.cli("start", "web", "--replace", "--", "sleep", "7")
        self.assertEqual(self.services()["web"]["project"], project.file)
        self.assertEqual(self.outcomes(project, "reload")["web"]["action"],
                         "replace")
        self.assertEqual(self.services()["web"]["argv"], ["sleep", "1003"])

    def test_what_was_stopped_by_hand_stays_so_until_it_changes(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        self.cli("stop", "web")
        self.assertEqual(self.actions(project, "reload")["web"], "keep")
        self.assertEqual(self.services()["web"]["state"], "stopped")
        project.write(THREE.replace("1003", "2003"))
        self.assertEqual(self.actions(project, "reload")["web"], "start")
        self.assertEqual(self.services()["web"]["argv"], ["sleep", "2003"])

    def test_restart_of_a_project_and_of_one(self):
        project = self.project(THREE)
        self.run_in(project, "up")
        first = self.pids()
        self.assertEqual(set(self.actions(project, "restart").values()),
                         {"restart"})
        second = self.pids()
        self.assertFalse(set(first.values()) & set(second.values()))
        self.run_in(project, "restart", "web")
        self.assertEqual(self.pids()["db"], second["db"])
        self.assertNotEqual(self.pids()["web"], second["web"])


class ZygoteTest(ProjectTestCase):

    TEXT = f"""
        [zygotes.z]
        command = [{json.dumps(ZYGOTE_PROGRAM)}]
        [services.forked]
        zygote = "z"
        entry = "sleep_forever"
        [services.plain]
        command = ["sleep", "1000"]
    """

    def zygotes(self):
        return {each["name"]: each for each in self.cli_json("zygote", "ls")
                if each["state"] != "retiring"}

    def test_up_reload_and_down_with_a_zygote(self):
        project = self.project(self.TEXT)
        outcomes = self.outcomes(project, "up")
        self.assertEqual((outcomes["z"]["kind"], outcomes["z"]["state"]),
                         ("zygote", "ready"))
        self.assertEqual(self.zygotes()["z"]["project"], project.file)
        self.assertEqual(set(self.actions(project, "up").values()), {"keep"})
        before = self.pids()

        project.write(self.TEXT.replace('[services.forked]',
                                        'spares = "1:2"\n[services.forked]'))
        self.run_in(project, "up", code=1)
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(outcomes["z"]["action"], "replace")
        self.assertIn("spares", outcomes["z"]["why"])
        self.assertEqual(outcomes["forked"]["why"],
                         "its zygote 'z' is replaced")
        self.assertEqual(outcomes["plain"]["action"], "keep")
        self.assertEqual(self.pids()["plain"], before["plain"])
        self.assertNotEqual(self.pids()["forked"], before["forked"])

        project.write(self.TEXT + "[environment]\nNEW = '1'\n")
        why = self.outcomes(project, "reload", "--dry-run")["z"]["why"]
        self.assertIn("environment (NEW)", why)

        self.run_in(project, "down")
        self.assertEqual(self.zygotes(), {})
        self.assertEqual(self.services(), {})

    def test_a_zygote_that_fails_keeps_its_services_as_they_are(self):
        project = self.project(self.TEXT)
        self.run_in(project, "up")
        before = self.pids()
        project.write(self.TEXT.replace(ZYGOTE_PROGRAM, "no-such-program"))
        outcomes = self.outcomes(project, "reload", code=1)
        self.assertIn("no-such-program", outcomes["z"]["error"])
        self.assertEqual(outcomes["forked"]["error"],
                         "its zygote 'z' has failed")
        self.assertEqual(self.pids(), before)
        # The next one that comes takes them along, whoever started it.
        project.write(self.TEXT)
        self.run_in(project, "up")
        self.assertEqual(self.pids(), before)
        outcomes = self.outcomes(project, "reload")
        self.assertEqual(outcomes["forked"]["why"],
                         "its zygote 'z' was replaced")
        self.assertNotEqual(self.pids()["forked"], before["forked"])
        self.assertEqual(set(self.actions(project, "reload").values()),
                         {"keep"})


class TwoProjectsTest(ProjectTestCase):

    def test_they_do_not_touch_each_other(self):
        one = self.project("[services.web]\ncommand = ['sleep', '1000']\n",
                           "one")
        two = self.project("""
            [services.web]
            command = ["sleep", "2000"]
            [services.own]
            command = ["sleep", "1000"]
            [services.late]
            command = ["sleep", "1000"]
            after = ["web"]
        """, "two")
        self.run_in(one, "up")
        before = self.pids()
        for command in ("up", "reload", "restart"):
            result = self.run_in(two, command, code=1)
            self.assertIn(f"web: one of this name belongs to {one.file}",
                          result.stderr)
            self.assertIn("late: 'web', which it is after, is not as the "
                          "file says", result.stderr)
        self.assertEqual(self.services()["web"]["pid"], before["web"])
        self.assertEqual(self.services()["own"]["state"], "running")
        self.run_in(two, "down")
        self.assertEqual(self.pids(), before)
        self.run_in(one, "down")
        self.run_in(two, "up")
        self.assertEqual(self.services()["web"]["argv"], ["sleep", "2000"])

    def test_what_was_started_by_hand_is_not_taken_over(self):
        project = self.project(
            "[services.web]\ncommand = ['sleep', '1000']\n")
        self.cli("start", "web", "--", "sleep", "1")
        result = self.run_in(project, "reload", code=1)
        self.assertIn("belongs to no project", result.stderr)
        self.run_in(project, "down")
        self.assertIn("web", self.services())
        self.cli("remove", "web")
        self.run_in(project, "up")

    def test_two_files_of_one_folder_are_two_projects(self):
        project = self.project(
            "[services.web]\ncommand = ['sleep', '1000']\n")
        other = os.path.join(project.folder, "other.toml")
        with open(other, "w", encoding="ascii") as file:
            file.write(HEAD + "[services.web2]\ncommand = ['sleep', '9']\n")
        self.run_in(project, "up")
        self.run_in(project, "up", "--file", "other.toml")
        self.run_in(project, "down")
        self.assertEqual(self.services()["web2"]["project"], other)
        self.run_in(project, "down", "-f", "other.toml")


class WithoutDaemonTest(SandboxTestCase):

    def project(self, text):
        return Project(os.path.join(self.folder, "p"), text)

    def run_in(self, project, *arguments, code):
        result = self.cli(*arguments, cwd=project.folder)
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)
        return result

    def test_check_tells_everything_with_its_line(self):
        project = self.project("""
            [services.web]
            command = "x"
            restart = "sometimes"
            [test]
            jbos = 3
            [colour]
        """)
        result = self.run_in(project, "check", code=1)
        self.assertEqual(
            result.stdout,
            "forkserver.toml:5: services.web.restart: 'sometimes' is none of "
            "no, on-failure, always\n"
            "forkserver.toml:7: unknown key 'test.jbos'; did you mean "
            "'jobs'?\n"
            "forkserver.toml:8: colour: there is no such key\n")
        self.assertEqual(result.stderr, "")
        problems = json.loads(
            self.run_in(project, "check", "--json", code=1).stdout)
        self.assertEqual(problems[0], {
            "file": "forkserver.toml",
            "line": 5,
            "key": "services.web.restart",
            "message": "'sometimes' is none of no, on-failure, always",
        })
        self.assertEqual(len(problems), 3)

    def page(self):
        with open(os.path.join(ROOT, "docs/project_file.md"),
                  encoding="utf-8") as file:
            return file.read()

    def test_the_example_of_the_page_is_right(self):
        example = re.search(r"^```toml\n(.*?)^```$", self.page(),
                            re.MULTILINE | re.DOTALL).group(1)
        project = self.project("")
        project.write(example, head="")
        result = self.run_in(project, "check", code=0)
        self.assertIn("3 services and 1 zygote", result.stdout)

    def test_the_page_has_every_key_and_no_other(self):
        rows = {"services": set(), "zygotes": set()}
        page = self.page()
        for title, tables in (("Of services and zygotes", rows),
                              ("Of services", ["services"]),
                              ("Of zygotes", ["zygotes"])):
            part = re.search(rf"^### {title}\n(.*?)^##", page,
                             re.MULTILINE | re.DOTALL).group(1)
            keys = re.findall(r"^\| `([a-z-]+)` \|", part, re.MULTILINE)
            for table in tables:
                rows[table].update(keys)
        for table, keys in rows.items():
            project = self.project(f"[{table}.x]\n" + "".join(
                f"{key} = {{ unknown = {{}} }}\n"
                for key in sorted(keys | {"zzz"})))
            problems = json.loads(
                self.run_in(project, "check", "--json", code=1).stdout)
            unknown = {each["key"].split(".")[2] for each in problems
                       if each["message"].startswith("there is no such key")}
            self.assertEqual(unknown, {"zzz"})
            # And every option of the command line is a key.
            command = ["start"] if table == "services" else ["zygote", "start"]
            known = set(re.findall(r"^  +--([a-z-]+)",
                                   self.cli(*command, "--help").stdout,
                                   re.MULTILINE))
            known -= {"help", "socket", "json", "replace", "no-wait", "env",
                      "clean-env"}
            self.assertEqual(known - keys, set())

    def test_exit_codes_of_check(self):
        project = self.project("[services.web]\ncommand = 'x'\n")
        result = self.run_in(project, "check", code=0)
        self.assertEqual(result.stdout, "forkserver.toml: 1 service and 0 "
                         "zygotes, nothing is wrong\n")
        self.assertEqual(
            json.loads(self.run_in(project, "check", "--json", code=0).stdout),
            [])
        project.write("[services.web\n")
        result = self.run_in(project, "check", code=1)
        self.assertEqual(len(result.stdout.splitlines()), 1)
        self.assertTrue(result.stdout.startswith("forkserver.toml:2: "))
        self.run_in(project, "check", "--nonsense", code=2)
        os.unlink(project.file)
        result = self.run_in(project, "check", code=2)
        self.assertIn("no forkserver.toml", result.stderr)
        result = self.run_in(project, "check", "--file", "none.toml", code=1)
        self.assertIn("none.toml: it cannot be read", result.stdout)

    def test_a_bad_file_starts_nothing(self):
        project = self.project("[services.web]\ncommand = 1\nx = 2\n")
        for command in ("up", "reload", "restart"):
            result = self.run_in(project, command, code=2)
            self.assertEqual(result.stdout, "")
            self.assertEqual(
                result.stderr.splitlines(),
                ["forkserver: forkserver.toml:3: services.web.command: it "
                 "must be a list, [\"program\", \"argument\"], or a text for "
                 "the shell",
                 "forkserver: forkserver.toml:4: services.web.x: there is no "
                 "such key"])
        self.assertEqual(self.cli("daemon", "status").returncode, 1)

    def test_looking_starts_no_daemon(self):
        project = self.project("[services.web]\ncommand = 'x'\n")
        for command in ("up", "reload"):
            result = self.run_in(project, command, "--dry-run", "--json",
                                 code=0)
            self.assertEqual(json.loads(result.stdout)[0]["action"], "start")
        result = self.run_in(project, "down", "--json", code=0)
        self.assertEqual(json.loads(result.stdout), [])
        self.assertEqual(self.cli("daemon", "status").returncode, 1)

    def test_up_starts_a_daemon_and_its_end_is_told(self):
        project = self.project("""
            [services.slow]
            command = "sleep 1000"
            ready = "notify"
        """)
        up = self.start_cli("up", cwd=project.folder)
        wait_for(lambda: self.cli("services").returncode == 0,
                 "there is a daemon")
        wait_for(lambda: self.cli_json("services"), "it is asked for")
        os.kill(self.cli_json("status")["pid"], signal.SIGKILL)
        _, error = up.communicate(timeout=30)
        self.assertEqual(up.returncode, 125, error)
        self.assert_nothing_left()

    def test_the_tests_of_the_same_file_are_still_read(self):
        project = self.project("""
            [services.web]
            command = "x"
            [test]
            targets = ["none"]
        """)
        result = self.cli("test", "none", cwd=project.folder)
        self.assertNotIn("unknown key", result.stderr)


if __name__ == "__main__":
    unittest.main()
