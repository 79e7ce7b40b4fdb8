"""The process that Python workers are forked from.

Client.zygote() starts it; so does the command line, without the preparations
of the caller's interpreter:

    forkserver zygote start shop --preload shop.models -- \\
        python3 -m forkserver.zygote_host

It imports what it was asked to preload, one step after the other, is audited,
and then forks a worker for each request: a blocking loop in the main thread,
with no other thread and with os.fork() only. docs/protocol.md, "Zygotes", is
the contract; docs/python.md says what users see.
"""
