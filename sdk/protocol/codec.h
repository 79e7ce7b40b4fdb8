// Messages to msgpack and back. The only includer of <msgpack.hpp>, whose
// exceptions stop here. Passive, no I/O; nothing is allocated from a length
// that a peer merely declared.
//
// A frame's payload is one map:
//   {"type": str, "id": uint, "fds": uint, "body": map}
// "id" and "fds" are left out when they are 0. An answer has the id of its
// request and the type "reply", "error", "exit" or "event".
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sdk/protocol/messages.h"

namespace forkserver::protocol {

namespace frame_type {
inline constexpr char kReply[] = "reply";
inline constexpr char kError[] = "error";
inline constexpr char kExit[] = "exit";
inline constexpr char kEvent[] = "event";
}  // namespace frame_type

struct Envelope {
  std::string type;
  std::uint64_t id = 0;
  std::uint64_t fds = 0;  // descriptors that ride with the frame
};

// A whole frame, length included, ready to be sent.
template <typename Body>
std::string EncodeFrame(const Envelope& envelope, const Body& body);

// A request or a notice: the type is Body::kType.
template <typename Body>
std::string EncodeRequest(std::uint64_t id, std::uint64_t fds,
                          const Body& body) {
  return EncodeFrame({Body::kType, id, fds}, body);
}
template <typename Body>
std::string EncodeReply(std::uint64_t id, const Body& body) {
  return EncodeFrame({frame_type::kReply, id, 0}, body);
}
std::string EncodeError(std::uint64_t id, const Error& error);

// A body alone, without envelope and length: for Setup inside a bin.
template <typename Body>
std::string EncodeBody(const Body& body);
template <typename Body>
Result<Body> DecodeBody(std::string_view bytes);

// One received payload. Refers to the bytes it was parsed from: use it before
// they go away.
class Message {
 public:
  // Errors "malformed" (not msgpack, trailing bytes, nested too deep, a size
  // beyond its limit), "missing_key", "bad_request" (not a map, wrong types).
  static Result<Message> Parse(std::string_view payload);
  Message(Message&&) noexcept;
  Message& operator=(Message&&) noexcept;
  ~Message();

  const Envelope& envelope() const { return envelope_; }

  // Errors "missing_key" and "bad_request", naming the key.
  template <typename Body>
  Result<Body> Decode() const;

 private:
  struct Parsed;
  Message(Envelope envelope, std::unique_ptr<Parsed> parsed);
  Envelope envelope_;
  std::unique_ptr<Parsed> parsed_;
};

// {"hello": ["min_protocol", ...], ...} for a test that holds another
// implementation against this one: name of the message, names of its keys.
std::string DescribeMessages();

}  // namespace forkserver::protocol
