"""A zygote whose source files have changed since it loaded them."""

import os
import unittest

from zygote_case import ZygoteTestCase, alive, wait_for


class StaleTest(ZygoteTestCase):

    def change(self, name, source):
        """Other contents, and another time whatever the clock's grain."""
        self.write(source, name)
        status = os.stat(self.file_of(name))
        os.utime(self.file_of(name),
                 ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))

    def setUp(self):
        super().setUp()
        self.inner = self.write("value = 'old'")
        self.outer = self.write(f"import {self.inner}")
        self.value = f"__import__('{self.inner}').value"

    def test_a_fresh_zygote_is_not_stale(self):
        zygote = self.zygote(preload=[self.outer])
        self.assertEqual(zygote.stale(), [])

    def test_files_that_changed_or_are_gone_are_named(self):
        zygote = self.zygote(preload=[self.outer])
        nested = self.zygote("nested", parent=zygote, preload=["decimal"])
        self.change(self.inner, "value = 'new'")
        self.assertEqual(zygote.stale(), [self.file_of(self.inner)])
        self.assertEqual(nested.stale(), [self.file_of(self.inner)])
        os.unlink(self.file_of(self.outer))
        self.assertEqual(zygote.stale(), sorted(
            [self.file_of(self.inner), self.file_of(self.outer)]))
        self.assertEqual(zygote.call(eval, self.value), "old")

    def test_a_file_that_was_touched_back_is_not_stale(self):
        zygote = self.zygote(preload=[self.outer])
        status = os.stat(self.file_of(self.inner))
        self.write("value = 'old'", self.inner)
        os.utime(self.file_of(self.inner),
                 ns=(status.st_atime_ns, status.st_mtime_ns))
        self.assertEqual(zygote.stale(), [])

    def test_files_that_only_workers_load_do_not_count(self):
        zygote = self.zygote()
        self.assertEqual(zygote.call(eval, self.value), "old")
        self.change(self.inner, "value = 'new'")
        self.assertEqual(zygote.stale(), [])
        self.assertEqual(zygote.call(eval, self.value), "new")

    def test_reload_makes_a_new_one(self):
        zygote = self.zygote(preload=[self.outer])
        old = zygote.info
        self.change(self.inner, "value = 'new'")
        zygote.reload()
        self.assertNotEqual(zygote.info.id, old.id)
        self.assertEqual(zygote.stale(), [])
        self.assertEqual(zygote.call(eval, self.value), "new")
        wait_for(lambda: not alive(old.pid), "the old one ends")

    def test_auto_reload_does_so_when_it_is_needed(self):
        zygote = self.zygote(preload=[self.outer], auto_reload=True)
        first = zygote.info.id
        self.assertEqual(zygote.call(eval, self.value), "old")
        self.assertEqual(zygote.info.id, first)
        self.change(self.inner, "value = 'new'")
        self.assertEqual(zygote.call(eval, self.value), "new")
        self.change(self.inner, "value = 'newer'\ndef entry(context):"
                    " context.set_result(value.encode())")
        read_end, write_end = os.pipe()
        with zygote.fork(self.inner + ":entry", result=write_end) as worker:
            os.close(write_end)
            self.assertEqual(os.read(read_end, 100), b"newer")
            os.close(read_end)
            self.assertEqual(worker.wait(30).code, 0)

    def test_two_handles_rebuild_it_once(self):
        one = self.zygote(preload=[self.outer], auto_reload=True)
        two = self.zygote(preload=[self.outer], auto_reload=True)
        self.assertEqual(one.info.id, two.info.id)
        self.assertEqual((one.stale(), two.stale()), ([], []))
        self.change(self.inner, "value = 'new'")
        self.assertEqual(one.call(eval, self.value), "new")
        self.assertEqual(two.call(eval, self.value), "new")
        self.assertEqual(one.info.id, two.info.id)

    def test_a_rebuild_that_fails_is_told_and_tried_again(self):
        zygote = self.zygote(preload=[self.outer], auto_reload=True)
        zygote.call(abs, 1)
        self.change(self.inner, "raise ValueError('half written')")
        with self.assertRaisesRegex(Exception, "half written"):
            zygote.call(eval, self.value)
        self.change(self.inner, "value = 'whole'")
        self.assertEqual(zygote.call(eval, self.value), "whole")


if __name__ == "__main__":
    unittest.main()
