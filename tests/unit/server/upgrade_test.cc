// What crosses an upgrade, and who may take over.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/protocol/codec.h"
#include "server/control/outbox.h"
#include "server/handed_fds.h"
#include "server/upgrade/hand_over.h"
#include "server/upgrade/judgement.h"
#include "server/upgrade/program_file.h"

namespace forkserver::server {
namespace {

protocol::HandedDaemon MakeState() {
  protocol::HandedDaemon state;
  state.version = "0.1.0";
  state.client_protocols = {1};
  state.zygote_protocols = {1};
  state.control.data = protocol::EncodeBody(protocol::HandedControl());
  state.supervisor.data = protocol::EncodeBody(protocol::HandedSupervisor());
  state.launcher.data = protocol::EncodeBody(protocol::HandedLauncher());
  state.services.data = protocol::EncodeBody(protocol::HandedServices());
  return state;
}

// For this process and its parent, that is for another one.
struct Variable {
  explicit Variable(const std::string& value) {
    ::setenv("FORKSERVER_UPGRADE", value.c_str(), 1);
  }
  ~Variable() { ::unsetenv("FORKSERVER_UPGRADE"); }
};

std::string Own(const std::string& rest) {
  return std::to_string(::getpid()) + ":" + rest;
}

TEST_CASE("this program can take over from itself") {
  CHECK(Judge(MakeState()).why_not.empty());
}

TEST_CASE("a state of a later format is refused, one of an earlier is not") {
  protocol::HandedDaemon state = MakeState();
  state.format = protocol::kUpgradeFormat + 1;
  const protocol::UpgradeAnswer answer = Judge(state);
  CHECK(answer.why_not.find("format 2") != std::string::npos);
  CHECK(answer.hint.find("older") != std::string::npos);
  state.format = protocol::kUpgradeFormat - 1;
  CHECK(Judge(state).why_not.empty());
}

TEST_CASE("it must speak what clients and zygotes speak") {
  protocol::HandedDaemon state = MakeState();
  state.client_protocols = {1, 2};
  CHECK(Judge(state).why_not.find("a client speaks protocol 2") !=
        std::string::npos);
  state.client_protocols = {};
  state.zygote_protocols = {1, 3};
  CHECK(Judge(state).why_not.find("a zygote speaks protocol 3") !=
        std::string::npos);
  Abilities later;
  later.min_protocol = 2;
  later.max_protocol = 4;
  CHECK(Judge(state, later).why_not.find("protocol 1, it speaks 2..4") !=
        std::string::npos);
  later.min_protocol = 1;
  CHECK(Judge(state, later).why_not.empty());
}

TEST_CASE("what cannot be read is named") {
  protocol::HandedDaemon state = MakeState();
  state.services.data = "\xc1";
  CHECK(Judge(state).why_not.find("state of the services") !=
        std::string::npos);
  state.services.data.clear();
  CHECK_FALSE(Judge(state).why_not.empty());
}

TEST_CASE("a state of any size goes through its file") {
  for (const std::size_t size : {0u, 1u, 4096u, 30u << 20}) {
    protocol::HandedDaemon state = MakeState();
    state.services.data = std::string(size, 'x');
    const Result<UniqueFd> file = WriteState(state);
    REQUIRE(file);
    const auto read = ReadState(*file);
    REQUIRE(read);
    CHECK(read->services.data == state.services.data);
    CHECK(read->client_protocols == state.client_protocols);
  }
}

TEST_CASE("a file that is no state is an error") {
  Result<Pipe> pipe = MakePipe();
  REQUIRE(pipe);
  CHECK_FALSE(ReadState(pipe->read_end));
  CHECK_FALSE(ReadState(UniqueFd()));
}

TEST_CASE("an answer is found among other words, or there is none") {
  CHECK_FALSE(ReadAnswer(""));
  CHECK_FALSE(ReadAnswer("error while loading shared libraries"));
  protocol::UpgradeAnswer answer;
  answer.version = "9.9.9";
  answer.why_not = "no";
  const std::string mark = "\nforkserverd answers:\n";
  const std::string bytes = protocol::EncodeBody(answer);
  const auto read = ReadAnswer("a warning" + mark + bytes);
  REQUIRE(read);
  CHECK(read->version == "9.9.9");
  CHECK(read->why_not == "no");
  CHECK_FALSE(ReadAnswer(mark + bytes.substr(0, bytes.size() - 1)));
}

TEST_CASE("only a call for this very process is one") {
  CHECK_FALSE(TakeCall());
  for (const std::string& value :
       {std::string(""), std::string("1:try:5"), Own(""), Own("try"),
        Own("try:"), Own("try:x"), Own("try:-1"), Own("jump:5"),
        Own("try:99999999999999999999")}) {
    const Variable variable(value);
    CHECK_FALSE_MESSAGE(TakeCall(), value);
    // Nobody below sees it.
    CHECK(std::getenv("FORKSERVER_UPGRADE") == nullptr);
  }
}

TEST_CASE("a call has its state, and why one goes back") {
  Result<UniqueFd> state = WriteState(MakeState());
  REQUIRE(state);
  const Variable variable(
      Own("go_back:" + std::to_string(state->Release()) + ":it: failed"));
  const auto call = TakeCall();
  REQUIRE(call);
  CHECK(call->kind == Call::Kind::kGoBack);
  CHECK(call->why == "it: failed");
  CHECK(ReadState(call->state));
}

TEST_CASE("a path is that by which it was started, and a file is what it is") {
  const auto own = OwnIdentity();
  REQUIRE(own);
  const std::string path = StartedAs("/proc/self/exe");
  CHECK(path == "/proc/self/exe");
  CHECK(IdentityOf(path).value() == *own);
  CHECK(IdentityOf(StartedAs("sh")).value() == *own);
  CHECK(IdentityOf("/bin/sh").value() != *own);
  CHECK_FALSE(IdentityOf("/"));
  CHECK_FALSE(IdentityOf("/etc/passwd"));
  CHECK_FALSE(IdentityOf("/there/is/none"));
}

TEST_CASE("an outbox goes on in the midst of a frame") {
  Outbox outbox;
  const std::string large(1 << 20, 'r');
  outbox.AddReply(large);
  outbox.AddReply("small");
  CHECK(outbox.AddEvent("event"));
  Result<SocketPair> pair = MakeSocketPair();
  REQUIRE(pair);
  SetNonBlocking(pair->first.get());
  REQUIRE(outbox.Flush(pair->first.get()) == Outbox::Status::kBlocked);
  Outbox next;
  next.Resume(outbox.WriteDown(), outbox.overrun());
  std::string received;
  char buffer[65536];
  while (received.size() < large.size() + 10) {
    const ssize_t size =
        ::recv(pair->second.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size > 0) received.append(buffer, static_cast<std::size_t>(size));
    if (size <= 0) next.Flush(pair->first.get());
  }
  CHECK(received == large + "smallevent");
  CHECK(next.empty());
  CHECK_FALSE(next.stalled());
}

TEST_CASE("a reader goes on in the midst of a frame, with its descriptors") {
  protocol::FrameReader reader(1000);
  const std::string frame("\0\0\0\3abc\0\0\0\2de", 13);
  reader.Append(frame.substr(0, 9));
  REQUIRE(reader.Next());
  Result<Pipe> pipe = MakePipe();
  REQUIRE(pipe);
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(pipe->read_end));
  const int number = fds.front().get();
  reader.Hold({}, std::move(fds), true);
  HandedFds handed;
  const protocol::HandedReader state = handed.Add(reader);
  CHECK(handed.numbers() == std::vector<std::int64_t>{number});
  CHECK(reader.TakeFds(1).front().Release() == number);
  protocol::FrameReader next(1000);
  TakeHanded(state, next);
  next.Append(frame.substr(9));
  const auto payload = next.Next();
  REQUIRE(payload);
  CHECK(**payload == "de");
  CHECK(next.fds_available() == 1);
  CHECK(next.TakeFdsLost());
}

}  // namespace
}  // namespace forkserver::server
