"""@system_libs: the C++ libraries that the system has installed.

Each library's headers are linked into a folder of its own and offered with
-isystem, so that a target sees only what it depends on, and Homebrew's
prefix works like Debian's.
"""

# name: how to find it. `headers` are files or folders below an include folder;
# `pkg_config` is tried first where the library has a .pc file.
_LIBRARIES = {
    "libuv": struct(
        pkg_config = "libuv",
        headers = ["uv.h", "uv"],
        linked = True,
        defines = [],
        debian = "libuv1-dev",
        homebrew = "libuv",
    ),
    "msgpack": struct(
        pkg_config = None,
        headers = ["msgpack.hpp", "msgpack"],
        linked = False,
        defines = ["MSGPACK_NO_BOOST"],
        debian = "libmsgpack-cxx-dev",
        homebrew = "msgpack-cxx",
    ),
    "doctest": struct(
        pkg_config = None,
        headers = ["doctest"],
        linked = False,
        defines = [],
        debian = "doctest-dev",
        homebrew = "doctest",
    ),
    "gtest": struct(
        pkg_config = "gtest",
        headers = ["gtest"],
        linked = True,
        defines = [],
        debian = "libgtest-dev",
        homebrew = "googletest",
    ),
    "gmock": struct(
        pkg_config = "gmock",
        headers = ["gmock"],
        linked = True,
        defines = [],
        debian = "libgmock-dev",
        homebrew = "googletest",
    ),
    # Version 2. No homebrew: macOS has version 3.
    "catch2": struct(
        pkg_config = "catch2",
        headers = ["catch2"],
        linked = False,
        defines = [],
        debian = "catch2",
        homebrew = None,
    ),
    "pugixml": struct(
        pkg_config = "pugixml",
        headers = ["pugixml.hpp", "pugiconfig.hpp"],
        linked = True,
        defines = [],
        debian = "libpugixml-dev",
        homebrew = "pugixml",
    ),
    "xxhash": struct(
        pkg_config = None,
        headers = ["xxhash.h"],
        linked = False,
        defines = [],
        debian = "libxxhash-dev",
        homebrew = "xxhash",
    ),
    "cli11": struct(
        pkg_config = "CLI11",
        headers = ["CLI"],
        linked = False,
        defines = [],
        debian = "libcli11-dev",
        homebrew = "cli11",
    ),
    # No homebrew: macOS does without.
    "libdw": struct(
        pkg_config = "libdw",
        headers = ["elfutils"],
        linked = True,
        defines = [],
        debian = "libdw-dev",
        homebrew = None,
    ),
    "tomlplusplus": struct(
        pkg_config = "tomlplusplus",
        headers = ["toml++"],
        linked = False,
        defines = [],
        debian = "libtomlplusplus-dev",
        homebrew = "tomlplusplus",
    ),
    "nlohmann_json": struct(
        pkg_config = "nlohmann_json",
        headers = ["nlohmann"],
        linked = False,
        defines = [],
        debian = "nlohmann-json3-dev",
        homebrew = "nlohmann-json",
    ),
}

_PREFIXES = ["/usr", "/usr/local", "/opt/homebrew"]

_RULE = """
cc_library(
    name = "{name}",
    hdrs = glob(["{name}/**"]),
    includes = ["{name}"],
    defines = {defines},
    linkopts = {linkopts},
)
"""

def _pkg_config(ctx, program, package, flag):
    """The words that pkg-config prints, or [] when it knows no such package."""
    if not program or not package:
        return []
    result = ctx.execute([program, flag, package], environment = {
        "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
    })
    if result.return_code != 0:
        return []
    return [word for word in result.stdout.strip().split(" ") if word]

def _find_headers(ctx, library, folders):
    """The first of `folders` that holds all of the library's headers."""
    for folder in folders:
        base = ctx.path(folder)
        if all([base.get_child(h).exists for h in library.headers]):
            return base
    return None

def _system_libs_impl(ctx):
    homebrew_prefix = ctx.os.environ.get("HOMEBREW_PREFIX")
    prefixes = ([homebrew_prefix] if homebrew_prefix else []) + _PREFIXES
    program = ctx.which("pkg-config")
    for prefix in prefixes:
        candidate = ctx.path(prefix + "/bin/pkg-config")
        if not program and candidate.exists:
            program = candidate

    rules = ['package(default_visibility = ["//visibility:public"])']
    missing = []
    for name, library in _LIBRARIES.items():
        if not library.homebrew and ctx.os.name.startswith("mac"):
            rules.append('cc_library(name = "{}")'.format(name))
            continue
        cflags = _pkg_config(ctx, program, library.pkg_config, "--cflags-only-I")
        folders = [f[2:] for f in cflags] + [p + "/include" for p in prefixes]
        found = _find_headers(ctx, library, folders)
        libs = _pkg_config(ctx, program, library.pkg_config, "--libs")
        if not found or (library.linked and not libs):
            missing.append((name, library))
            continue
        for header in library.headers:
            ctx.symlink(found.get_child(header), name + "/" + header)
        rules.append(_RULE.format(
            name = name,
            defines = repr(library.defines),
            linkopts = repr(libs if library.linked else []),
        ))

    if missing:
        fail(("\n\nNot found on this system: {}\n" +
              "  Debian, Ubuntu:  apt-get install pkg-config {}\n" +
              "  Homebrew:        brew install pkg-config {}\n" +
              "(tools/quickstart and tools/test install them.)\n").format(
            ", ".join([n for n, _ in missing]),
            " ".join([l.debian for _, l in missing]),
            " ".join([l.homebrew for _, l in missing if l.homebrew]),
        ))
    ctx.file("BUILD", "\n".join(rules))

system_libs = repository_rule(
    implementation = _system_libs_impl,
    configure = True,
    environ = [
        "HOMEBREW_PREFIX",
        "PATH",
        "PKG_CONFIG_PATH",
    ],
    local = True,
)
