#include "sdk/base/unique_fd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "tests/unit/leftovers.h"

namespace forkserver {
namespace {

using testing::NoLeftovers;

int OpenNull() { return ::open("/dev/null", O_RDWR | O_CLOEXEC); }

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST_CASE("an owner closes its descriptor when it goes") {
  const NoLeftovers no_leftovers;
  const int fd = OpenNull();
  {
    const UniqueFd owner(fd);
    CHECK(owner.valid());
    CHECK(static_cast<bool>(owner));
    CHECK(owner.get() == fd);
    CHECK(IsOpen(fd));
  }
  CHECK_FALSE(IsOpen(fd));
}

TEST_CASE("an owner of nothing is not valid") {
  const UniqueFd owner;
  CHECK_FALSE(owner.valid());
  CHECK_FALSE(static_cast<bool>(owner));
  CHECK(owner.get() == -1);
}

TEST_CASE("moving hands the descriptor over and leaves nothing behind") {
  const NoLeftovers no_leftovers;
  UniqueFd first(OpenNull());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  CHECK(second.get() == fd);
  CHECK_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  CHECK(IsOpen(fd));
}

TEST_CASE("move-assigning closes what the target held") {
  const NoLeftovers no_leftovers;
  UniqueFd target(OpenNull());
  UniqueFd source(OpenNull());
  const int old = target.get();
  const int fd = source.get();
  target = std::move(source);
  CHECK_FALSE(IsOpen(old));
  CHECK(target.get() == fd);
  CHECK(IsOpen(fd));
  CHECK_FALSE(source.valid());  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("move-assigning to itself keeps the descriptor") {
  const NoLeftovers no_leftovers;
  UniqueFd owner(OpenNull());
  const int fd = owner.get();
  UniqueFd& same = owner;
  owner = std::move(same);
  CHECK(owner.get() == fd);
  CHECK(IsOpen(fd));
}

TEST_CASE("a released descriptor stays open") {
  const NoLeftovers no_leftovers;
  int fd = -1;
  {
    UniqueFd owner(OpenNull());
    fd = owner.Release();
    CHECK_FALSE(owner.valid());
  }
  CHECK(IsOpen(fd));
  ::close(fd);
}

TEST_CASE(
    "resetting closes the old one, takes the new one, and leaves errno "
    "alone") {
  const NoLeftovers no_leftovers;
  UniqueFd owner(OpenNull());
  const int old = owner.get();
  const int fd = OpenNull();
  errno = ENOTTY;
  owner.Reset(fd);
  CHECK(errno == ENOTTY);
  CHECK_FALSE(IsOpen(old));
  CHECK(owner.get() == fd);
  owner.Reset();
  CHECK_FALSE(IsOpen(fd));
  CHECK_FALSE(owner.valid());
}

TEST_CASE("closing a number that is not open leaves errno alone") {
  UniqueFd owner(OpenNull());
  ::close(owner.get());
  errno = ENOTTY;
  owner.Reset();
  CHECK(errno == ENOTTY);
}

}  // namespace
}  // namespace forkserver
