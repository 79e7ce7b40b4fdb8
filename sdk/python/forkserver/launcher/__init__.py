"""forkserver-python: takes python's command line, and runs it in a worker that
is forked from a warm zygote of the same interpreter.

    pytest --dist load --tx '4*popen//python=forkserver-python'
"""
