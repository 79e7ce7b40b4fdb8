#include "sdk/protocol/framing.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/run_in_child.h"

namespace forkserver::protocol {
namespace {

using testing::NoLeftovers;
using testing::WriteText;
using Status = FrameReader::Status;

constexpr std::size_t kMaxPayload = 1 << 20;

std::string Frame(std::string_view payload) {
  std::string frame(kFrameHeaderBytes, '\0');
  frame += payload;
  SealFrame(frame);
  return frame;
}

// The next payload, which must be there.
std::string NextPayload(FrameReader& reader) {
  auto payload = reader.Next();
  REQUIRE(payload);
  REQUIRE(payload->has_value());
  return std::string(**payload);
}

bool IsIncomplete(FrameReader& reader) {
  auto payload = reader.Next();
  REQUIRE(payload);
  return !payload->has_value();
}

// A pipe's reading end whose other end has `text` in it and is closed.
UniqueFd PipeWith(const std::string& text) {
  auto pipe = MakePipe();
  REQUIRE(pipe);
  WriteText(pipe->write_end.get(), text);
  return std::move(pipe->read_end);
}

std::string TextIn(int pipe) { return testing::ReadAll(pipe); }

void SendFrame(int socket, const std::string& frame,
               const std::vector<UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  REQUIRE(SendWithFds(socket, frame.data(), frame.size(), numbers.data(),
                      numbers.size()) == static_cast<long>(frame.size()));
}

Status Receive(FrameReader& reader, int fd, bool is_socket = true) {
  auto status = reader.Receive(fd, is_socket);
  REQUIRE(status);
  return *status;
}

TEST_CASE("a frame begins with its payload's length, big-endian") {
  CHECK(Frame("") == std::string("\0\0\0\0", 4));
  CHECK(Frame("abc") == std::string("\0\0\0\3abc", 7));
  CHECK(Frame(std::string(0x010203, 'x')).substr(0, 4) ==
        std::string("\0\1\2\3", 4));
}

TEST_CASE("two frames that are split at any byte arrive whole") {
  const std::string stream = Frame("first") + Frame(std::string(300, 'b'));
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    CAPTURE(split);
    FrameReader reader(kMaxPayload);
    std::vector<std::string> payloads;
    for (const std::string& part :
         {stream.substr(0, split), stream.substr(split)}) {
      reader.Append(part);
      for (;;) {
        auto payload = reader.Next();
        REQUIRE(payload);
        if (!payload->has_value()) break;
        payloads.emplace_back(**payload);
      }
    }
    REQUIRE(payloads.size() == 2);
    CHECK(payloads[0] == "first");
    CHECK(payloads[1] == std::string(300, 'b'));
    CHECK(reader.at_boundary());
    CHECK(reader.buffered_bytes() == 0);
  }
}

TEST_CASE("a frame that comes byte by byte arrives whole") {
  const std::string frame = Frame("hello");
  FrameReader reader(kMaxPayload);
  CHECK(reader.at_boundary());
  for (std::size_t i = 0; i + 1 < frame.size(); ++i) {
    reader.Append(frame.substr(i, 1));
    CHECK(IsIncomplete(reader));
    CHECK_FALSE(reader.at_boundary());
    CHECK(reader.buffered_bytes() == i + 1);
  }
  reader.Append(frame.substr(frame.size() - 1));
  CHECK(NextPayload(reader) == "hello");
  CHECK(reader.at_boundary());
}

TEST_CASE("several frames in one read are handed out one by one") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  SendFrame(sockets->first.get(), Frame("a") + Frame("") + Frame("ccc"), {});
  FrameReader reader(kMaxPayload);
  CHECK(Receive(reader, sockets->second.get()) == Status::kProgress);
  CHECK(NextPayload(reader) == "a");
  CHECK(NextPayload(reader).empty());
  CHECK(NextPayload(reader) == "ccc");
  CHECK(IsIncomplete(reader));
}

TEST_CASE(
    "the longest frame is taken and one byte more is refused at its "
    "header") {
  FrameReader reader(8);
  reader.Append(Frame("12345678"));
  CHECK(NextPayload(reader) == "12345678");
  reader.Append(Frame("123456789").substr(0, kFrameHeaderBytes));
  const auto refused = reader.Next();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == error_code::kFrameTooLarge);
  CHECK(refused.error().message.find("9 bytes") != std::string::npos);
  CHECK(refused.error().message.find("limit is 8") != std::string::npos);
  CHECK_FALSE(refused.error().hint.empty());
  CHECK_FALSE(reader.Next());  // for good
}

TEST_CASE("a reader tells nothing there, the end, and an error apart") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  SetNonBlocking(sockets->second.get());
  FrameReader reader(kMaxPayload);
  CHECK(Receive(reader, sockets->second.get()) == Status::kWouldBlock);
  sockets->first.Reset();
  CHECK(Receive(reader, sockets->second.get()) == Status::kClosed);
  sockets->second.Reset();
  const auto failed = reader.Receive(-1);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().error_number == EBADF);
  CHECK_FALSE(reader.Receive(-1, false));
}

TEST_CASE("a peer that leaves with unread data has closed the connection") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  REQUIRE(SendWithFds(sockets->second.get(), "x", 1, nullptr, 0) == 1);
  sockets->first.Reset();
  FrameReader reader(kMaxPayload);
  CHECK(Receive(reader, sockets->second.get()) == Status::kClosed);
}

TEST_CASE("a pipe is read as well") {
  const NoLeftovers no_leftovers;
  const UniqueFd pipe = PipeWith(Frame("report"));
  FrameReader reader(kMaxPayload);
  CHECK(Receive(reader, pipe.get(), false) == Status::kProgress);
  CHECK(NextPayload(reader) == "report");
  CHECK(Receive(reader, pipe.get(), false) == Status::kClosed);
}

TEST_CASE("descriptors come in the order of their frames") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  std::vector<UniqueFd> first;
  first.push_back(PipeWith("a"));
  first.push_back(PipeWith("b"));
  std::vector<UniqueFd> third;
  third.push_back(PipeWith("c"));
  SendFrame(sockets->first.get(), Frame("one"), first);
  SendFrame(sockets->first.get(), Frame("two"), {});
  SendFrame(sockets->first.get(), Frame("three"), third);
  sockets->first.Reset();

  FrameReader reader(kMaxPayload);
  while (Receive(reader, sockets->second.get()) == Status::kProgress) {
  }
  CHECK(reader.fds_available() == 3);
  CHECK(NextPayload(reader) == "one");
  std::vector<UniqueFd> taken = reader.TakeFds(2);
  REQUIRE(taken.size() == 2);
  CHECK(TextIn(taken[0].get()) == "a");
  CHECK(TextIn(taken[1].get()) == "b");
  CHECK(NextPayload(reader) == "two");
  CHECK(reader.TakeFds(0).empty());
  CHECK(NextPayload(reader) == "three");
  taken = reader.TakeFds(5);
  REQUIRE(taken.size() == 1);
  CHECK(TextIn(taken[0].get()) == "c");
  CHECK(reader.fds_available() == 0);
}

TEST_CASE("descriptors of a frame are there before its last byte") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  const std::string frame = Frame("slow");
  std::vector<UniqueFd> fds;
  fds.push_back(PipeWith("x"));
  FrameReader reader(kMaxPayload);
  SendFrame(sockets->first.get(), frame.substr(0, 1), fds);
  CHECK(Receive(reader, sockets->second.get()) == Status::kProgress);
  CHECK(IsIncomplete(reader));
  CHECK(reader.fds_available() == 1);
  SendFrame(sockets->first.get(), frame.substr(1), {});
  CHECK(Receive(reader, sockets->second.get()) == Status::kProgress);
  CHECK(NextPayload(reader) == "slow");
  CHECK(TextIn(reader.TakeFds(1).at(0).get()) == "x");
}

TEST_CASE("descriptors that nobody takes are closed with the reader") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  std::vector<UniqueFd> fds;
  fds.push_back(PipeWith("x"));
  SendFrame(sockets->first.get(), Frame("a"), fds);
  FrameReader reader(kMaxPayload);
  CHECK(Receive(reader, sockets->second.get()) == Status::kProgress);
  CHECK(reader.fds_available() == 1);
  CHECK_FALSE(reader.TakeFdsLost());
}

TEST_CASE("200 frames in a pipeline keep their descriptors apart") {
  const NoLeftovers no_leftovers;
  auto sockets = MakeSocketPair();
  REQUIRE(sockets);
  FrameReader reader(kMaxPayload);
  int arrived = 0;
  const auto take_all = [&] {
    for (;;) {
      auto payload = reader.Next();
      REQUIRE(payload);
      if (!payload->has_value()) return;
      // Frame n has n % 3 descriptors, each with its name in it.
      const int n = arrived++;
      CAPTURE(n);
      REQUIRE(**payload == "frame " + std::to_string(n) +
                               std::string(static_cast<std::size_t>(n), '.'));
      const std::vector<UniqueFd> fds =
          reader.TakeFds(static_cast<std::size_t>(n % 3));
      REQUIRE(fds.size() == static_cast<std::size_t>(n % 3));
      for (int i = 0; i < n % 3; ++i) {
        CHECK(TextIn(fds[static_cast<std::size_t>(i)].get()) ==
              std::to_string(n) + "/" + std::to_string(i));
      }
    }
  };
  SetNonBlocking(sockets->second.get());
  for (int n = 0; n < 200; ++n) {
    std::vector<UniqueFd> fds;
    for (int i = 0; i < n % 3; ++i) {
      fds.push_back(PipeWith(std::to_string(n) + "/" + std::to_string(i)));
    }
    const std::string text = "frame " + std::to_string(n) +
                             std::string(static_cast<std::size_t>(n), '.');
    SendFrame(sockets->first.get(), Frame(text), fds);
    // Uneven: sometimes many frames wait, sometimes none.
    if (n % 7 != 0) continue;
    while (Receive(reader, sockets->second.get()) == Status::kProgress) {
    }
    take_all();
  }
  while (Receive(reader, sockets->second.get()) == Status::kProgress) {
  }
  take_all();
  CHECK(arrived == 200);
  CHECK(reader.fds_available() == 0);
  CHECK(reader.at_boundary());
}

TEST_CASE("a large frame between small ones arrives whole") {
  FrameReader reader(kMaxPayload);
  std::string large(kMaxPayload, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) {
    large[i] = static_cast<char>(i * 31);
  }
  const std::string stream =
      Frame("small") + Frame(large) + Frame("again") + Frame(large);
  std::vector<std::string> payloads;
  for (std::size_t at = 0; at < stream.size(); at += 4099) {
    reader.Append(std::string_view(stream).substr(at, 4099));
    for (;;) {
      auto payload = reader.Next();
      REQUIRE(payload);
      if (!payload->has_value()) break;
      payloads.emplace_back(**payload);
    }
  }
  REQUIRE(payloads.size() == 4);
  CHECK(payloads[0] == "small");
  CHECK((payloads[1] == large));
  CHECK(payloads[2] == "again");
  CHECK((payloads[3] == large));
}

}  // namespace
}  // namespace forkserver::protocol
