# shellcheck shell=bash
# Sourced by the scripts in tools/: one way to call Bazel, for a person at a
# terminal and for a CI job alike.

say() { printf '==> %s\n' "$*"; }

# Debian's Bazel where it is installed; elsewhere bazelisk fetches the same.
# Asked for at each call: the script that sources this may install it.
call_bazel() {
  if [[ -x /usr/bin/bazel ]]; then
    /usr/bin/bazel "$@"
  else
    USE_BAZEL_VERSION=4.2.3 bazel "$@"
  fi
}

# Bazel keeps its output below HOME, which CI jobs may leave unset or unusable.
export HOME=${HOME:-~}
if [[ ! -d $HOME || ! -w $HOME ]]; then
  HOME=${TMPDIR:-/tmp}/forkserver-home-$(id -u)
  mkdir -p -m 0700 "$HOME"
  if [[ ! -O $HOME ]]; then
    echo "$HOME belongs to somebody else; set HOME" >&2
    exit 1
  fi
fi

# run_bazel COMMAND ARGUMENT...
run_bazel() {
  local command=$1
  shift
  if [[ ! -t 2 ]]; then
    set -- --color=no --curses=no --show_progress_rate_limit=5 "$@"
  fi
  call_bazel "$command" "$@"
}

# Bazel's server would stay, and hold up a CI job that waits for its children.
stop_bazel_in_ci() {
  if [[ ${CI:-} == true ]]; then
    call_bazel shutdown >/dev/null 2>&1 || true
  fi
}
