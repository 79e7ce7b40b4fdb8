"""A zygote with tests, for the harness `forkserver test`.

The harness starts it as any Python zygote, with `tests` in its settings
(request) and the preload steps `loading:prepare`, the user's own,
`loading:load`. It offers the entries `forkserver.test_list` and
`forkserver.test_run` (docs/protocol.md, "Test harness"); what a worker tells
while it runs tests is on its report page (report_page). docs/python.md,
"Under forkserver test", is for users.
"""
