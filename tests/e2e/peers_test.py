"""Who may be a client: the same user, no more confined than the daemon.

Tagged local: as root, and in the system's own namespaces.
"""

import ctypes
import os
import struct
import sys
import traceback
import unittest

from wire import Client, WireError, WireTestCase, prctl

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
PR_CAPBSET_DROP, CAP_SYS_CHROOT = 24, 18
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
NOBODY = 65534


def no_new_privs():
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def seccomp():
    """A filter that allows everything: BPF_RET | BPF_K, SECCOMP_RET_ALLOW."""
    instruction = ctypes.create_string_buffer(
        struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", 1, ctypes.addressof(instruction)))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program))


def unshare(flags):

    def enter():
        if LIBC.unshare(flags) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return enter


class PeersTest(WireTestCase):

    def connect_as(self, become):
        """What a client gets that first does become(): "served" or a code.

        Skips the test when the system forbids that.
        """
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            try:
                try:
                    become()
                except OSError as error:
                    os.write(write_end, f"skip: {error}".encode())
                    os._exit(0)
                try:
                    client = Client(self.daemon.socket, self.marker)
                    client.wait(client.spawn(["true"]))
                    answer = "served"
                except WireError as error:
                    answer = error.code
                except ConnectionError:
                    answer = "closed"
                os.write(write_end, answer.encode())
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc(file=sys.stderr)
            finally:
                os._exit(0)
        os.close(write_end)
        with open(read_end, "rb") as output:
            answer = output.read().decode()
        os.waitpid(pid, 0)
        if answer.startswith("skip: "):
            self.skipTest("kernel: " + answer[len("skip: "):])
        return answer

    def check_confined(self, become):
        self.assertEqual(self.connect_as(become), "peer_confined")
        self.assert_serves()
        self.connections.close()
        self.assertEqual(self.daemon.stop(), 0)
        self.start_daemon("--allow-confined")
        self.assertEqual(self.connect_as(become), "served")

    def test_a_client_like_the_daemon_is_served(self):
        self.assertEqual(self.connect_as(lambda: None), "served")

    def test_no_new_privs_is_confined(self):
        self.check_confined(no_new_privs)

    def test_fewer_capabilities_are_confined(self):
        self.check_confined(lambda: prctl(PR_CAPBSET_DROP, CAP_SYS_CHROOT))

    def test_a_seccomp_filter_is_confined(self):

        def become():
            # Root needs no no_new_privs for it.
            if os.geteuid() != 0:
                no_new_privs()
            seccomp()

        self.check_confined(become)

    def test_a_mount_namespace_of_its_own_is_confined(self):
        self.check_confined(unshare(CLONE_NEWNS))

    def test_a_user_namespace_of_its_own_is_confined(self):
        self.assertIn(self.connect_as(unshare(CLONE_NEWUSER)),
                      ("peer_confined", "peer_refused"))
        self.assert_serves()

    def test_a_daemon_that_is_as_confined_serves_it(self):
        self.connections.close()
        self.assertEqual(self.daemon.stop(), 0)
        self.start_daemon(preexec_fn=no_new_privs)
        self.assertEqual(self.connect_as(no_new_privs), "served")
        self.assertEqual(self.connect_as(lambda: None), "served")

    @unittest.skipIf(os.geteuid() != 0, "os: needs root")
    def test_another_user_is_refused(self):
        # As if somebody had opened the folder and the socket.
        os.chmod(self.folder, 0o755)
        os.chmod(self.daemon.socket, 0o666)
        self.assertEqual(self.connect_as(lambda: os.setuid(NOBODY)),
                         "peer_refused")
        os.chmod(self.folder, 0o700)
        self.assert_serves()

    @unittest.skipIf(os.geteuid() != 0, "os: needs root")
    def test_root_is_no_exception(self):
        self.connections.close()
        self.assertEqual(self.daemon.stop(), 0)
        os.chown(self.folder, NOBODY, NOBODY)
        os.unlink(self.daemon.socket + ".lock")

        def become():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            # Or /proc/PID/ns of it could be read by root only.
            prctl(PR_SET_DUMPABLE, 1)

        with self.assertRaises(WireError) as caught:
            self.start_daemon(program=self.public_program(),
                              preexec_fn=become)
        self.assertEqual(caught.exception.code, "peer_refused")
        self.assertEqual(self.connect_as(become), "served")
        self.assertEqual(self.daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
