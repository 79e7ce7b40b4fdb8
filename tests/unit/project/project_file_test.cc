#include "tools/project/project_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tools/toml/toml_file.h"

namespace forkserver::project {
namespace {

const std::vector<std::string>& CallersEnvironment() {
  static const std::vector<std::string> environment = {
      "PATH=/bin",  "HOME=/home/u", "LC_ALL=C", "SECRET=1",
      "PWD=/tmp",   "SHLVL=2",      "_=up",     "FORKSERVER_WORKER=x-1",
      "SECOND=a=b="};
  return environment;
}

ProjectOutcome Read(const std::string& text) {
  return MakeProject(ParseToml(text), "/p/forkserver.toml", "forkserver.toml",
                     CallersEnvironment());
}

Project Good(const std::string& text) {
  ProjectOutcome outcome = Read(text);
  for (const Problem& problem : outcome.problems) {
    FAIL_CHECK(ToText(problem));
  }
  return outcome.project;
}

// Without the name of the file, one a line.
std::string Wrong(const std::string& text) {
  std::string lines;
  for (const Problem& problem : Read(text).problems) {
    const std::string line = ToText(problem);
    const std::string prefix = "forkserver.toml:";
    REQUIRE(line.substr(0, prefix.size()) == prefix);
    lines += line.substr(prefix.size()) + "\n";
  }
  return lines;
}

using Words = std::vector<std::string>;

TEST_CASE("a service has what the file says, and defaults for the rest") {
  const Project project = Good(R"(
[services.web]
command = ["./serve", "--port", "8000"]
)");
  CHECK(project.file == "/p/forkserver.toml");
  CHECK(project.root == "/p");
  REQUIRE(project.services.size() == 1);
  const ServiceOptions& web = project.services[0].options;
  CHECK(web.name == "web");
  CHECK(web.project == "/p/forkserver.toml");
  CHECK(web.argv == Words{"./serve", "--port", "8000"});
  CHECK(web.cwd == "/p");
  CHECK(web.policy.restart == RestartPolicy::kOnFailure);
  CHECK(web.policy.grace_ms == 10'000);
  CHECK_FALSE(web.umask);
  CHECK(project.services[0].line == 2);
}

TEST_CASE("every key of a service is read") {
  const Project project = Good(R"(
[zygotes.z]
command = "./z"
[services.db]
command = "redis-server --port 6400"
[services.web]
zygote = "z"
entry = "serve"
args = "bytes"
arguments = ["a", "b"]
cwd = "sub"
environment = { PORT = "1" }
inherit = []
umask = "027"
limit = { nofile = "256:512", core = 0, as = "2G" }
nice = 5
cpus = "0-2,5"
io-priority = "best-effort:7"
oom-score-adj = -300
no-new-privs = true
session = true
after = ["db"]
restart = "always"
backoff = "1s"
backoff-factor = 3
backoff-max = "1m"
backoff-jitter = 0
reset-after = 20
start-limit = 0
success-exit-codes = [2, 143]
ready = "line:^ready [0-9]+$"
ready-timeout = "5s"
watchdog = "3s"
stop-signal = "INT"
grace = "500ms"
timeout = "1h"
log-size = "1M"
log-files = 7
log-drop = true
pty = true
detach = true
memory-max = "512M"
tasks-max = 64
cpu-max = "1.5"
)");
  REQUIRE(project.services.size() == 2);
  CHECK(project.services[0].options.argv ==
        Words{"/bin/sh", "-c", "redis-server --port 6400"});
  const ServiceOptions& web = project.services[1].options;
  CHECK(web.zygote == "z");
  CHECK(web.entry == "serve");
  CHECK(web.args == "bytes");
  CHECK(web.argv == Words{"a", "b"});
  CHECK(web.cwd == "/p/sub");
  CHECK(web.env == Words{"PORT=1"});
  CHECK(web.umask == 027);
  CHECK(web.limits.at("nofile").soft == 256);
  CHECK(web.limits.at("nofile").hard == 512);
  CHECK(web.limits.at("core").hard == 0);
  CHECK(web.limits.at("as").soft == 2LL << 30);
  CHECK(web.nice == 5);
  CHECK(web.cpus == std::vector<int>{0, 1, 2, 5});
  REQUIRE(web.io_priority);
  CHECK(web.io_priority->io_class == IoClass::kBestEffort);
  CHECK(web.io_priority->level == 7);
  CHECK(web.oom_score_adj == -300);
  CHECK(web.no_new_privs);
  CHECK(web.group == GroupKind::kSession);
  const ServicePolicy& policy = web.policy;
  CHECK(policy.after == Words{"db"});
  CHECK(policy.restart == RestartPolicy::kAlways);
  CHECK(policy.backoff_initial_ms == 1000);
  CHECK(policy.backoff_factor == 3);
  CHECK(policy.backoff_max_ms == 60'000);
  CHECK(policy.backoff_jitter_percent == 0);
  CHECK(policy.reset_after_ms == 20'000);
  CHECK(policy.start_limit == 0);
  CHECK(policy.cgroup.memory_max_bytes == 512 << 20);
  CHECK(policy.cgroup.tasks_max == 64);
  CHECK(policy.cgroup.cpu_max_percent == 150);
  CHECK(policy.success_exit_codes == std::vector<std::int64_t>{2, 143});
  CHECK(policy.ready == ReadyKind::kLine);
  CHECK(policy.ready_line == "^ready [0-9]+$");
  CHECK(policy.ready_timeout_ms == 5000);
  CHECK(policy.watchdog_ms == 3000);
  CHECK(policy.stop_signal == 2);
  CHECK(policy.grace_ms == 500);
  CHECK(policy.timeout_ms == 3'600'000);
  CHECK(policy.log_max_bytes == 1 << 20);
  CHECK(policy.log_files == 7);
  CHECK(policy.log_drop);
  CHECK(policy.pty);
  CHECK(policy.detach);
}

TEST_CASE("every key of a zygote is read, and parents come first") {
  const Project project = Good(R"(
[zygotes.child]
parent = "render"
[zygotes.render]
command = ["./render"]
preload = ["fonts", "colors"]
audit = "warn"
spares = "1:4"
entry-deadline = "2s"
grace = "1m"
cwd = "/srv"
)");
  REQUIRE(project.zygotes.size() == 2);
  const ZygoteOptions& render = project.zygotes[0].options;
  CHECK(render.name == "render");
  CHECK(render.argv == Words{"./render"});
  CHECK(render.preload == Words{"fonts", "colors"});
  CHECK(render.audit_policy == AuditPolicy::kWarn);
  CHECK(render.spares_min == 1);
  CHECK(render.spares_max == 4);
  CHECK(render.entry_deadline.count() == 2000);
  CHECK(render.grace.count() == 60'000);
  CHECK(render.cwd == "/srv");
  CHECK(render.keep);
  CHECK(render.project == "/p/forkserver.toml");
  CHECK(project.zygotes[1].options.parent == "render");
}

TEST_CASE("an environment is made of what is inherited, common and own") {
  const auto env = [](const std::string& text) {
    return *Good(text).services.at(0).options.env;
  };
  const std::string service = "[services.a]\ncommand = 'x'\n";
  // What a shell or forkserverd sets is not inherited, secrets are not.
  CHECK(env(service) == Words{"HOME=/home/u", "LC_ALL=C", "PATH=/bin"});
  CHECK(env("inherit = ['*']\n" + service) == Words{"HOME=/home/u", "LC_ALL=C",
                                                    "PATH=/bin",
                                                    "SECOND=a=b=", "SECRET=1"});
  CHECK(env("inherit = ['SEC*']\n[environment]\nB='2'\nSECRET='3'\n" + service +
            "environment = { B = 'own', C = '' }\n") ==
        Words{"B=own", "C=", "SECOND=a=b=", "SECRET=3"});
  CHECK(env("inherit = ['PATH']\n" + service + "inherit = []\n").empty());
  // A text is as it is: nothing is put in place of a variable.
  CHECK(env(service + "inherit=[]\nenvironment={A='$HOME ${HOME} ~'}\n") ==
        Words{"A=$HOME ${HOME} ~"});
}

TEST_CASE("services are in the order in which they start") {
  const Project project = Good(R"(
[services.web]
command = "w"
after = ["db", "cache"]
[services.db]
command = "d"
[services.cache]
command = "c"
after = ["db"]
[services.other]
command = "o"
)");
  Words names;
  for (const ServiceEntry& service : project.services) {
    names.push_back(service.options.name);
  }
  CHECK(names == Words{"db", "cache", "other", "web"});
}

TEST_CASE("every kind of mistake is told, with its line, all at once") {
  CHECK(Wrong(R"(# 1
inherit = ["A*B", "X=1", 5]
[environment]
PORT = 8000
[zygotes.z]
[zygotes.both]
command = "x"
parent = "z"
audit = "maybe"
spares = "4:1"
entry-deadline = "2h"
[services.none]
[services.web]
command = "x"
zygote = "x"
restart = "sometimes"
backoff = "fast"
backoff-factor = 0
ready = "maybe"
after = ["wep", "z"]
log-size = "many"
umask = 22
limit = { nofiles = 5, core = "x" }
nice = 20
session = "yes"
stop-signal = "NOPE"
success-exit-codes = [2, 300]
environment = { "A=B" = "x", C = true }
depends_on = ["db"]
stop_signal = "INT"
colour = "red"
[services.".hidden"]
command = []
[services.lines]
command = [""]
entry = "e"
ready = "line:("
cwd = ""
timeout = 1.5
[services.quiet]
command = ["x", 1]
ready = "line:x"
log-size = 0
stop-signal = 0
umask = "999"
args = "\u0000"
[servcies.typo]
command = "x"
)") ==
        R"(2: inherit: it must be a text in quotes: "5"
2: inherit: 'A*B' is neither the name of a variable nor the beginning of one and '*'
2: inherit: 'X=1' is neither the name of a variable nor the beginning of one and '*'
4: environment.PORT: it must be a text in quotes: "8000"
5: zygotes.z: it needs a 'command', or a 'parent' to be forked from
8: zygotes.both: it has both 'command' and 'parent': take one of them away
9: zygotes.both.audit: 'maybe' is none of refuse, warn, allow
10: zygotes.both.spares: '4:1' is not MIN:MAX such as 1:4, with MAX at most 64
11: zygotes.both.entry-deadline: it must be from 1ms to 1h
12: services.none: it needs a 'command', or a 'zygote' to be forked from
15: services.web: it has both 'command' and 'zygote': take one of them away
15: services.web.zygote: there is no zygote 'x' in this file; did you mean 'z'?
16: services.web.restart: 'sometimes' is none of no, on-failure, always
17: services.web.backoff: 'fast' is not a duration such as 2s, 500ms, 1m or a number of seconds
18: services.web.backoff-factor: it must be a whole number from 1 to 1000
19: services.web.ready: 'maybe' is not one of none, notify, fd, fd:NUMBER (3 to 1023), line:REGEX and exec:COMMAND
20: services.web.after: there is no service 'wep' in this file; did you mean 'web'?
20: services.web.after: 'z' is a zygote, not a service: those start first
21: services.web.log-size: 'many' is not a number of bytes such as 4096, 64K or 10M
22: services.web.umask: it must be an octal mask in quotes, such as "022"
23: services.web.limit.nofiles: this system has no such limit; did you mean 'nofile'?
23: services.web.limit.core: 'core=x' is not a limit such as nofile=1024, nofile=1024:4096, as=2G or core=unlimited
24: services.web.nice: it must be a whole number from -20 to 19
25: services.web.session: it must be true or false, without quotes
26: services.web.stop-signal: 'NOPE' is not a signal such as TERM, SIGTERM or 15
27: services.web.success-exit-codes: it must be a whole number from 0 to 255
28: services.web.environment.A=B: 'A=B' cannot be the name of a variable
28: services.web.environment.C: it must be a text in quotes: "true"
29: services.web.depends_on: there is no such key; did you mean 'after'?
30: services.web.stop_signal: there is no such key; did you mean 'stop-signal'?
31: services.web.colour: there is no such key
32: services..hidden: '.hidden' cannot be the name of a service: it has 1 to 64 of the letters a-z, A-Z, 0-9, _ - . @ : and does not begin with - or .
33: services..hidden.command: it names no program
35: services.lines.command: it names no program
36: services.lines.entry: it means nothing without 'zygote'
37: services.lines.ready: '(' is not a regular expression: Unmatched ( or \(
38: services.lines.cwd: it must not be empty
39: services.lines.timeout: it must be a duration such as "2s", "500ms", "1m" or a number of seconds
41: services.quiet.command: it must be a text in quotes: "1"
43: services.quiet.log-size: 'ready' looks for a line in the log, so that it must not be 0
44: services.quiet.stop-signal: signal 0 stops nothing
45: services.quiet.umask: '999' is not an octal mask such as 022
46: services.quiet.args: it holds a NUL byte
46: services.quiet.args: it means nothing without 'zygote'
47: servcies: there is no such key; did you mean 'services'?
)");
}

TEST_CASE("a chain that leads back is named") {
  CHECK(Wrong(R"([services.a]
command = "a"
after = ["b"]
[services.b]
command = "b"
after = ["free", "c"]
[services.c]
command = "c"
after = ["a"]
[services.free]
command = "f"
)") == "3: services.a.after: it would be after itself: a after b after c "
       "after a\n");
  CHECK(Wrong("[services.a]\ncommand = 'a'\nafter = 'a'\n") ==
        "3: services.a.after: it would be after itself: a after a\n");
  CHECK(Wrong("[zygotes.a]\nparent = 'b'\n[zygotes.b]\nparent = 'a'\n") ==
        "2: zygotes.a.parent: it would be forked from itself: a from b from "
        "a\n");
}

TEST_CASE("what is no table where one is expected is told") {
  CHECK(Wrong("services = []\nzygotes = 1\nenvironment = 'x'\n") ==
        "1: services: it must be a table: [services]\n"
        "2: zygotes: it must be a table: [zygotes]\n"
        "3: environment: it must be a table: { NAME = \"value\" }\n");
  CHECK(Wrong("[services]\nweb = 'x'\n[zygotes]\nz = []\n") ==
        "2: services.web: it must be a table: [services.web]\n"
        "4: zygotes.z: it must be a table: [zygotes.z]\n");
}

TEST_CASE("what is no TOML is told with its line") {
  const std::string twice =
      "[services.a]\ncommand = 'a'\n[services.a]\ncommand = 'b'\n";
  CHECK(Wrong(twice).substr(0, 3) == "3: ");
  CHECK(Wrong(twice).find("redefine") != std::string::npos);
  CHECK(Wrong("[services.a]\ncommand = 'a'\ncommand = 'b'\n").substr(0, 3) ==
        "3: ");
  CHECK(Wrong("[services.a]\ncommand = 'a\n").substr(0, 3) == "2: ");
  // What toml++ has no words for.
  CHECK(Wrong("[services.a]\n[[[b]]]\nx = 1\n") == "2: this is no TOML\n");
  CHECK(Wrong("[&") == "1: this is no TOML\n");
  CHECK(Wrong("\n[services.a]\ngr\xc3\xb6\xc3\x9f = 1\n").substr(0, 3) ==
        "3: ");
}

TEST_CASE("the part of the tests is not read here") {
  CHECK(Good("[test]\njobs = 'x'\n").services.empty());
}

// Nothing that is in a file makes the reader crash.
TEST_CASE("a file that is cut or damaged anywhere is read or refused") {
  const std::string whole = R"toml(inherit = ["PATH"]
[environment]
A = "b"
[zygotes.z]
command = ["./z"]
spares = "1:2"
[services.db]
zygote = "z"
after = []
limit = { nofile = 10 }
[services."web"]
command = '''x'''
after = ["db"]
ready = "line:a(b|c)"
[[test.override]]
filter = "x"
)toml";
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    static_cast<void>(Read(whole.substr(0, size)));
  }
  unsigned random = 1;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 3; ++i) {
      random = random * 1103515245 + 12345;
      const char byte = static_cast<char>(random >> 16);
      random = random * 1103515245 + 12345;
      damaged[(random >> 8) % damaged.size()] = byte;
    }
    static_cast<void>(Read(damaged));
  }
  std::string deep = "a = ";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  CHECK_FALSE(Read(deep).problems.empty());
}

}  // namespace
}  // namespace forkserver::project
