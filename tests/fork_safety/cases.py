"""The cases: what a parent used, and what then becomes of a forked child.

tests/fork_safety/fork_safety_test.py shows each; docs/fork_safety.md has the
table that page.py makes of what it saw.
"""

import dataclasses
import sysconfig
import typing

OPENBLAS_OPENMP = (f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"
                   "/openblas-openmp")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    # What the parent used, for the page.
    used: str
    # programs/PROGRAM.py, and its function that brings the parent there.
    program: str
    # A regular expression for what becomes of at least one child of os.fork();
    # None: every child gives the right answer. And the same for the page.
    fails: typing.Optional[str]
    shows: str
    # What the reasons must name that the parent is unsafe to fork: threads,
    # libraries, descriptors, from outside and before the fork. "{address}" is
    # that of the service. A safe case has none, and no reason to be refused.
    expects: tuple = ()
    # The rows of the table of known cases that doctor must find, as reasons or
    # as notes.
    known_as: tuple = ()
    use: str = "use"
    # More than one where they disturb each other.
    children: int = 1
    # What it talks to: a key of SERVICES in fork_safety_test.py.
    service: typing.Optional[str] = None
    environment: dict = dataclasses.field(default_factory=dict)
    # How many parents fork until the failure is seen: more than one where it
    # is a matter of chance, with the reason.
    attempts: int = 1


CASES = (
    Case(
        name="libgomp",
        used="OpenMP of GCC (libgomp), more than one thread",
        program="use_openmp",
        fails="^hangs",
        shows="hangs in its first parallel region",
        expects=("libgomp",),
        known_as=("libgomp",),
    ),
    Case(
        name="numpy_openblas_openmp",
        used="numpy with OpenBLAS-openmp",
        program="use_numpy",
        fails="^hangs",
        shows="hangs, as libgomp does",
        expects=("libgomp",),
        environment={"LD_LIBRARY_PATH": OPENBLAS_OPENMP,
                     "OMP_NUM_THREADS": "4"},
        known_as=("libgomp",),
    ),
    Case(
        name="numpy_openblas_pthread",
        used="numpy with OpenBLAS-pthread",
        program="use_numpy",
        fails=None,
        shows="works: it stops its threads for the fork",
        environment={"OPENBLAS_NUM_THREADS": "4"},
        known_as=("openblas",),
    ),
    Case(
        name="held_mutex",
        used="a mutex that another thread holds (C++)",
        program="use_mutex",
        fails="^hangs",
        shows="hangs when it takes the mutex",
        expects=("long-work",),
    ),
    # Python 3.11 does not tell the kernel its threads' names: only from inside
    # is "long-work" or "crew_0" seen.
    Case(
        name="held_lock",
        used="a `threading.Lock` that another thread holds",
        program="use_lock",
        fails="^hangs",
        shows="hangs when it takes the lock",
        expects=("thread",),
        known_as=("python",),
    ),
    Case(
        name="thread_pool",
        used="`ThreadPoolExecutor`",
        program="use_thread_pool",
        fails="^hangs",
        shows="hangs: it waits for a thread that it does not have",
        expects=("thread",),
        known_as=("python",),
    ),
    # There are moments in which the lock is free.
    Case(
        name="getaddrinfo",
        used="`getaddrinfo` under way in a thread",
        program="use_getaddrinfo",
        fails="^hangs",
        shows="hangs, often",
        expects=("thread",),
        attempts=20,
        known_as=("python",),
    ),
    Case(
        name="gdbus",
        used="GLib with GDBus",
        program="use_gdbus",
        fails="^hangs",
        shows="hangs on its first call",
        expects=("gdbus",),
        service="bus",
        known_as=("glib",),
    ),
    Case(
        name="grpc",
        used="gRPC, with a channel open",
        program="use_grpc",
        fails="Bad file descriptor",
        shows="every call fails: *Bad file descriptor*, on a new channel too",
        expects=("grpc",),
        service="grpc",
        known_as=("grpc",),
    ),
    # Which child reads what of the one connection is chance.
    Case(
        name="tk",
        used="a window of Tk",
        program="use_tk",
        fails="^killed by SIGABRT|^exit code 1$",
        shows="two of them abort (xcb), or end: *X connection broken*",
        expects=("X11",),
        children=2,
        service="x",
        attempts=10,
        known_as=("x11", "tcl",),
    ),
    # Chance again; and urllib3, as libcurl, takes a new connection if it
    # happens to see that something is there to be read before it asked.
    Case(
        name="requests_session",
        used="`requests.Session`, its connection open",
        program="use_requests",
        fails="^wrong answer",
        shows="two of them read each other's answers",
        expects=("{address}",),
        children=2,
        service="http",
        attempts=20,
        known_as=("tls",),
    ),
    Case(
        name="curl_handle",
        used="an easy handle of libcurl, its connection open",
        program="use_curl",
        fails="^wrong answer",
        shows="two of them read each other's answers",
        expects=("{address}",),
        children=2,
        service="http",
        attempts=20,
        known_as=("curl",),
    ),
    Case(
        name="tls_session",
        used="a connection with TLS (OpenSSL)",
        program="use_tls",
        fails="(?i)bad.record.mac",
        shows="the second of two fails: *bad record MAC*",
        expects=("{address}",),
        children=2,
        service="tls",
        known_as=("tls",),
    ),
    Case(
        name="libdispatch",
        used="libdispatch queues, also when their threads have ended "
        "(a stand-in with Darwin's rule)",
        program="use_dispatch",
        fails="^killed by SIGSEGV$",
        shows="SIGSEGV at its next use, no message",
        expects=("libdispatch",),
        known_as=("libdispatch",),
    ),
    Case(
        name="libdispatch_synchronous",
        used="libdispatch, loaded or used synchronously (the same)",
        program="use_dispatch",
        use="use_synchronously",
        fails=None,
        shows="works",
    ),
)
