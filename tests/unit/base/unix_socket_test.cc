#include "sdk/base/unix_socket.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver {
namespace {

using testing::NoLeftovers;
using testing::ReadAll;
using testing::WriteText;

// A folder with a short name, empty again at the end.
class ShortFolder {
 public:
  ShortFolder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
  ~ShortFolder() {
    ::unlink(Socket().c_str());
    CHECK(::rmdir(path_.c_str()) == 0);
  }
  std::string Socket() const { return path_ + "/s"; }

 private:
  std::string path_ = "/tmp/fs-unit-XXXXXX";
};

bool IsCloseOnExec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

bool IsNonBlocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

std::vector<UniqueFd> ReceiveAll(int socket, std::string& bytes) {
  std::vector<UniqueFd> fds;
  char buffer[64];
  const Received received = ReceiveWithFds(socket, buffer, sizeof(buffer), fds);
  REQUIRE(received.size > 0);
  CHECK_FALSE(received.fds_lost);
  bytes.assign(buffer, static_cast<std::size_t>(received.size));
  return fds;
}

TEST_CASE("descriptors ride with their bytes, in order") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  auto first = MakePipe();
  auto second = MakePipe();
  REQUIRE(sockets);
  REQUIRE(first);
  REQUIRE(second);
  const int fds[] = {second->write_end.get(), first->write_end.get()};
  CHECK(SendWithFds(sockets->first.get(), "ab", 2, fds, 2) == 2);

  std::string bytes;
  std::vector<UniqueFd> received = ReceiveAll(sockets->second.get(), bytes);
  CHECK(bytes == "ab");
  REQUIRE(received.size() == 2);
  CHECK(IsCloseOnExec(received[0].get()));
  CHECK(IsCloseOnExec(received[1].get()));
  WriteText(received[0].get(), "second");
  WriteText(received[1].get(), "first");
  received.clear();
  first->write_end.Reset();
  second->write_end.Reset();
  CHECK(ReadAll(first->read_end.get()) == "first");
  CHECK(ReadAll(second->read_end.get()) == "second");
}

TEST_CASE("bytes without descriptors bring none") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  CHECK(SendWithFds(sockets->first.get(), "x", 1, nullptr, 0) == 1);
  std::string bytes;
  CHECK(ReceiveAll(sockets->second.get(), bytes).empty());
}

TEST_CASE("253 descriptors pass in one message and 254 are refused") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  const std::vector<int> fds(kMaxFdsPerMessage + 1, sockets->first.get());
  CHECK(SendWithFds(sockets->first.get(), "x", 1, fds.data(),
                    kMaxFdsPerMessage + 1) == -EINVAL);
  CHECK(SendWithFds(sockets->first.get(), "x", 1, fds.data(),
                    kMaxFdsPerMessage) == 1);
  std::string bytes;
  CHECK(ReceiveAll(sockets->second.get(), bytes).size() == kMaxFdsPerMessage);
}

TEST_CASE("descriptors that the receiver has no room for are reported lost") {
  const auto outcome = testing::RunInChild([](int) {
    auto sockets = MakeSocketPair();
    if (!sockets) return 1;
    const std::vector<int> fds(40, sockets->first.get());
    if (SendWithFds(sockets->first.get(), "x", 1, fds.data(), fds.size()) != 1)
      return 2;
    struct rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 32;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
    char byte;
    std::vector<UniqueFd> received;
    const Received got =
        ReceiveWithFds(sockets->second.get(), &byte, 1, received);
    if (got.size != 1) return 4;
    if (!got.fds_lost) return 5;
    return received.size() < fds.size() ? 0 : 6;
  });
  CHECK(outcome.code() == 0);
}

TEST_CASE("sending to a closed peer is an error and no signal") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  sockets->second.Reset();
  CHECK(SendWithFds(sockets->first.get(), "x", 1, nullptr, 0) == -EPIPE);
}

TEST_CASE("the end of a stream is zero bytes, and nothing there is EAGAIN") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  SetNonBlocking(sockets->second.get());
  std::vector<UniqueFd> fds;
  char byte;
  CHECK(ReceiveWithFds(sockets->second.get(), &byte, 1, fds).size == -EAGAIN);
  sockets->first.Reset();
  CHECK(ReceiveWithFds(sockets->second.get(), &byte, 1, fds).size == 0);
}

TEST_CASE("pairs and pipes are blocking and close-on-exec") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  auto pipe = MakePipe();
  REQUIRE(sockets);
  REQUIRE(pipe);
  for (const int fd : {sockets->first.get(), sockets->second.get(),
                       pipe->read_end.get(), pipe->write_end.get()}) {
    CHECK(IsCloseOnExec(fd));
    CHECK_FALSE(IsNonBlocking(fd));
  }
}

TEST_CASE("a pipe may be non-blocking at both ends") {
  const NoLeftovers no_leftovers;
  auto pipe = MakePipe(/*non_blocking=*/true);
  REQUIRE(pipe);
  for (const int fd : {pipe->read_end.get(), pipe->write_end.get()}) {
    CHECK(IsCloseOnExec(fd));
    CHECK(IsNonBlocking(fd));
  }
}

TEST_CASE("a client connects to a listener whose socket is for its user only") {
  const NoLeftovers no_leftovers;
  const ShortFolder folder;
  const mode_t before = ::umask(0);
  auto listener = ListenUnixSocket(folder.Socket(), 4);
  CHECK(::umask(before) == 0);  // put back
  REQUIRE(listener);
  CHECK(IsCloseOnExec(listener->get()));
  CHECK(IsNonBlocking(listener->get()));
  struct stat info = {};
  REQUIRE(::stat(folder.Socket().c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);

  auto client = ConnectUnixSocket(folder.Socket());
  REQUIRE(client);
  CHECK(IsCloseOnExec(client->get()));
  CHECK_FALSE(IsNonBlocking(client->get()));
  const UniqueFd server(::accept(listener->get(), nullptr, nullptr));
  REQUIRE(server);
  WriteText(server.get(), "hi");
  std::string bytes;
  ReceiveAll(client->get(), bytes);
  CHECK(bytes == "hi");
}

TEST_CASE("listening where something is already fails and leaves it there") {
  const NoLeftovers no_leftovers;
  const ShortFolder folder;
  auto listener = ListenUnixSocket(folder.Socket(), 4);
  REQUIRE(listener);
  auto second = ListenUnixSocket(folder.Socket(), 4);
  REQUIRE_FALSE(second);
  CHECK(second.error().error_number == EADDRINUSE);
  CHECK(ConnectUnixSocket(folder.Socket()));
}

TEST_CASE("connecting to nothing gives the errno of connect") {
  const NoLeftovers no_leftovers;
  const ShortFolder folder;
  auto client = ConnectUnixSocket(folder.Socket());
  REQUIRE_FALSE(client);
  CHECK(client.error().error_number == ENOENT);
  CHECK(client.error().message.find("connect(" + folder.Socket() + ")") == 0);
}

TEST_CASE("a path that fills the address is taken, one byte more is refused") {
  const NoLeftovers no_leftovers;
  constexpr std::size_t kLimit = sizeof(sockaddr_un::sun_path) - 1;
  CHECK(CheckSocketPath("/" + std::string(kLimit - 1, 'x')));
  const std::string too_long = "/" + std::string(kLimit, 'x');
  const auto checked = CheckSocketPath(too_long);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == error_code::kSocketPath);
  CHECK(checked.error().message.find(std::to_string(kLimit + 1)) !=
        std::string::npos);
  CHECK(checked.error().message.find(std::to_string(kLimit) + ":") !=
        std::string::npos);
  CHECK(checked.error().message.find(too_long) != std::string::npos);
  CHECK(ConnectUnixSocket(too_long).error().code == error_code::kSocketPath);
  CHECK(ListenUnixSocket(too_long, 1).error().code == error_code::kSocketPath);
}

TEST_CASE("an empty path and one with a NUL byte are refused") {
  const NoLeftovers no_leftovers;
  const std::string abstract("\0forkserver", 11);
  const std::string with_nul("/tmp/a\0b", 8);
  for (const std::string& path : {std::string(), abstract, with_nul}) {
    const auto checked = CheckSocketPath(path);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == error_code::kSocketPath);
    CHECK_FALSE(checked.error().hint.empty());
    CHECK_FALSE(ConnectUnixSocket(path));
    CHECK_FALSE(ListenUnixSocket(path, 1));
  }
}

TEST_CASE("a longest path can be listened on and connected to") {
  const NoLeftovers no_leftovers;
  std::string folder = "/tmp/fs-unit-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string path =
      folder + "/" +
      std::string(sizeof(sockaddr_un::sun_path) - 2 - folder.size(), 's');
  {
    auto listener = ListenUnixSocket(path, 1);
    REQUIRE(listener);
    CHECK(ConnectUnixSocket(path));
  }
  CHECK(::unlink(path.c_str()) == 0);
  CHECK(::rmdir(folder.c_str()) == 0);
}

}  // namespace
}  // namespace forkserver
