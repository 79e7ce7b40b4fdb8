#include "tools/harness/run/capture.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "sdk/base/unique_fd.h"
#include "tests/unit/leftovers.h"

namespace forkserver::harness {
namespace {

using testing::NoLeftovers;

TEST_CASE("a short text is kept as it is") {
  BoundedText text;
  CHECK(text.Peek().empty());
  text.Append("one ");
  text.Append("two");
  CHECK(text.Peek().ToString() == "one two");
  CHECK(text.Take().head == "one two");
  CHECK(text.Peek().empty());
}

TEST_CASE("of a long text the beginning and the end are kept") {
  for (const std::size_t piece : {std::size_t{1000}, std::size_t{999'999}}) {
    BoundedText text;
    std::string all;
    while (all.size() < 3'000'000) {
      std::string next;
      for (std::size_t i = 0; next.size() < piece; ++i) {
        next += std::to_string(all.size() + i) + " ";
      }
      text.Append(next);
      all += next;
    }
    const CapturedText kept = text.Peek();
    CHECK(kept.head == all.substr(0, BoundedText::kHeadBytes));
    CHECK(kept.tail == all.substr(all.size() - BoundedText::kTailBytes));
    CHECK(kept.head.size() + kept.dropped_bytes + kept.tail.size() ==
          all.size());
    CHECK(kept.ToString().find(std::to_string(kept.dropped_bytes)) !=
          std::string::npos);
  }
}

TEST_CASE("nothing is lost at the border between head and tail") {
  BoundedText text;
  const std::string head(BoundedText::kHeadBytes - 1, 'h');
  text.Append(head);
  text.Append("12");
  const CapturedText kept = text.Take();
  CHECK(kept.dropped_bytes == 0);
  CHECK(kept.head + kept.tail == head + "12");
}

TEST_CASE("a pipe is read without waiting, to its end") {
  const NoLeftovers check;
  auto pipe = OutputPipe::Open();
  REQUIRE(pipe);
  std::string read;
  const auto sink = [&](std::string_view text) { read += text; };
  CHECK(pipe->Drain(sink) == OutputPipe::State::kOpen);
  CHECK(::write(pipe->write_fd(), "hello", 5) == 5);
  CHECK(pipe->Drain(sink) == OutputPipe::State::kOpen);
  {
    // A child of the test that outlives it.
    const UniqueFd held(::dup(pipe->write_fd()));
    pipe->CloseWriteEnd();
    CHECK(pipe->Drain(sink) == OutputPipe::State::kOpen);
    CHECK(::write(held.get(), " again", 6) == 6);
    CHECK(pipe->Drain(sink) == OutputPipe::State::kOpen);
  }
  CHECK(pipe->Drain(sink) == OutputPipe::State::kEnded);
  CHECK(read == "hello again");
}

TEST_CASE("the test's end of a pipe waits as in a shell, ours does not") {
  auto pipe = OutputPipe::Open();
  REQUIRE(pipe);
  CHECK((::fcntl(pipe->read_fd(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(pipe->write_fd(), F_GETFL) & O_NONBLOCK) == 0);
  CHECK((::fcntl(pipe->read_fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(pipe->write_fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("one call reads no more than it is told to") {
  const NoLeftovers check;
  auto pipe = OutputPipe::Open();
  REQUIRE(pipe);
  std::thread writer([fd = ::dup(pipe->write_fd())] {
    const std::string text(1'000'000, 'x');
    for (std::size_t at = 0; at < text.size();) {
      at += static_cast<std::size_t>(
          ::write(fd, text.data() + at, text.size() - at));
    }
    ::close(fd);
  });
  pipe->CloseWriteEnd();
  std::size_t total = 0;
  std::size_t in_call = 0;
  auto state = OutputPipe::State::kOpen;
  while (state != OutputPipe::State::kEnded) {
    in_call = 0;
    state = pipe->Drain([&](std::string_view text) { in_call += text.size(); },
                        100'000);
    CHECK(in_call <= 100'000 + (64u << 10));
    total += in_call;
  }
  writer.join();
  CHECK(total == 1'000'000);
}

}  // namespace
}  // namespace forkserver::harness
