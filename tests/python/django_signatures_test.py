"""What differs between versions of Django, with a fake of each.

django_runner_test runs the version that is installed, django_trixie_test
another one. Here is what the integration asks of a version: the shapes of its
functions, as they are in 3.2, 4.2, 5.2 and 6.1.
"""

import argparse
import multiprocessing
import pickle
import types
import unittest
from unittest import mock

import django
from django.conf import settings

settings.configure(DATABASES={}, SECRET_KEY="x", CHANGED="by the runner")
django.setup()

from django.test import runner as django_runner  # noqa: E402

from forkserver.django import inheritance, recording, worker  # noqa: E402
from forkserver.django.runner import ForkserverDiscoverRunner  # noqa: E402
from forkserver.django.start_method import fork_pretended  # noqa: E402
from forkserver.django.suite import (  # noqa: E402
    ForkserverParallelTestSuite)

calls = []


def init_worker_3_2(counter):
    with counter.get_lock():
        counter.value += 1
        calls.append((counter.value,))


def init_worker_4_2(counter, initial_settings=None, serialized_contents=None,
                    process_setup=None, process_setup_args=None,
                    debug_mode=None):
    with counter.get_lock():
        counter.value += 1
        calls.append((counter.value, initial_settings, process_setup,
                      debug_mode))


def init_worker_5_2(counter, initial_settings=None, serialized_contents=None,
                    process_setup=None, process_setup_args=None,
                    debug_mode=None, used_aliases=None):
    with counter.get_lock():
        counter.value += 1
        calls.append((counter.value, debug_mode, used_aliases))


def init_worker_later(counter, initial_settings=None, something_new=7):
    calls.append((counter.value, something_new))


class RemoteTestRunner_3_2:

    def __init__(self, failfast=False, resultclass=None):
        pass


class RemoteTestRunner_4_2:

    def __init__(self, failfast=False, resultclass=None, buffer=False):
        pass


def process_setup(*args):
    calls.append(args)


class InitializerTest(unittest.TestCase):

    def setUp(self):
        calls.clear()

    def call(self, function, **attributes):
        suite = types.SimpleNamespace(init_worker=function, **attributes)
        with mock.patch.object(django_runner, "_init_worker", function):
            initializer, args = pickle.loads(pickle.dumps(
                inheritance._initializer(suite)))
        initializer(worker._Counter(2), *args)
        return calls[-1]

    def test_3_2_takes_a_counter(self):
        self.assertEqual(self.call(init_worker_3_2), (2,))

    def test_4_2_takes_what_spawn_needs(self):
        self.assertEqual(self.call(init_worker_4_2),
                         (2, None, None, settings.DEBUG))

    def test_5_2_takes_the_aliases_in_use(self):
        self.assertEqual(self.call(init_worker_5_2, used_aliases={"default"}),
                         (2, settings.DEBUG, {"default"}))

    def test_what_a_later_version_takes_has_its_default(self):
        self.assertEqual(self.call(init_worker_later), (1, 7))

    def test_numbers_do_not_grow(self):
        for number in (1, 2, 2, 1):
            init_worker_3_2(worker._Counter(number))
        self.assertEqual(calls, [(1,), (2,), (2,), (1,)])


class SubsuiteArgumentsTest(unittest.TestCase):

    def shape(self, runner_class):
        with mock.patch.object(django_runner, "RemoteTestRunner",
                               runner_class):
            return inheritance.subsuite_arguments(runner_class, 4, "suite",
                                                  True)

    def test_3_2_has_four(self):
        self.assertEqual(self.shape(RemoteTestRunner_3_2),
                         (RemoteTestRunner_3_2, 4, "suite", True))

    def test_4_2_has_buffer_too(self):
        self.assertEqual(self.shape(RemoteTestRunner_4_2),
                         (RemoteTestRunner_4_2, 4, "suite", True, False))


class ProcessSetupTest(unittest.TestCase):
    """Since 4.1."""

    def test_none_in_3_2(self):
        class Suite:
            pass
        with mock.patch.object(django_runner, "ParallelTestSuite", Suite):
            self.assertFalse(inheritance.has_process_setup(Suite))

    def test_stock_one_is_left_out(self):
        class Stock:
            process_setup = inheritance.describe
        with mock.patch.object(django_runner, "ParallelTestSuite", Stock):
            self.assertFalse(inheritance.has_process_setup(Stock))

    def test_the_project_s_own_is_called_with_its_arguments(self):
        class Stock:
            process_setup = inheritance.describe

        class Own(Stock):
            process_setup_args = ("a", 1)

        Own.process_setup = process_setup
        with mock.patch.object(django_runner, "ParallelTestSuite", Stock):
            self.assertTrue(inheritance.has_process_setup(Own))
            function, args = pickle.loads(inheritance._process_setup(Own()))
        self.assertEqual((function, args), (process_setup, ("a", 1)))


class SuiteTest(unittest.TestCase):

    def test_its_constructor_is_django_s(self):
        self.assertNotIn("__init__", vars(ForkserverParallelTestSuite))

    def test_nothing_but_run_is_replaced(self):
        own = {name for name in vars(ForkserverParallelTestSuite)
               if not name.startswith(("_", "forkserver"))}
        self.assertEqual(own, {"run"})


class RecorderTest(unittest.TestCase):
    """Over the results of 3.2, which are no unittest.TestResult, and of 4.2
    and later, which are."""

    def record(self, base, buffer=True):
        class Runner:
            resultclass = base
        events = []
        recording_class = recording.recording_runner(
            Runner, events.append, buffer).resultclass

        class Case(unittest.TestCase):

            def test_fails(self):
                print("printed")
                self.assertEqual(1, 2)

        Case("test_fails").run(recording_class())
        return events

    def check(self, base):
        events = self.record(base)
        self.assertEqual([each.name for each in events],
                         ["startTest", "addFailure", "stopTest"])
        self.assertEqual([each.index for each in events], [0, 0, 0])
        self.assertEqual(events[1].output, ("printed\n", ""))

    def test_result_of_3_2(self):
        class Result:
            failfast = shouldStop = False

            def __init__(self):
                self.events = []
                self.testsRun = 0

            def startTest(self, test):
                self.testsRun += 1
                self.events.append(("startTest", self.testsRun - 1))

            def addFailure(self, test, err):
                self.events.append(("addFailure", self.testsRun - 1, err))

            def stopTest(self, test):
                self.events.append(("stopTest", self.testsRun - 1))

        self.check(Result)

    def test_result_of_4_2(self):
        class Result(unittest.TestResult):

            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.events = []

            def startTest(self, test):
                super().startTest(test)
                self.events.append(("startTest", self.testsRun - 1))

            def addFailure(self, test, err):
                self.events.append(("addFailure", self.testsRun - 1, err))
                super().addFailure(test, err)

            def stopTest(self, test):
                super().stopTest(test)
                self.events.append(("stopTest", self.testsRun - 1))

        self.check(Result)

    def test_result_of_the_installed_version(self):
        self.check(django_runner.RemoteTestResult)


class StartMethodTest(unittest.TestCase):

    def test_fork_is_seen_while_tests_run(self):
        stock = multiprocessing.get_start_method
        with fork_pretended():
            self.assertEqual(multiprocessing.get_start_method(), "fork")
            # What processes are really started with is not touched.
            self.assertNotEqual(stock(), None)
        self.assertIs(multiprocessing.get_start_method, stock)

    def test_parallel_without_a_number(self):
        parser = argparse.ArgumentParser()
        with mock.patch.object(multiprocessing, "get_start_method",
                               lambda *_, **__: "forkserver"), \
                mock.patch.dict("os.environ", DJANGO_TEST_PROCESSES="5"):
            ForkserverDiscoverRunner.add_arguments(parser)
        self.assertEqual(parser.parse_args(["--parallel"]).parallel, 5)
        self.assertEqual(parser.parse_args(["--parallel", "3"]).parallel, 3)

    def test_parallel_auto_since_4_0(self):
        def add_arguments(parser):
            parser.add_argument("--parallel", nargs="?", const="auto",
                                default=0, type=lambda value: value)
        parser = argparse.ArgumentParser()
        with mock.patch.object(django_runner.DiscoverRunner, "add_arguments",
                               add_arguments), \
                mock.patch.object(django_runner, "get_max_test_processes",
                                  lambda: 6, create=True):
            ForkserverDiscoverRunner.add_arguments(parser)
        self.assertEqual(parser.parse_args(["--parallel"]).parallel, 6)
        self.assertEqual(parser.parse_args(["--parallel", "auto"]).parallel,
                         6)


class ConstructorTest(unittest.TestCase):

    def test_buffer_with_several_workers(self):
        # 3.2 refuses it.
        runner = ForkserverDiscoverRunner(buffer=True, parallel=2)
        self.assertTrue(runner.buffer)

    def test_settings_of_the_command_travel(self):
        sent = dict(inheritance._settings())
        self.assertEqual(pickle.loads(sent["CHANGED"]), "by the runner")
        self.assertNotIn("DATABASES", sent)


if __name__ == "__main__":
    unittest.main()
