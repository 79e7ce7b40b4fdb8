// The golden vectors, damaged in 20,000 ways, always the same.
#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "tests/conformance/message_json.h"
#include "tests/conformance/vectors.h"

namespace forkserver::protocol {
namespace {

using conformance::Vector;

class Mutator {
 public:
  explicit Mutator(const std::vector<Vector>& vectors) : vectors_(vectors) {}

  std::size_t Below(std::size_t limit) {
    return static_cast<std::size_t>(random_() % limit);
  }

  // Changes `bytes` in one to four places.
  void Damage(std::string& bytes) {
    for (std::size_t times = 1 + Below(4); times > 0; --times) {
      if (bytes.empty()) return;
      const std::size_t at = Below(bytes.size());
      switch (Below(6)) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
          break;
        case 1:
          bytes[at] = static_cast<char>(Below(256));
          break;
        case 2:
          bytes.erase(at, 1 + Below(8));
          break;
        case 3:
          bytes.insert(at, 1, static_cast<char>(Below(256)));
          break;
        case 4:
          // One of msgpack's own bytes, where types and sizes are.
          bytes[at] = static_cast<char>(0xc0 + Below(32));
          break;
        default: {
          const std::string& other = vectors_[Below(vectors_.size())].bytes;
          const std::size_t from = Below(other.size());
          bytes.insert(at, other, from, 1 + Below(40));
          break;
        }
      }
    }
  }

 private:
  const std::vector<Vector>& vectors_;
  std::mt19937_64 random_{20261121};
};

// Whatever can be read can be written, and reads as the same again.
template <typename Body>
void CheckStable(const Body& body) {
  const std::string bytes = EncodeBody(body);
  const auto again = DecodeBody<Body>(bytes);
  REQUIRE(again);
  CHECK((EncodeBody(*again) == bytes));
}

TEST_CASE("20,000 damaged messages are refused or read, and nothing else") {
  const std::vector<Vector> vectors = conformance::ReadVectors().canonical;
  Mutator mutator(vectors);
  int read = 0;
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    CAPTURE(i);
    const Vector& vector = vectors[mutator.Below(vectors.size())];
    const bool is_frame = !vector.fields.at("envelope").is_null();
    std::string bytes = vector.bytes.substr(is_frame ? kFrameHeaderBytes : 0);
    mutator.Damage(bytes);
    const auto message = Message::Parse(bytes);
    const bool known = conformance::WithBodyNamed(
        vector.message, [&]<typename Body>(const Body&) {
          auto body = is_frame ? message ? message->template Decode<Body>()
                                         : Result<Body>(message.error())
                               : DecodeBody<Body>(bytes);
          if (body) {
            ++read;
            CheckStable(*body);
          } else {
            ++refused;
            CHECK_FALSE(body.error().message.empty());
            const std::string& code = body.error().code;
            const bool right_code = code == error_code::kMalformed ||
                                    code == error_code::kMissingKey ||
                                    code == error_code::kBadRequest;
            CHECK(right_code);
          }
        });
    REQUIRE(known);
  }
  // The damage is neither too gentle nor too brutal to find anything.
  CHECK(read > 500);
  CHECK(refused > 5'000);
}

TEST_CASE("20,000 damaged streams are cut into frames or refused") {
  const std::vector<Vector> vectors = conformance::ReadVectors().canonical;
  Mutator mutator(vectors);
  std::size_t frames = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string stream;
    for (int n = 0; n < 3; ++n) {
      stream += vectors[mutator.Below(vectors.size())].bytes;
    }
    mutator.Damage(stream);
    FrameReader reader(4096);
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t size = 1 + mutator.Below(stream.size() - at);
      reader.Append(std::string_view(stream).substr(at, size));
      at += size;
      auto payload = reader.Next();
      for (; payload && payload->has_value(); payload = reader.Next()) {
        ++frames;
        REQUIRE((*payload)->size() <= 4096);
        static_cast<void>(Message::Parse(**payload));
      }
      if (!payload) {
        CHECK(payload.error().code == error_code::kFrameTooLarge);
        break;
      }
    }
  }
  CHECK(frames > 10'000);
}

}  // namespace
}  // namespace forkserver::protocol
