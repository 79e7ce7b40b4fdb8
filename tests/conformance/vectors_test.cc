// The codec against bytes that another encoder made.
#include "tests/conformance/vectors.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "tests/conformance/message_json.h"

namespace forkserver::conformance {
namespace {

using nlohmann::json;

const Vectors& AllVectors() {
  static const Vectors vectors = ReadVectors();
  return vectors;
}

// The payload of the one frame in `bytes`.
std::string PayloadOf(const std::string& bytes) {
  protocol::FrameReader reader(protocol::kMaxFrameBytes);
  reader.Append(bytes);
  auto payload = reader.Next();
  REQUIRE(payload);
  REQUIRE(payload->has_value());
  REQUIRE(reader.at_boundary());
  return std::string(**payload);
}

json EnvelopeJson(const protocol::Envelope& envelope) {
  return {{"type", envelope.type}, {"id", envelope.id}, {"fds", envelope.fds}};
}

// What `vector` says is what its bytes mean.
template <typename Body>
void CheckFrame(const Vector& vector, bool canonical) {
  const std::string payload = PayloadOf(vector.bytes);
  auto message = protocol::Message::Parse(payload);
  REQUIRE_MESSAGE(message, message.error().ToString());
  CHECK(EnvelopeJson(message->envelope()) == vector.fields.at("envelope"));
  auto body = message->template Decode<Body>();
  REQUIRE_MESSAGE(body, body.error().ToString());
  CHECK(JsonOf(*body) == vector.fields.at("body"));
  if (!canonical) return;
  CHECK(ToHex(protocol::EncodeFrame(message->envelope(), *body)) ==
        ToHex(vector.bytes));
}

template <typename Body>
void CheckBody(const Vector& vector) {
  auto body = protocol::DecodeBody<Body>(vector.bytes);
  REQUIRE_MESSAGE(body, body.error().ToString());
  CHECK(JsonOf(*body) == vector.fields.at("body"));
  CHECK(ToHex(protocol::EncodeBody(*body)) == ToHex(vector.bytes));
}

TEST_CASE(
    "every canonical vector decodes to its fields and encodes to its "
    "bytes") {
  REQUIRE(!AllVectors().canonical.empty());
  for (const Vector& vector : AllVectors().canonical) {
    CAPTURE(vector.name);
    const bool known = WithBodyNamed(vector.message, [&]<typename Body>(Body) {
      if (vector.fields.at("envelope").is_null()) {
        CheckBody<Body>(vector);
      } else {
        CheckFrame<Body>(vector, true);
      }
    });
    CHECK(known);
  }
}

TEST_CASE("what an encoder need not produce is read as well") {
  REQUIRE(!AllVectors().accepted.empty());
  for (const Vector& vector : AllVectors().accepted) {
    CAPTURE(vector.name);
    const bool known = WithBodyNamed(vector.message, [&]<typename Body>(Body) {
      CheckFrame<Body>(vector, false);
    });
    CHECK(known);
  }
}

TEST_CASE("what is wrong is refused with its code and named") {
  REQUIRE(!AllVectors().refused.empty());
  for (const Vector& vector : AllVectors().refused) {
    CAPTURE(vector.name);
    const auto check = [&](const Error& error) {
      CAPTURE(error.message);
      CHECK(error.code == vector.fields.at("code").get<std::string>());
      CHECK(error.message.find(vector.fields.at("says").get<std::string>()) !=
            std::string::npos);
    };
    const std::string payload = PayloadOf(vector.bytes);
    auto message = protocol::Message::Parse(payload);
    if (!message) {
      check(message.error());
      continue;
    }
    const bool known = WithBodyNamed(vector.message, [&]<typename Body>(Body) {
      auto body = message->template Decode<Body>();
      REQUIRE(!body);
      check(body.error());
    });
    CHECK(known);
  }
}

TEST_CASE(
    "every key of every message is present in one vector and, if it is "
    "optional, absent in another") {
  const json described = json::parse(protocol::DescribeMessages());
  for (const auto& each : described.items()) {
    const std::string& message = each.key();
    const json& keys = each.value();
    CAPTURE(message);
    std::set<std::string> present;
    std::set<std::string> absent;
    std::size_t count = 0;
    for (const Vector& vector : AllVectors().canonical) {
      if (vector.message != message) continue;
      ++count;
      for (const json& key : keys) {
        const auto name = key.get<std::string>();
        (vector.fields.at("body").contains(name) ? present : absent)
            .insert(name);
      }
    }
    CHECK(count > 0);
    // A key is optional if a message without it can be read.
    std::set<std::string> optional;
    REQUIRE(WithBodyNamed(message, [&]<typename Body>(const Body& body) {
      const json shortest = JsonOf(body);
      for (const json& key : keys) {
        const auto name = key.get<std::string>();
        if (!shortest.contains(name)) optional.insert(name);
      }
    }));
    for (const json& key : keys) {
      CAPTURE(key);
      const auto name = key.get<std::string>();
      CHECK(present.count(name) == 1);
      CHECK(absent.count(name) == optional.count(name));
    }
  }
}

}  // namespace
}  // namespace forkserver::conformance
