// The codec and input that is wrong. What is right is in tests/conformance.
#include "sdk/protocol/codec.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "sdk/protocol/framing.h"

namespace forkserver::protocol {
namespace {

// The payload of a frame that the codec encoded.
std::string Payload(const std::string& frame) {
  return frame.substr(kFrameHeaderBytes);
}

std::string HelloPayload() {
  Hello hello;
  hello.client = "test";
  hello.capabilities = {"a", "b"};
  return Payload(EncodeRequest(7, 0, hello));
}

Setup FullSetup() {
  Setup setup;
  setup.argv = {"a", "b"};
  setup.env = {"A=1", "B=\xff"};
  setup.cwd = "/";
  setup.limits["nofile"] = {10, 20};
  setup.nice = 3;
  setup.cpus = {0, 3};
  setup.io_priority = IoPriority{IoClass::kIdle, 7};
  setup.oom_score_adj = -1;
  setup.no_new_privs = true;
  setup.fds = {{0, 0}, {5, 1}};
  setup.args.data = std::string("\0\1", 2);
  setup.result = 1;
  return setup;
}

// A literal with NUL bytes in it.
template <std::size_t kSize>
std::string Raw(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <typename Body>
Error ErrorOf(const std::string& bytes) {
  auto body = DecodeBody<Body>(bytes);
  REQUIRE_FALSE(body);
  return body.error();
}

TEST_CASE("a message that is cut at any byte is malformed") {
  const std::string payload = HelloPayload();
  for (std::size_t size = 0; size < payload.size(); ++size) {
    CAPTURE(size);
    const std::string cut = payload.substr(0, size);
    const auto message = Message::Parse(cut);
    REQUIRE_FALSE(message);
    CHECK(message.error().code == error_code::kMalformed);
  }
  CHECK(Message::Parse(payload));
}

TEST_CASE("a setup that is cut at any byte is malformed") {
  const std::string bytes = EncodeBody(FullSetup());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    CHECK(ErrorOf<Setup>(bytes.substr(0, size)).code == error_code::kMalformed);
  }
  CHECK(DecodeBody<Setup>(bytes));
}

TEST_CASE("bytes after the message are malformed and counted") {
  const std::string payload = HelloPayload() + "xyz";
  const auto message = Message::Parse(payload);
  REQUIRE_FALSE(message);
  CHECK(message.error().code == error_code::kMalformed);
  CHECK(Contains(message.error().message, "3 bytes after"));
}

TEST_CASE("32 levels are taken and more are not, however many") {
  // Inside of the frame's map and the body's.
  const auto nested = [](std::size_t levels) {
    std::string payload =
        "\x82\xa4type\xa4list\xa4"
        "body\x81\xa1x";
    payload += std::string(levels, '\x91') + '\xc0';
    return payload;
  };
  CHECK(Message::Parse(nested(kMaxNesting - 2)));
  for (const std::size_t levels :
       {kMaxNesting - 1, kMaxNesting, std::size_t{10'000},
        std::size_t{1'000'000}}) {
    CAPTURE(levels);
    const std::string payload = nested(levels);
    const auto message = Message::Parse(payload);
    REQUIRE_FALSE(message);
    CHECK(message.error().code == error_code::kMalformed);
    CHECK(Contains(message.error().message, "32 levels"));
  }
}

TEST_CASE("maps nested 10,000 deep are malformed") {
  std::string payload;
  for (int i = 0; i < 10'000; ++i) payload += "\x81\xa1x";
  const auto message = Message::Parse(payload);
  REQUIRE_FALSE(message);
  CHECK(message.error().code == error_code::kMalformed);
}

TEST_CASE("an array of the limit is taken and a longer one is not") {
  Setup setup = FullSetup();
  setup.env.assign(kMaxArray, "A=");
  auto decoded = DecodeBody<Setup>(EncodeBody(setup));
  REQUIRE(decoded);
  CHECK(decoded->env.size() == kMaxArray);
  setup.env.emplace_back("A=");
  const Error error = ErrorOf<Setup>(EncodeBody(setup));
  CHECK(error.code == error_code::kMalformed);
  CHECK(Contains(error.message, "65536"));
}

TEST_CASE("a map of the limit is taken and a longer one is not") {
  Setup setup = FullSetup();
  for (std::size_t i = 0; setup.limits.size() < kMaxMap; ++i) {
    setup.limits["limit" + std::to_string(i)] = {1, 2};
  }
  auto decoded = DecodeBody<Setup>(EncodeBody(setup));
  REQUIRE(decoded);
  CHECK(decoded->limits.size() == kMaxMap);
  setup.limits["one more"] = {1, 2};
  CHECK(ErrorOf<Setup>(EncodeBody(setup)).code == error_code::kMalformed);
}

TEST_CASE("a missing key is named, with the place where it is missing") {
  const Error error = ErrorOf<Hello>("\x81\xacmin_protocol\1");
  CHECK(error.code == error_code::kMissingKey);
  CHECK(Contains(error.message, "'max_protocol'"));
  CHECK(Contains(error.message, "'hello'"));
}

TEST_CASE("a missing key of an inner map is named with its path") {
  // {"exit": {}}
  const Error error = ErrorOf<ExitReply>(
      "\x81\xa4"
      "exit\x80");
  CHECK(error.code == error_code::kMissingKey);
  CHECK(Contains(error.message, "'id'"));
  CHECK(Contains(error.message, "'exit_reply.exit'"));
}

TEST_CASE("a wrong type is named, with what was expected and what came") {
  // {"worker": [], ...}
  Error error = ErrorOf<Wait>("\x81\xa6worker\x90");
  CHECK(error.code == error_code::kBadRequest);
  CHECK(error.message == "'wait.worker' must be a string, not an array");
  error = ErrorOf<Wait>("\x81\xa6worker\xc0");
  CHECK(error.message == "'wait.worker' must be a string, not nil");
  error = ErrorOf<Wait>("\x91\xc0");
  CHECK(error.message == "'wait' must be a map, not an array");
  error = ErrorOf<Signal>(
      "\x82\xa6worker\xa1x\xa6signal\xa1"
      "9");
  CHECK(Contains(error.message, "'signal.signal' must be an integer"));
  CHECK(Contains(error.message, "not a string"));
  error = ErrorOf<Signal>(
      Raw("\x82\xa6worker\xa1x\xa6signal\xcb\x40\x22\0\0\0\0\0\0"));
  CHECK(Contains(error.message, "not a float"));
  error = ErrorOf<Done>("\xa1x");
  CHECK(error.message == "'done' must be a map, not a string");
}

TEST_CASE("an element of the wrong type is named by its array") {
  // {"min_protocol": 1, "max_protocol": 1, "capabilities": ["a", 1]}
  const Error error = ErrorOf<Hello>(
      "\x83\xacmin_protocol\1\xacmax_protocol\1\xac"
      "capabilities\x92\xa1"
      "a\1");
  CHECK(error.code == error_code::kBadRequest);
  CHECK(Contains(error.message, "'hello.capabilities'"));
}

TEST_CASE("a pair that is no pair is named") {
  // {"env": [], "cwd": "/", "umask": 0, "fds": [[1]]}
  const Error error =
      ErrorOf<Setup>(Raw("\x84\xa3"
                         "env\x90\xa3"
                         "cwd\xa1/\xa5umask\0\xa3"
                         "fds\x91\x91\1"));
  CHECK(error.code == error_code::kBadRequest);
  CHECK(Contains(error.message, "'setup.fds'"));
  CHECK(Contains(error.message, "[child_fd, index]"));
}

TEST_CASE("integers end where int64 ends") {
  const auto signal = [](const std::string& number) {
    return "\x82\xa6worker\xa1x\xa6signal" + number;
  };
  auto decoded =
      DecodeBody<Signal>(signal("\xcf\x7f" + std::string(7, '\xff')));
  REQUIRE(decoded);
  CHECK(decoded->signal == std::numeric_limits<std::int64_t>::max());
  decoded = DecodeBody<Signal>(signal("\xd3\x80" + std::string(7, '\0')));
  REQUIRE(decoded);
  CHECK(decoded->signal == std::numeric_limits<std::int64_t>::min());
  const Error error =
      ErrorOf<Signal>(signal("\xcf\x80" + std::string(7, '\0')));
  CHECK(error.code == error_code::kBadRequest);
  CHECK(Contains(error.message, "2^63"));
}

TEST_CASE("unknown keys of any type are ignored at every level") {
  // {"later": {"x": [1.5, nil, true]}, "worker": "a", 7: 8, nil: nil}
  const auto decoded =
      DecodeBody<Wait>(Raw("\x84\xa5later\x81\xa1x\x93\xca\x3f\xc0\0\0\xc0\xc3"
                           "\xa6worker\xa1"
                           "a\7\x8\xc0\xc0"));
  REQUIRE(decoded);
  CHECK(decoded->worker == "a");
}

TEST_CASE("an extension is refused wherever it is") {
  for (const std::string& extension :
       {std::string("\xd4\1x"), std::string("\xd5\1xx"),
        std::string("\xc7\0\1", 3), std::string("\xc7\1\1x"),
        std::string("\xd8\1") + std::string(16, 'x')}) {
    const Error error = ErrorOf<Wait>("\x81\xa6worker" + extension);
    CHECK(error.code == error_code::kMalformed);
    CHECK(ErrorOf<Wait>(extension).code == error_code::kMalformed);
  }
}

TEST_CASE("a name that does not exist lists those that do") {
  // {"env": [], "cwd": "/", "umask": 1, "group": "gang"}
  const Error error = ErrorOf<Setup>(
      "\x84\xa3"
      "env\x90\xa3"
      "cwd\xa1/\xa5umask\1\xa5group\xa4gang");
  CHECK(error.code == error_code::kBadRequest);
  CHECK(error.message ==
        "'setup.group' is 'gang', known are: process_group, session, "
        "terminal");
}

TEST_CASE("a name of bytes that are no text is refused as any other") {
  const Error error = ErrorOf<Setup>(
      "\x84\xa3"
      "env\x90\xa3"
      "cwd\xa1/\xa5umask\1\xa5group\xa2\xff\xfe");
  CHECK(error.code == error_code::kBadRequest);
}

TEST_CASE("strings keep every byte") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  Setup setup = FullSetup();
  setup.env = {all};
  setup.args.data = all;
  const auto decoded = DecodeBody<Setup>(EncodeBody(setup));
  REQUIRE(decoded);
  CHECK((decoded->env.at(0) == all));
  CHECK((decoded->args.data == all));
}

TEST_CASE("of a key that is there twice one is taken and nothing breaks") {
  const auto decoded = DecodeBody<Wait>(
      "\x82\xa6worker\xa1"
      "a\xa6worker\xa1"
      "b");
  REQUIRE(decoded);
  CHECK(decoded->worker.size() == 1);
}

TEST_CASE("a message can be moved and decoded more than once") {
  const std::string payload = HelloPayload();
  auto parsed = Message::Parse(payload);
  REQUIRE(parsed);
  const Message message = std::move(*parsed);
  CHECK(message.envelope().type == "hello");
  CHECK(message.envelope().id == 7);
  for (int i = 0; i < 2; ++i) {
    const auto hello = message.Decode<Hello>();
    REQUIRE(hello);
    CHECK(hello->client == "test");
    CHECK(hello->capabilities.size() == 2);
  }
  CHECK_FALSE(message.Decode<Wait>());
}

TEST_CASE("a list of tests may be longer than an array of a frame") {
  TestList list;
  list.framework = "gtest";
  list.tests.resize(kMaxArray + 1);
  list.tests.back().name = "the last";
  const auto decoded = DecodeBody<TestList>(EncodeBody(list));
  REQUIRE(decoded);
  REQUIRE(decoded->tests.size() == kMaxArray + 1);
  CHECK(decoded->tests.back().name == "the last");

  TestRun run;
  run.tests.resize(kMaxArray + 1);
  CHECK_FALSE(DecodeBody<TestRun>(EncodeBody(run)));
}

TEST_CASE("an error travels with all that it knows") {
  Error error;
  error.code = error_code::kLaunchFailed;
  error.message = "execve(x): Exec format error";
  error.step = "execve";
  error.error_number = 8;
  error.hint = "hint";
  const std::string payload = Payload(EncodeError(9, error));
  const auto message = Message::Parse(payload);
  REQUIRE(message);
  CHECK(message->envelope().type == frame_type::kError);
  CHECK(message->envelope().id == 9);
  auto wire = message->Decode<WireError>();
  REQUIRE(wire);
  const Error back = FromWire(std::move(*wire));
  CHECK(back.code == error.code);
  CHECK(back.message == error.message);
  CHECK(back.step == error.step);
  CHECK(back.error_number == error.error_number);
  CHECK(back.hint == error.hint);
}

TEST_CASE("the description names messages as the wire does") {
  const std::string described = DescribeMessages();
  CHECK(Contains(described, "\"zygote_start\": [\"name\", \"setup\", "));
  CHECK(Contains(described, "\"exit_record\": [\"id\", "));
  CHECK(Contains(described, "\"error\": [\"code\", "));
  CHECK(Contains(described, "\"done\": []"));
}

}  // namespace
}  // namespace forkserver::protocol
