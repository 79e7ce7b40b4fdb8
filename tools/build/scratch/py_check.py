import unittest, subprocess, msgpack, sys
class T(unittest.TestCase):
    def test_msgpack(self):
        self.assertEqual(msgpack.packb({"a": 1})[0], 0x81)
        self.assertEqual(sys.executable, "/usr/bin/python3")
    def test_uv(self):
        self.assertEqual(subprocess.check_output(["tools/build/scratch/uv"]), b"3 1 7\n")
    @unittest.skip("os: nothing")
    def test_skip(self): pass
if __name__ == "__main__":
    unittest.main()
