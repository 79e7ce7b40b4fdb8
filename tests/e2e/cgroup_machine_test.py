"""Limits by cgroups, where the kernel has them: in a small virtual machine.

Debian's cloud kernel and a busybox, under qemu's software emulation, with
forkserverd in a cgroup of its own. One boot runs all CASES; each test looks at
what one of them printed. Tagged slow: it downloads the kernel.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from daemon_fixture import (FORKSERVER, FORKSERVERD, ROOT, ZYGOTE_PROGRAM,
                            is_sanitized)

DEPS = os.path.join(ROOT, "tools/deps")
BOOT_SECONDS = 240
NEEDED = ("qemu-system-x86_64", "busybox", "apt-get", "dpkg-deb")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp FORKSERVER_SOCKET=/tmp/d.sock
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 none /sys/fs/cgroup
echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/session
ip link set lo up 2>/dev/null
. /start
for case in /cases/*; do
  echo "@@@ ${case##*/}"
  sh "$case" 2>&1 </dev/null
  echo "@@@ exit $?"
done
cat /tmp/log*
poweroff -f
"""
START = """
start_daemon() {
  sh -c 'echo 0 >/sys/fs/cgroup/session/cgroup.procs || exit 1
    exec forkserverd --socket /tmp/d.sock --foreground' >>/tmp/log 2>&1 &
  echo $! >/tmp/daemon
  until forkserver status >/dev/null 2>&1; do
    kill -0 $(cat /tmp/daemon) || break
    sleep 0.1
  done
}
test -S /tmp/d.sock || start_daemon
"""
# It reads 200 MB into memory at once.
HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
OWN = "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)"
RECORD = 'forkserver wait --json "$(forkserver run --detach %s)"'
CASES = {
    "a_status": "forkserver status --json",
    "b_memory": RECORD % f"--memory-max 32M -- {HOG}",
    "c_memory_told": f"forkserver run --memory-max 32M -- {HOG}",
    "c_memory_explained": "worker=\"$(forkserver run --detach --memory-max 32M "
                          f"-- {HOG})\"; forkserver wait $worker >/dev/null; "
                          "forkserver why $worker",
    "d_memory_of_a_child": RECORD %
                           f"--memory-max 32M -- sh -c '{HOG}; exit 3'",
    "e_memory_enough": RECORD % ("--memory-max 64M -- dd if=/dev/zero "
                                 "of=/dev/null bs=16M count=1"),
    "f_tasks": "forkserver run --tasks-max 4 -- sh -c '"
               f"cat {OWN}/pids.max; for i in 1 2 3 4 5 6; do sleep 60 & "
               "done; echo not reached'",
    "g_cpu": "forkserver run --cpu-max 20% -- sh -c '"
             f"cat {OWN}/cpu.max; until grep -q \"nr_throttled [1-9]\" "
             f"{OWN}/cpu.stat; do :; done; echo throttled'",
    "h_forked": "forkserver zygote start z -- zygote_program >/dev/null; "
                "forkserver wait --json \"$(forkserver fork z --detach "
                "--memory-max 32M --tasks-max 9 --cpu-max 1.5 --entry "
                f"run_shell --args 'cat {OWN}/pids.max {OWN}/cpu.max "
                f">/tmp/h; {HOG}')\"; cat /tmp/h",
    "i_spare": "forkserver zygote start s --spares 1:1 -- zygote_program "
               ">/dev/null; sleep 1; "
               "forkserver wait --json \"$(forkserver fork s --detach "
               f"--memory-max 32M --entry run_shell --args '{HOG}')\"",
    "j_service": "forkserver start hog --memory-max 32M --restart no -- "
                 f"sh -c '{HOG}' >/dev/null; "
                 "until forkserver services --json | grep -q failed; do "
                 "sleep 0.1; done; forkserver services --json; "
                 "forkserver remove hog",
    # No parent and no variable leads to it any more.
    "k_stop": "forkserver start web --memory-max 64M -- sh -c '"
              "(setsid env -i /bin/sh -c \"sleep 1000; :\" &); "
              "exec sleep 1000' >/dev/null; "
              "until [ $(pidof sleep | wc -w) -eq 2 ]; do sleep 0.1; done; "
              "forkserver stop web >/dev/null; echo left: "
              "$(pidof sleep); ls -d /sys/fs/cgroup/session/worker.*",
    "l_nothing_else_ended": "forkserver ps --json; forkserver zygote ls",
    "m_too_small": RECORD % "--memory-max 1 -- true",
    # With one below that is limited and lives on, nobody could be put there.
    "n_another_daemon": "forkserver run --detach --memory-max 64M -- "
                        "sleep 2000 >/dev/null; kill -9 $(cat /tmp/daemon); "
                        "until [ -z \"$(cat "
                        "/sys/fs/cgroup/session/cgroup.subtree_control)\" ]; "
                        "do sleep 0.1; done; start_daemon; "
                        "pidof sleep; forkserver status --json; "
                        + RECORD % f"--memory-max 32M -- {HOG}",
    "o_an_orderly_end": "forkserver daemon stop; "
                        "until ! kill -0 $(cat /tmp/daemon); do sleep 0.1; "
                        "done 2>/dev/null; kill $(pidof sleep); "
                        "echo control: "
                        "$(cat /sys/fs/cgroup/session/cgroup.subtree_control)",
}


def libraries_of(program):
    listed = subprocess.check_output(["ldd", program], text=True)
    return re.findall(r"(/\S+) \(0x", listed)


class Machine:
    """What each case printed, and its exit code."""

    def __init__(self, folder):
        self._folder = folder
        self.root = os.path.join(folder, "root")
        self._copy_programs()
        self._write("init", INIT, 0o755)
        self._write("start", START)
        os.makedirs(os.path.join(self.root, "cases"))
        for name, script in CASES.items():
            self._write(f"cases/{name}", f". /start\n{script}\n")

    def _write(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)

    def _copy_programs(self):
        for name in ("bin", "proc", "sys", "dev", "tmp"):
            os.makedirs(os.path.join(self.root, name))
        shutil.copy(shutil.which("busybox"), os.path.join(self.root, "bin"))
        for program in (FORKSERVERD, FORKSERVER, ZYGOTE_PROGRAM):
            shutil.copy(program, os.path.join(self.root, "bin"))
            for library in libraries_of(program):
                target = self.root + library
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(library, target)

    def run(self):
        kernel_folder = os.path.join(self._folder, "kernel")
        os.makedirs(kernel_folder)
        os.chmod(self._folder, 0o755)
        os.chmod(kernel_folder, 0o777)  # apt downloads as another user
        subprocess.run(["bash", DEPS, "kernel", kernel_folder], check=True)
        (kernel,) = [os.path.join(kernel_folder, "boot", name)
                     for name in os.listdir(kernel_folder + "/boot")
                     if name.startswith("vmlinuz")]
        image = os.path.join(self._folder, "initrd")
        subprocess.run(f"find . | busybox cpio -o -H newc >{image}",
                       shell=True, cwd=self.root, check=True,
                       stderr=subprocess.DEVNULL)
        process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-m", "768", "-smp", "2",
             "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel,
             "-initrd", image, "-append",
             "console=ttyS0 quiet loglevel=0 panic=-1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            output, _ = process.communicate(timeout=BOOT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        output = output.decode(errors="replace").replace("\r", "")
        self.output = output
        return {name: (text, int(code)) for name, text, code in re.findall(
            r"@@@ (\w+)\n(.*?)@@@ exit (\d+)\n", output, re.DOTALL)}


@unittest.skipIf(os.uname().machine != "x86_64", "os: the kernel is for x86-64")
@unittest.skipUnless(all(map(shutil.which, NEEDED)),
                     "this needs " + ", ".join(NEEDED))
class CgroupMachineTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if is_sanitized(FORKSERVERD):
            raise unittest.SkipTest("os: no room for a sanitizer")
        folder = tempfile.mkdtemp(prefix="machine", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.machine = Machine(folder)
        cls.cases = cls.machine.run()

    def case(self, name, code=0):
        self.assertIn(name, self.cases, self.machine.output)
        text, found = self.cases[name]
        self.assertEqual(found, code, text)
        return text

    def json_of(self, name, code=0):
        return self.parsed(name, code)[0]

    def parsed(self, name, code=0):
        """The JSON texts and the words between."""
        text = self.case(name, code).strip()
        found = []
        while text:
            if text[0] in "[{":
                value, end = json.JSONDecoder().raw_decode(text)
                found.append(value)
                text = text[end:].strip()
            else:
                word, _, text = text.partition("\n")
                found.append(word)
                text = text.strip()
        return found

    def test_the_daemon_says_what_it_can_limit(self):
        status = self.json_of("a_status")
        self.assertEqual(sorted(status["cgroup_limits"]),
                         ["cpu", "memory", "pids"])
        self.assertEqual(status["cgroup_missing"], "")

    def test_a_worker_out_of_memory_is_told_as_that(self):
        record = self.json_of("b_memory", 137)
        self.assertEqual((record["reason"], record["signal"],
                          record["oom_kills"]), ("signaled", 9, 1))
        self.assertIn("ran out of memory", self.case("c_memory_told", 137))
        self.assertIn("SIGKILL. It ran out of memory (--memory-max): the "
                      "kernel killed 1 process of it.",
                      self.case("c_memory_explained"))

    def test_one_that_it_started_is_counted_too(self):
        record = self.json_of("d_memory_of_a_child", 3)
        self.assertEqual((record["code"], record["oom_kills"]), (3, 1))

    def test_one_that_has_enough_is_left_alone(self):
        record = self.json_of("e_memory_enough")
        self.assertEqual((record["code"], record["oom_kills"]), (0, 0))

    def test_tasks(self):
        text = self.case("f_tasks", 2)
        self.assertTrue(text.startswith("4\n"), text)
        self.assertIn("can't fork", text)
        self.assertNotIn("not reached", text)

    def test_processor_time(self):
        self.assertEqual(self.case("g_cpu"), "20000 100000\nthrottled\n")

    def test_a_forked_worker(self):
        record, *_, tasks, cpu = self.parsed("h_forked")
        self.assertEqual((record["kind"], record["oom_kills"]),
                         ("forked", 1))
        self.assertEqual((tasks, cpu), ("9", "150000 100000"))

    def test_a_spare(self):
        self.assertEqual(self.json_of("i_spare")["oom_kills"], 1)

    def test_a_run_of_a_service(self):
        (service,) = self.json_of("j_service")
        self.assertEqual(service["exit"]["oom_kills"], 1)
        self.assertEqual(service["state"], "failed")

    def test_stop_ends_what_left_its_tree(self):
        text = self.case("k_stop", 1)
        self.assertTrue(text.startswith("left:\n"), text)
        self.assertIn("No such file", text)

    def test_the_daemon_and_its_zygotes_live_on(self):
        text = self.case("l_nothing_else_ended")
        self.assertTrue(text.startswith("[]\n"), text)
        self.assertIn("z ", text)

    def test_too_little_memory_to_begin_with(self):
        # Its child is killed before it has executed anything.
        self.assertEqual(self.json_of("m_too_small", 137)["oom_kills"], 1)

    def test_a_daemon_that_was_killed_is_followed_by_another(self):
        pid, status, record, *_ = self.parsed("n_another_daemon", 137)
        self.assertTrue(pid.isdigit(), pid)
        self.assertEqual(len(status["cgroup_limits"]), 3)
        self.assertEqual(record["oom_kills"], 1)

    def test_an_orderly_end_leaves_the_cgroup_as_it_was(self):
        self.assertIn("control:\n", self.case("o_an_orderly_end"))


if __name__ == "__main__":
    unittest.main()
