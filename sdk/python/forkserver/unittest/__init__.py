"""unittest, with each test class in a fresh worker:

    python3 -m forkserver.unittest -j 4 discover -s tests

docs/python.md, "unittest", says what is the same and what is not.
"""
