"""Tests that fail, crash and hang on purpose. Their file has a name that
discovery does not look for: they are run by label."""

import os
import signal
import threading
import unittest

from django.conf import settings
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.test import runner as django_runner

from shop.models import Product


def note(text):
    """Into a file that the test of this project reads."""
    with open(os.path.join(settings.BASE, "notes"), "a",
              encoding="utf-8") as file:
        file.write(text + "\n")


class SegfaultTest(SimpleTestCase):

    def test_a_before(self):
        note(f"worker {django_runner._worker_id} before")

    def test_b_crash(self):
        note(f"worker {django_runner._worker_id} crash")
        os.kill(os.getpid(), signal.SIGSEGV)

    def test_c_after(self):
        note(f"worker {django_runner._worker_id} after")


class KilledTest(SimpleTestCase):

    def test_a_killed(self):
        note(f"worker {django_runner._worker_id} killed")
        os.kill(os.getpid(), signal.SIGKILL)

    def test_b_after(self):
        note(f"worker {django_runner._worker_id} after")


class ExitTest(SimpleTestCase):

    def test_exit(self):
        os._exit(3)


class ClassCrashTest(SimpleTestCase):

    @classmethod
    def setUpClass(cls):
        os.kill(os.getpid(), signal.SIGKILL)

    def test_never_runs(self):
        note("ran")


class ClassErrorTest(SimpleTestCase):

    @classmethod
    def setUpClass(cls):
        print("printed by the class")
        raise ValueError("no class today")

    def test_never_runs(self):
        note("ran")


class ClassSkipTest(SimpleTestCase):

    @classmethod
    def setUpClass(cls):
        raise unittest.SkipTest("no class needed")

    def test_never_runs(self):
        note("ran")


class GoodTest(SimpleTestCase):

    def test_good(self):
        note("good")


class OtherGoodTest(SimpleTestCase):

    def test_good(self):
        pass


class FailureTest(SimpleTestCase):

    def test_failure(self):
        print("printed by the failing test")
        self.assertEqual(compute(), 2)

    def test_success(self):
        print("printed by the good test")


def compute():
    return 1


class ErrorInHelperTest(SimpleTestCase):

    def test_error(self):
        raise_deeply()


def raise_deeply():
    raise KeyError("deep")


class ChainedErrorTest(SimpleTestCase):

    def test_chain(self):
        try:
            try:
                raise ZeroDivisionError("the first")
            except ZeroDivisionError:
                raise KeyError("the second")
        except KeyError:
            raise ValueError("the third")

    def test_cause(self):
        try:
            raise OSError("the cause")
        except OSError as error:
            raise RuntimeError("the effect") from error


class UnpicklableTest(SimpleTestCase):

    def test_error(self):

        class Local(Exception):
            pass

        raise Local("cannot travel")

    def test_sub_test(self):
        with self.subTest("a message", function=lambda: 1, number=7):
            self.fail("in a sub-test")


class HangingTest(SimpleTestCase):

    def test_hangs(self):
        note("hangs")
        threading.Event().wait()


class FailsWhenOtherHangsTest(SimpleTestCase):

    def test_fails(self):
        path = os.path.join(settings.BASE, "notes")
        while not os.path.exists(path):
            threading.Event().wait(0.01)
        self.fail("first")


class ThreadLeftTest(SimpleTestCase):

    def test_thread(self):
        threading.Thread(target=threading.Event().wait).start()


class ClosesDescriptorsTest(SimpleTestCase):

    def test_closes(self):
        os.closerange(3, 4096)


class DirtyTest(TransactionTestCase):

    def test_killed_with_rows(self):
        for name in ("left", "behind"):
            Product.objects.create(name=name, price=1)
        os.kill(os.getpid(), signal.SIGKILL)

    def test_next(self):
        note(f"products {Product.objects.count()}")


class CleanTest(TestCase):

    def test_products(self):
        self.assertEqual(Product.objects.count(), 1)


class DebugModeTest(SimpleTestCase):

    def test_debug(self):
        note(f"debug {settings.DEBUG}")


class RunnerTest(SimpleTestCase):

    def test_settings_of_the_runner(self):
        self.assertEqual(settings.CHANGED_BY_RUNNER, "yes")

    def test_initializer_of_the_suite(self):
        self.assertEqual(settings.SEARCH_INDEX,
                         f"index_{django_runner._worker_id}")


class MultiprocessingTest(SimpleTestCase):

    def test_process_of_a_test(self):
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(
            target=note, args=("from a process of a test",))
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)

    def test_processes_are_ended(self):
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(
            target=threading.Event().wait)
        process.start()
        process.terminate()
        process.join()
        self.assertEqual(process.exitcode, -signal.SIGTERM)

    def test_name_of_the_worker(self):
        import multiprocessing
        current = multiprocessing.current_process()
        self.assertEqual(current._identity, (django_runner._worker_id,))


def made_at_run_time():

    class MadeTest(TestCase):

        @classmethod
        def tearDownClass(cls):
            super().tearDownClass()
            note("torn down")

        def test_made(self):
            note(f"made in worker {django_runner._worker_id}")

    return MadeTest


Made = made_at_run_time()
OtherMade = made_at_run_time()


class InterruptingTest(SimpleTestCase):

    def test_a_before(self):
        pass

    def test_b_interrupt(self):
        raise KeyboardInterrupt

    def test_c_after(self):
        note("after")


class PreSetupErrorTest(SimpleTestCase):

    def _pre_setup(self):
        super()._pre_setup()
        if self._testMethodName == "test_b":
            raise ValueError("no test_b today")

    def _post_teardown(self):
        super()._post_teardown()
        if self._testMethodName == "test_c":
            raise ValueError("no end of test_c")

    def test_a(self):
        pass

    def test_b(self):
        pass

    def test_c(self):
        pass

    def test_d(self):
        pass
