"""Tests that `forkserver test` runs, each test case in a process of its own.

    load("@forkserverd//sdk/bazel:forkserver_test.bzl", "forkserver_cc_test")

    forkserver_cc_test(
        name = "render_test",
        srcs = ["render_test.cc"],
        deps = [":render"],
    )

Sharding, --test_filter, --test_runner_fail_fast, XML and the time limit work as
Bazel has them. Each test starts a daemon of its own.
"""

_MAINS = {
    "doctest": "//sdk/cpp/testing:doctest_main",
    "gtest": "//sdk/cpp/testing:gtest_main",
}

def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _path(ctx, file):
    """The path of a file from the folder in which a test starts."""
    return file.short_path

def _forkserver_test_impl(ctx):
    forkserver = ctx.executable._forkserver
    daemon = ctx.executable._daemon
    words = [_path(ctx, target) for target in ctx.files.targets]
    lines = [
        "#!/bin/sh",
        # Where Bazel did not say it, the script lies beside its runfiles.
        'cd "${TEST_SRCDIR:-$0.runfiles}/${TEST_WORKSPACE:-%s}" || exit 125' %
        ctx.workspace_name,
        'FORKSERVER_BIN="$PWD/%s"' % daemon.short_path.rpartition("/")[0],
        "export FORKSERVER_BIN",
        "exec %s test %s \"$@\"" % (
            _quoted(_path(ctx, forkserver)),
            " ".join([_quoted(word) for word in ctx.attr.options + words]),
        ),
    ]
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, "\n".join(lines) + "\n", is_executable = True)
    runfiles = ctx.runfiles(
        files = ctx.files.targets + ctx.files.data + [forkserver, daemon],
    )
    for target in ctx.attr.targets + ctx.attr.data + [ctx.attr._forkserver, ctx.attr._daemon]:
        runfiles = runfiles.merge(target[DefaultInfo].default_runfiles)
    return [
        DefaultInfo(executable = script, runfiles = runfiles),
        testing.TestEnvironment({
            name: ctx.expand_location(value, ctx.attr.targets + ctx.attr.data)
            for name, value in ctx.attr.env.items()
        }),
    ]

forkserver_test = rule(
    implementation = _forkserver_test_impl,
    test = True,
    doc = "Runs what other rules build: test programs, Python files.",
    attrs = {
        "targets": attr.label_list(
            allow_files = True,
            mandatory = True,
            doc = "The TARGETs of `forkserver test`.",
        ),
        "data": attr.label_list(
            allow_files = True,
            doc = "Files that the tests read.",
        ),
        "env": attr.string_dict(
            doc = "Variables of the tests; $(rootpath ...) as elsewhere.",
        ),
        "options": attr.string_list(
            doc = "Options of `forkserver test`, as --timeout=10s.",
        ),
        "_forkserver": attr.label(
            default = "//tools/forkserver",
            executable = True,
            cfg = "target",
        ),
        "_daemon": attr.label(
            default = "//server:forkserverd",
            executable = True,
            cfg = "target",
        ),
    },
)

def forkserver_cc_test(
        name,
        framework = "doctest",
        deps = [],
        data = [],
        env = {},
        options = [],
        size = None,
        timeout = None,
        shard_count = None,
        flaky = None,
        tags = [],
        visibility = None,
        **kwargs):
    """A C++ test whose cases are forked from one warm process.

    Args:
      name: of the test; the program is `<name>_program`, which can be run by
        hand with all options of its framework.
      framework: "doctest" or "gtest"; its main function is linked.
      deps: of the program.
      data: files that the tests read.
      env: variables of the tests.
      options: of `forkserver test`.
      size: as of any test.
      timeout: as of any test.
      shard_count: as of any test; each shard starts a daemon.
      flaky: as of any test. `--retries` retries single test cases.
      tags: as of any test.
      visibility: as of any test.
      **kwargs: srcs, copts, linkopts, ... of cc_binary.
    """
    native.cc_binary(
        name = name + "_program",
        testonly = True,
        deps = deps + [Label(_MAINS[framework])],
        data = data,
        tags = tags,
        visibility = ["//visibility:private"],
        **kwargs
    )
    forkserver_test(
        name = name,
        targets = [":" + name + "_program"],
        data = data,
        env = env,
        options = options,
        size = size,
        timeout = timeout,
        shard_count = shard_count,
        flaky = flaky,
        tags = tags,
        visibility = visibility,
    )
