#include "sdk/cpp/zygote_report.h"

#include <doctest/doctest.h>

#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"

namespace {

using forkserver::Error;
namespace protocol = forkserver::protocol;

protocol::Failed Decode(const std::string& frame) {
  const auto message = protocol::Message::Parse(
      std::string_view(frame).substr(protocol::kFrameHeaderBytes));
  REQUIRE(message);
  return message->Decode<protocol::Failed>().value();
}

}  // namespace

TEST_CASE("a short failure is reported as it is") {
  Error error = forkserver::MakeError("launch_failed", "no", "do it");
  error.step = "chdir";
  error.error_number = 2;
  const auto failed = Decode(forkserver::EncodeFailed("w1", 7, error));
  CHECK(failed.worker == "w1");
  CHECK(failed.pid == 7);
  CHECK(failed.error.code == "launch_failed");
  CHECK(failed.error.message == "no");
  CHECK(failed.error.step == "chdir");
  CHECK(failed.error.error_number == 2);
  CHECK(failed.error.hint == "do it");
}

TEST_CASE("a failure of any length fits one atomic write") {
  for (const std::size_t size : {100, 300, 400, 500, 5000}) {
    for (const std::size_t hint_size : {0, 10, 300, 5000}) {
      CAPTURE(size);
      CAPTURE(hint_size);
      Error error =
          forkserver::MakeError("stale_environment", std::string(size, 'm'),
                                std::string(hint_size, 'h'));
      error.step = std::string(size / 2, 's');
      const std::string frame =
          forkserver::EncodeFailed(std::string(128, 'w'), 123456, error);
      CHECK(frame.size() <= protocol::kMaxReportBytes);
      CHECK(Decode(frame).error.code == "stale_environment");
    }
  }
}

TEST_CASE("a text that is cut short says so and stays UTF-8") {
  std::string message;
  for (int i = 0; i < 400; ++i) message += "\u00e9";
  for (int shift = 0; shift < 3; ++shift) {
    message.insert(0, 1, 'x');
    const auto failed = Decode(forkserver::EncodeFailed(
        "w", 0, forkserver::MakeError("x", message, "hint")));
    const std::string& text = failed.error.message;
    REQUIRE(text.size() > 300);
    CHECK(text.substr(text.size() - 3) == "...");
    CHECK((text.size() - 3 - static_cast<std::size_t>(shift + 1)) % 2 == 0);
    CHECK(failed.error.hint == "hint");
  }
}

TEST_CASE("a crash of any length is told in atomic writes that add up") {
  for (const std::size_t size : {0, 1, 300, 480, 4096, 8192}) {
    CAPTURE(size);
    std::string text;
    for (std::size_t i = 0; i < size; ++i) {
      text += static_cast<char>('a' + i % 26);
    }
    std::string together;
    for (const std::string& frame :
         forkserver::EncodeCrash(std::string(128, 'w'), "traceback", text)) {
      CHECK(frame.size() <= protocol::kMaxReportBytes);
      auto message = protocol::Message::Parse(
          std::string_view(frame).substr(protocol::kFrameHeaderBytes));
      REQUIRE(message);
      auto crash = message->Decode<protocol::Crash>();
      REQUIRE(crash);
      CHECK(crash->part == "traceback");
      together += crash->data.data;
    }
    CHECK(together == text);
  }
}
