"""A pytest session in several processes.

The main process (controller, replay) has the terminal, the reports and the
cache; the session zygote (zygote, fixtures, units) collects and sets up session
fixtures; a zygote for a file sets up what is of its module; workers (worker)
run tests. What pytest tells its plugins in one process and others are to hear
is carried over by relay.
"""
