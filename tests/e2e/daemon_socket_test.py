"""Where forkserverd puts its socket, and what it refuses."""

import ctypes
import os
import socket
import stat
import subprocess
import unittest

from wire import FORKSERVERD, WireTestCase, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2


class SocketTestCase(WireTestCase):
    starts_daemon = False

    def refused(self, path, *words, code=3, **options):
        """It must say why, and leave no process and no socket."""
        result = subprocess.run(
            [FORKSERVERD, "--socket", path, "--foreground"], timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, **options)
        text = result.stdout.decode(errors="replace")
        self.assertEqual(result.returncode, code, text)
        for word in words:
            self.assertIn(word, text)
        self.assert_nothing_left()


class SocketTest(SocketTestCase):

    def test_the_socket_is_0600_and_its_new_folder_0700(self):
        folder = os.path.join(self.folder, "new")
        path = os.path.join(folder, "d.sock")
        process = subprocess.Popen(
            [FORKSERVERD, "--socket", path, "--foreground"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(path), "the socket")
        self.assertEqual((self.mode(folder), self.mode(path)),
                         (0o700, 0o600))
        # Whoever sees the socket can connect.
        with socket.socket(socket.AF_UNIX) as connection:
            wait_for(lambda: connection.connect_ex(path) == 0, "it accepts")
        # From the moment at which its socket can be seen it ends in order.
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(os.listdir(folder), ["d.sock.lock"])

    @staticmethod
    def mode(path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def test_a_stale_socket_is_taken_over(self):
        self.start_daemon()
        self.daemon.kill()
        self.assert_nothing_left()
        self.assertTrue(os.path.exists(self.daemon.socket))
        self.start_daemon()
        self.assert_serves()

    def test_a_socket_without_a_lock_file_is_not_taken_from_a_live_one(self):
        self.start_daemon()
        os.unlink(self.daemon.socket + ".lock")
        self.refused_while_served(self.daemon.socket)
        self.assert_serves()

    def refused_while_served(self, path):
        result = subprocess.run(
            [FORKSERVERD, "--socket", path, "--foreground"], timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(b"another forkserverd serves", result.stdout)

    def test_a_socket_that_was_replaced_is_not_removed_at_the_end(self):
        self.start_daemon()
        path = self.daemon.socket
        os.rename(path, path + ".moved")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
        self.assertEqual(self.daemon.stop(), 0)
        self.assertTrue(os.path.exists(path))
        self.assert_nothing_left()

    def test_a_file_in_the_way_is_left_alone(self):
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        self.refused(path, "not a socket")
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")
        os.symlink("/etc/passwd", os.path.join(self.folder, "link"))
        self.refused(os.path.join(self.folder, "link"), "not a socket")

    def test_a_path_that_is_too_long(self):
        self.refused(os.path.join(self.folder, "x" * 100), "107")

    def test_a_relative_path_is_of_the_working_directory(self):
        process = subprocess.Popen(
            [FORKSERVERD, "--socket", "rel.sock", "--foreground"],
            cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(os.path.join(self.folder,
                                                     "rel.sock")), "it is")
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/cwd") == "/",
                 "it went to /")
        process.terminate()
        self.assertEqual(process.wait(30), 0)

    def test_a_folder_that_others_can_write_to(self):
        folder = os.path.join(self.folder, "open")
        os.mkdir(folder)
        os.chmod(folder, 0o770)
        self.refused(os.path.join(folder, "d.sock"), "0770", folder)
        self.refused("/tmp/forkserver-test-d.sock", "/tmp")

    def test_a_folder_that_is_not_there_or_no_folder(self):
        self.refused(os.path.join(self.folder, "a/b/d.sock"), "mkdir",
                     "No such file")
        with open(os.path.join(self.folder, "file"), "wb"):
            pass
        self.refused(os.path.join(self.folder, "file/d.sock"),
                     "not a folder")

    def test_bad_flags(self):
        for arguments, word in ((["--frobnicate"], "--frobnicate"),
                                (["--idle-exit", "soon"], "soon"),
                                (["--log-level", "loud"], "loud"),
                                (["--zygote-idle", "-1"], "-1"),
                                (["--socket", ""], "path"),
                                (["extra"], "extra")):
            result = subprocess.run([FORKSERVERD, *arguments], timeout=60,
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, check=False)
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn(word, result.stdout.decode())
        for flag in ("--version", "--help"):
            subprocess.run([FORKSERVERD, flag], timeout=60, check=True,
                           stdout=subprocess.DEVNULL)


@unittest.skipIf(os.geteuid() != 0, "os: needs root")
class SocketAsRootTest(SocketTestCase):
    """Tagged local: it mounts and gives files away."""

    def test_a_folder_of_somebody_else(self):
        folder = os.path.join(self.folder, "other")
        os.mkdir(folder, 0o700)
        os.chown(folder, 65534, 65534)
        self.refused(os.path.join(folder, "d.sock"), "65534", folder)

    def test_a_read_only_runtime_folder(self):
        folder = os.path.join(self.folder, "ro").encode()
        os.mkdir(folder, 0o700)
        if LIBC.mount(folder, folder, None, MS_BIND, None) != 0:
            self.skipTest("kernel: no bind mounts: " +
                          os.strerror(ctypes.get_errno()))
        self.addCleanup(LIBC.umount2, folder, MNT_DETACH)
        self.assertEqual(LIBC.mount(None, folder, None,
                                    MS_REMOUNT | MS_BIND | MS_RDONLY, None),
                         0)
        self.refused(os.path.join(folder.decode(), "d.sock"),
                     "Read-only file system")
        self.refused(os.path.join(folder.decode(), "new/d.sock"), "mkdir",
                     "Read-only file system")


if __name__ == "__main__":
    unittest.main()
