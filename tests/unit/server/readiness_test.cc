#include "server/services/readiness.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace forkserver::server {
namespace {

class Folder {
 public:
  Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
  ~Folder() { ::rmdir(path_); }
  std::string Path(const std::string& name) const {
    return std::string(path_) + "/" + name;
  }

 private:
  char path_[32] = "/tmp/fsreadyXXXXXX";
};

void Send(const std::string& path, const std::string& text) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  REQUIRE(::sendto(socket.get(), text.data(), text.size(), 0,
                   reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address)) == static_cast<ssize_t>(text.size()));
}

struct Prepared {
  protocol::Setup setup;
  std::vector<UniqueFd> fds;
  Readiness readiness;
};

Prepared Prepare(const ServicePolicy& policy, const std::string& path) {
  Prepared prepared;
  auto readiness =
      Readiness::Prepare(policy, path, prepared.setup, prepared.fds);
  REQUIRE(readiness);
  prepared.readiness = std::move(*readiness);
  return prepared;
}

TEST_CASE("a service that says nothing of itself gets nothing") {
  const Prepared prepared = Prepare(ServicePolicy(), "/nowhere");
  CHECK(prepared.setup.env.empty());
  CHECK(prepared.fds.empty());
  CHECK(prepared.readiness.pipe() == -1);
  CHECK(prepared.readiness.socket() == -1);
}

TEST_CASE("a line on the descriptor is ready, anything less is not") {
  ServicePolicy policy;
  policy.ready = ReadyKind::kFd;
  policy.ready_fd = 7;
  Prepared prepared = Prepare(policy, "");
  REQUIRE(prepared.setup.fds.size() == 1);
  CHECK(prepared.setup.fds[0].child_fd == 7);
  REQUIRE(prepared.setup.fds[0].index == 0);
  const int fd = prepared.fds[0].get();
  CHECK_FALSE(prepared.readiness.Read().ready);
  REQUIRE(::write(fd, "half", 4) == 4);
  CHECK_FALSE(prepared.readiness.Read().ready);
  CHECK_FALSE(prepared.readiness.pipe_is_done());
  REQUIRE(::write(fd, " a line\n", 8) == 8);
  CHECK(prepared.readiness.Read().ready);
  CHECK(prepared.readiness.pipe_is_done());
  CHECK_FALSE(prepared.readiness.Read().ready);
}

TEST_CASE("a descriptor that is closed without a line says nothing more") {
  ServicePolicy policy;
  policy.ready = ReadyKind::kFd;
  Prepared prepared = Prepare(policy, "");
  prepared.fds.clear();
  CHECK_FALSE(prepared.readiness.Read().ready);
  CHECK(prepared.readiness.pipe_is_done());
}

TEST_CASE("datagrams to NOTIFY_SOCKET are understood, others are left") {
  const Folder folder;
  const std::string path = folder.Path("notify");
  ServicePolicy policy;
  policy.ready = ReadyKind::kNotify;
  policy.watchdog_ms = 1500;
  Prepared prepared = Prepare(policy, path);
  const auto& env = prepared.setup.env;
  CHECK(std::count(env.begin(), env.end(), "NOTIFY_SOCKET=" + path) == 1);
  CHECK(std::count(env.begin(), env.end(), "WATCHDOG_USEC=1500000") == 1);
  struct stat info = {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);

  Readiness::Said said = prepared.readiness.Read();
  CHECK_FALSE(said.ready);
  Send(path, "MAINPID=1\nSTATUS=loading 3 of 9\nFOO=BAR\nREADY=12");
  said = prepared.readiness.Read();
  CHECK_FALSE(said.ready);
  CHECK(said.status == "loading 3 of 9");
  Send(path, "READY=1\nWATCHDOG=1\n");
  said = prepared.readiness.Read();
  CHECK(said.ready);
  CHECK(said.alive);
  CHECK_FALSE(said.silent);
  Send(path, "WATCHDOG=trigger");
  CHECK(prepared.readiness.Read().silent);
  Send(path, "STATUS=" + std::string(10'000, 'x'));
  said = prepared.readiness.Read();
  REQUIRE(said.status);
  CHECK(said.status->size() == 256);
  Send(path, "");
  CHECK_FALSE(prepared.readiness.Read().status);

  prepared.readiness = Readiness();
  CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a socket that a run left is replaced, one too long refused") {
  const Folder folder;
  const std::string path = folder.Path("notify");
  ServicePolicy policy;
  policy.ready = ReadyKind::kNotify;
  Prepared first = Prepare(policy, path);
  Prepared second = Prepare(policy, path);
  Send(path, "READY=1");
  CHECK_FALSE(first.readiness.Read().ready);
  CHECK(second.readiness.Read().ready);
  protocol::Setup setup;
  std::vector<UniqueFd> fds;
  const auto refused =
      Readiness::Prepare(policy, std::string(200, 'x'), setup, fds);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == error_code::kSocketPath);
}

TEST_CASE("a variable is set once") {
  std::vector<std::string> env = {"A=1", "AB=2", "A=3"};
  SetVariable(env, "A", "4");
  CHECK(env == std::vector<std::string>{"AB=2", "A=4"});
}

}  // namespace
}  // namespace forkserver::server
