#include "tools/harness/targets/fingerprint.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/unit/harness/targets/scratch_folder.h"

namespace forkserver::harness {
namespace {

using Strings = std::vector<std::string>;

// A program, its library, and what they are started with.
class Project {
 public:
  Project() {
    options_.cwd = "/work";
    options_.env = {"LANG=de", "HOME=/root"};
    Program("program 1");
    Library("library 1");
  }

  std::string Program(const std::string& text) const {
    return folder_.Write("tests", text, 0755);
  }
  std::string Library(const std::string& text) const {
    return folder_.Write("libx.so", text);
  }
  std::string program() const { return folder_.Path("tests"); }
  std::string library() const { return folder_.Path("libx.so"); }
  TargetOptions& options() { return options_; }

  Fingerprint Take(const Fingerprint* known = nullptr) const {
    auto fingerprint =
        TakeFingerprint(program(), {library(), program()}, options_, known);
    REQUIRE(fingerprint);
    return *std::move(fingerprint);
  }
  // What a change of the project makes of it.
  template <typename Change>
  Strings After(Change change) {
    const Fingerprint before = Take();
    change();
    return DescribeDifferences(before, Take(&before));
  }
  Strings WithVariable(const std::string& variable) {
    return After([&] { options_.env.push_back(variable); });
  }

 private:
  ScratchFolder folder_;
  TargetOptions options_;
};

TEST_CASE("what nobody has changed is the same") {
  Project project;
  CHECK(project.After([] {}).empty());
}

TEST_CASE("another content of the program or a library is another one") {
  Project project;
  CHECK(project.After([&] { project.Program("program 2"); }) ==
        Strings{"binary: tests"});
  CHECK(project.After([&] { project.Library("library 2"); }) ==
        Strings{"library: " + project.library()});
}

TEST_CASE("another content counts even with the size and the time of the old") {
  Project project;
  const auto time = std::filesystem::last_write_time(project.program());
  CHECK(project.After([&] {
    project.Program("program 2");
    std::filesystem::last_write_time(project.program(), time);
  }) == Strings{"binary: tests"});
}

TEST_CASE("the same content is the same, however it came there") {
  Project project;
  CHECK(project
            .After([&] {
              std::filesystem::last_write_time(
                  project.program(),
                  std::filesystem::file_time_type::clock::now() -
                      std::chrono::hours(1));
            })
            .empty());
  CHECK(project.After([&] { project.Program("program 1"); }).empty());
  CHECK(project
            .After([&] {
              std::filesystem::copy_file(project.program(),
                                         project.program() + ".new");
              std::filesystem::rename(project.program() + ".new",
                                      project.program());
            })
            .empty());
}

TEST_CASE("content is read again only where the file is not the same") {
  Project project;
  Fingerprint known = project.Take();
  known.files[project.program()].digest = "known";
  known.files[project.library()].digest = "known";
  project.Library("library 2");
  const Fingerprint now = project.Take(&known);
  CHECK(now.files.at(project.program()).digest == "known");
  CHECK(now.files.at(project.library()).digest != "known");
}

TEST_CASE("libraries that come and go count") {
  Project project;
  const Fingerprint both = project.Take();
  const auto one = TakeFingerprint(project.program(), {project.program()},
                                   project.options(), &both);
  REQUIRE(one);
  CHECK(DescribeDifferences(both, *one) ==
        Strings{"library: " + project.library() + " is gone"});
  CHECK(DescribeDifferences(*one, both) ==
        Strings{"library: " + project.library() + " is new"});
}

TEST_CASE("a file that cannot be read is an error") {
  const Project project;
  CHECK_FALSE(TakeFingerprint(project.program(), {project.program() + "-none"},
                              {}, nullptr));
}

TEST_CASE("arguments, warm-ups and the folder count, in order") {
  Project project;
  TargetOptions& options = project.options();
  CHECK(project.After([&] {
    options.arguments = {"-a", "-b"};
  }) == Strings{"arguments: none -> -a -b"});
  CHECK(project.After([&] {
    options.arguments = {"-b", "-a"};
  }) == Strings{"arguments: -a -b -> -b -a"});
  CHECK(project.After([&] { options.preload = {"words"}; }) ==
        Strings{"preload: none -> words"});
  CHECK(project.After([&] { options.cwd = "/elsewhere"; }) ==
        Strings{"folder: /work -> /elsewhere"});
}

TEST_CASE("the environment counts, by name and value") {
  Project project;
  CHECK(project.WithVariable("SHOP=open") ==
        Strings{"environment: SHOP is set to open"});
  CHECK(project.After([&] { project.options().env.back() = "SHOP="; }) ==
        Strings{"environment: SHOP open -> "});
  CHECK(project.After([&] { project.options().env.pop_back(); }) ==
        Strings{"environment: SHOP is not set any more"});
  // Their order says nothing, and a variable that is there twice is the first.
  CHECK(
      project.After([&] {
               project.options().env = {"HOME=/root", "LANG=de"};
             })
          .empty());
  CHECK(project.WithVariable("LANG=en").empty());
  CHECK(project.WithVariable("no variable").empty());
}

TEST_CASE("variables that change from run to run do not count") {
  Project project;
  for (const char* name : {"_",
                           "COLUMNS",
                           "GPG_TTY",
                           "INVOCATION_ID",
                           "JOURNAL_STREAM",
                           "LINES",
                           "MAKEFLAGS",
                           "MAKELEVEL",
                           "MFLAGS",
                           "OLDPWD",
                           "PWD",
                           "SHLVL",
                           "SSH_CLIENT",
                           "SSH_CONNECTION",
                           "SSH_TTY",
                           "STY",
                           "TERM_SESSION_ID",
                           "TMPDIR",
                           "TMUX",
                           "TMUX_PANE",
                           "WINDOW",
                           "WINDOWID",
                           "XDG_SESSION_ID",
                           "FORKSERVER_",
                           "FORKSERVER_SOCKET"}) {
    CAPTURE(name);
    CHECK(IsVolatileVariable(name));
    CHECK(project.WithVariable(std::string(name) + "=x").empty());
  }
  for (const char* name : {"", "PATH", "LD_PRELOAD", "PWD2", "FORKSERVER"}) {
    CAPTURE(name);
    CHECK_FALSE(IsVolatileVariable(name));
  }
}

TEST_CASE("secrets and long values count, and are not to be read anywhere") {
  const std::string filling(250, 'x');
  for (const auto& [name, first, second] :
       {std::tuple<std::string, std::string, std::string>{"API_TOKEN",
                                                          "hunter1", "hunter2"},
        {"a_secret", "hunter1", "hunter2"},
        {"db_password", "hunter1", "hunter2"},
        {"SIGNING_KEY", "hunter1", "hunter2"},
        {"CREDENTIALS", "hunter1", "hunter2"},
        {"SSH_AUTH_SOCK", "hunter1", "hunter2"},
        {"LONG", "hunter1" + filling, "hunter2" + filling}}) {
    CAPTURE(name);
    Project project;
    CHECK(project.WithVariable(name + "=" + first) ==
          Strings{"environment: " + name + " is set"});
    CHECK(project.Take().environment.at(name).find("hunter") ==
          std::string::npos);
    CHECK(project.After([&] {
      project.options().env.back() = name + "=" + second;
    }) == Strings{"environment: " + name + " has another value"});
  }
  Project project;
  project.WithVariable("API_TOKEN=hunter2");
  // One that looks like a digest is not taken for one.
  const std::string digest = project.Take().environment.at("API_TOKEN");
  CHECK(project.After([&] {
    project.options().env.back() = "API_TOKEN=" + digest;
  }) == Strings{"environment: API_TOKEN has another value"});
}

}  // namespace
}  // namespace forkserver::harness
