// What static initialisers and warm-ups did is there in tests. Runs in a folder
// with a file words.txt: "one two three".
#include <doctest/doctest.h>
#include <fcntl.h>
#include <forkserver/testing.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

struct Made {
  std::ifstream words{"words.txt"};
  std::FILE* const temporary = std::tmpfile();
  int log = ::open("log.txt", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int pipe[2] = {-1, -1};
  int pair[2] = {-1, -1};
  std::string variant = Variable("VARIANT");

  Made() {
    if (::pipe(pipe) != 0) pipe[0] = -1;
    if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) pair[0] = -1;
    ::setenv("TZ", "XYZ-9", 1);
    ::setenv("SET_BY_PROGRAM", "yes", 1);
    ::unsetenv("HOME");
    ::umask(057);
    if (::mkdir("inner", 0700) != 0 && errno != EEXIST) std::abort();
    if (::chdir("inner") != 0) std::abort();
  }
} made;

FORKSERVER_TEST_WARM_UP("write") {
  std::fputs("abc", made.temporary);
  std::fflush(made.temporary);
}

// Several, so that they run at the same time.
void CheckAll(int number) {
  std::string words;
  for (std::string word; made.words >> word;) words += word + " ";
  CHECK(words == "one two three ");

  std::rewind(made.temporary);
  char text[8] = {};
  const bool by_hand = std::fgets(text, sizeof text, made.temporary) == nullptr;
  if (!by_hand) CHECK(std::string(text) == "abc");

  const std::string line = "test " + std::to_string(number) + "\n";
  CHECK(::write(made.log, line.data(), line.size()) ==
        static_cast<ssize_t>(line.size()));

  CHECK(::write(made.pipe[1], line.data(), line.size()) ==
        static_cast<ssize_t>(line.size()));
  CHECK(::read(made.pipe[0], text, sizeof text) ==
        static_cast<ssize_t>(line.size()));

  CHECK(Variable("SET_BY_PROGRAM") == "yes");
  CHECK(std::getenv("HOME") == nullptr);
  const std::time_t zero = 0;
  CHECK(std::localtime(&zero)->tm_hour == 9);
  CHECK(::umask(0) == 057);
  CHECK(::access("../words.txt", R_OK) == 0);
}

TEST_CASE("first") { CheckAll(1); }
TEST_CASE("second") { CheckAll(2); }
TEST_CASE("third") { CheckAll(3); }

TEST_CASE("a socket is missing, and its number is nobody's") {
  const int opened = ::open("/dev/null", O_RDONLY);
  CHECK(opened != made.pair[0]);
  CHECK(opened != made.pair[1]);
  CHECK(::send(made.pair[0], "x", 1, 0) == -1);
}

TEST_CASE("the variant of this run") {
  ::usleep(20'000);
  CHECK(made.variant == Variable("VARIANT"));
}

}  // namespace
