"""The rules every BUILD file of forkserverd uses.

They are the native rules with this project's flags; every argument that they
do not name is handed on.
"""

load("//sdk/bazel:forkserver_test.bzl", "forkserver_test")

_COPTS = [
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wnon-virtual-dtor",
]

def fs_cc_library(name, copts = [], include_prefix = None, **kwargs):
    """A static C++ library.

    Args:
      name: target name.
      copts: flags after the project's own (so `-std=c++17` wins).
      include_prefix: "forkserver" makes `hdrs` of this package includable as
        <forkserver/name.h>; the path from the root keeps working.
      **kwargs: srcs, hdrs, deps, visibility, tags, ... of cc_library.
    """
    if include_prefix:
        kwargs["include_prefix"] = include_prefix
        kwargs.setdefault("strip_include_prefix", "/" + native.package_name())
    native.cc_library(
        name = name,
        copts = _COPTS + copts,
        linkstatic = True,
        **kwargs
    )

def fs_cc_binary(name, copts = [], linkstatic = True, **kwargs):
    """A C++ program, or with `linkshared = True` a shared library.

    Args:
      name: target name.
      copts: flags after the project's own.
      linkstatic: as in cc_binary.
      **kwargs: srcs, deps, data, linkopts, visibility, ... of cc_binary.
    """
    native.cc_binary(
        name = name,
        copts = _COPTS + copts,
        linkstatic = linkstatic,
        **kwargs
    )

def fs_cc_test(
        name,
        srcs = None,
        deps = [],
        copts = [],
        size = "small",
        doctest_main = True,
        forkserver = True,
        **kwargs):
    """A doctest program, and the same under `forkserver test`.

    The second test is `<name>_under_forkserver`: the project's own tests are
    tests of the harness. The first stands for itself: the harness must not be
    what says that the harness is right.

    Args:
      name: target name.
      srcs: `<name>.cc` when left out.
      deps: besides doctest and its main function.
      copts: flags after the project's own.
      size: as in cc_test.
      doctest_main: False for a test with a main function of its own.
      forkserver: False for what a worker forked warm cannot do.
      **kwargs: data, tags, env, args, timeout, ... of cc_test.
    """
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        copts = _COPTS + copts,
        linkstatic = True,
        size = size,
        deps = deps + (["//tests:doctest_main"] if doctest_main else []) +
               ["@system_libs//:doctest"],
        **kwargs
    )
    if doctest_main and forkserver:
        forkserver_test(
            name = name + "_under_forkserver",
            size = size,
            options = ["-j2"],
            data = kwargs.get("data", []),
            env = kwargs.get("env", {}),
            tags = kwargs.get("tags", []),
            targets = [":" + name],
        )

def fs_py_test(name, srcs = None, main = None, args = [], size = "small", **kwargs):
    """A unittest program, run by /usr/bin/python3.

    Args:
      name: target name.
      srcs: `<name>.py` when left out.
      main: the first of `srcs` when left out; it ends with unittest.main().
      args: after the -v that makes unittest name its skipped tests.
      size: as in py_test.
      **kwargs: deps, data, imports, tags, env, timeout, ... of py_test.
    """
    srcs = srcs if srcs != None else [name + ".py"]
    native.py_test(
        name = name,
        srcs = srcs,
        main = main or srcs[0],
        args = ["-v"] + args,
        python_version = "PY3",
        size = size,
        srcs_version = "PY3",
        **kwargs
    )
