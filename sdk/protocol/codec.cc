#include "sdk/protocol/codec.h"

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <msgpack.hpp>
#include <type_traits>
#include <utility>

#include "sdk/protocol/framing.h"
#include "sdk/protocol/log_messages.h"
#include "sdk/protocol/state_messages.h"
#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::protocol {
namespace {

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

// --- encoding ---------------------------------------------------------------

// Appends to a std::string; msgpack's packer asks for nothing else.
class Sink {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  void write(const char* data, std::size_t size) { out_.append(data, size); }

 private:
  std::string& out_;
};
using Packer = msgpack::packer<Sink>;

bool IsDefault(bool value) { return !value; }
bool IsDefault(std::int64_t value) { return value == 0; }
bool IsDefault(const std::string& value) { return value.empty(); }
bool IsDefault(const Bytes& value) { return value.data.empty(); }
bool IsDefault(GroupKind value) { return value == GroupKind::kProcessGroup; }
bool IsDefault(AuditPolicy value) { return value == AuditPolicy::kRefuse; }
bool IsDefault(const ResourceLimits& value) { return value.empty(); }
template <typename T>
bool IsDefault(const std::vector<T>& value) {
  return value.empty();
}
template <typename T>
bool IsDefault(const std::optional<T>& value) {
  return !value.has_value();
}

// msgpack wants the number of keys before the first.
struct KeyCounter {
  std::uint32_t count = 0;
  template <typename T>
  void Required(const char*, const T&) {
    ++count;
  }
  template <typename T>
  void Optional(const char*, const T& value) {
    if (!IsDefault(value)) ++count;
  }
  template <typename T>
  void Defaulted(const char*, const T& value, const T& fallback) {
    if (value != fallback) ++count;
  }
};

void PackText(Packer& packer, std::string_view text) {
  packer.pack_str(static_cast<std::uint32_t>(text.size()));
  packer.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

template <typename T>
void Pack(Packer& packer, const T& value);

class Encoder {
 public:
  explicit Encoder(Packer& packer) : packer_(packer) {}
  template <typename T>
  void Required(const char* key, const T& value) {
    PackText(packer_, key);
    Pack(packer_, value);
  }
  template <typename T>
  void Optional(const char* key, const T& value) {
    if (!IsDefault(value)) Required(key, value);
  }
  template <typename T>
  void Defaulted(const char* key, const T& value, const T& fallback) {
    if (value != fallback) Required(key, value);
  }

 private:
  Packer& packer_;
};

template <typename T>
void Pack(Packer& packer, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    value ? packer.pack_true() : packer.pack_false();
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    packer.pack_int64(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    PackText(packer, value);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    packer.pack_bin(static_cast<std::uint32_t>(value.data.size()));
    packer.pack_bin_body(value.data.data(),
                         static_cast<std::uint32_t>(value.data.size()));
  } else if constexpr (std::is_enum_v<T>) {
    PackText(packer, NameOf(value));
  } else if constexpr (IsOptional<T>::value) {
    if (value) {
      Pack(packer, *value);
    } else {
      packer.pack_nil();
    }
  } else if constexpr (IsVector<T>::value) {
    packer.pack_array(static_cast<std::uint32_t>(value.size()));
    for (const auto& element : value) Pack(packer, element);
  } else if constexpr (std::is_same_v<T, FdPlacement>) {
    packer.pack_array(2);
    packer.pack_int64(value.child_fd);
    packer.pack_int64(value.index);
  } else if constexpr (std::is_same_v<T, ResourceLimits>) {
    packer.pack_map(static_cast<std::uint32_t>(value.size()));
    for (const auto& [name, limit] : value) {
      PackText(packer, name);
      packer.pack_array(2);
      packer.pack_int64(limit.soft);
      packer.pack_int64(limit.hard);
    }
  } else {
    KeyCounter counter;
    T::Visit(value, counter);
    packer.pack_map(counter.count);
    Encoder encoder(packer);
    T::Visit(value, encoder);
  }
}

// --- decoding ---------------------------------------------------------------

// So small that malloc(3) keeps it at hand and gives the same memory again:
// after a fork each page that is written to is a page fault, in a zygote and
// in its worker.
constexpr std::size_t kZoneChunkBytes = 1000;

// The place of a value in a message: a text only where an error names it.
class Where {
 public:
  explicit Where(std::string_view key, const Where* above = nullptr)
      : key_(key), above_(above) {}
  std::string Text() const {
    const std::string key(key_);
    return above_ == nullptr ? key : above_->Text() + "." + key;
  }

 private:
  std::string_view key_;
  const Where* above_;
};

// Leaves a decode; caught before it leaves this file.
struct DecodeFailure {
  Error error;
};

[[noreturn]] void FailType(const Where& where, const char* expected,
                           const msgpack::object& object) {
  static constexpr const char* kNames[] = {
      "nil",     "a boolean",   "an integer", "a negative integer",
      "a float", "a string",    "an array",   "a map",
      "bytes",   "an extension"};
  const char* got = "something else";
  switch (object.type) {
    case msgpack::type::NIL:
      got = kNames[0];
      break;
    case msgpack::type::BOOLEAN:
      got = kNames[1];
      break;
    case msgpack::type::POSITIVE_INTEGER:
      got = kNames[2];
      break;
    case msgpack::type::NEGATIVE_INTEGER:
      got = kNames[3];
      break;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      got = kNames[4];
      break;
    case msgpack::type::STR:
      got = kNames[5];
      break;
    case msgpack::type::ARRAY:
      got = kNames[6];
      break;
    case msgpack::type::MAP:
      got = kNames[7];
      break;
    case msgpack::type::BIN:
      got = kNames[8];
      break;
    case msgpack::type::EXT:
      got = kNames[9];
      break;
  }
  throw DecodeFailure{
      MakeError(error_code::kBadRequest,
                "'" + where.Text() + "' must be " + expected + ", not " + got)};
}

bool KeyIs(const msgpack::object& key, std::string_view name) {
  return key.type == msgpack::type::STR &&
         std::string_view(key.via.str.ptr, key.via.str.size) == name;
}

const msgpack::object* Find(const msgpack::object& map, std::string_view name) {
  for (std::uint32_t i = 0; i < map.via.map.size; ++i) {
    if (KeyIs(map.via.map.ptr[i].key, name)) return &map.via.map.ptr[i].val;
  }
  return nullptr;
}

// Strings are bytes: both str and bin are taken, UTF-8 is not checked.
std::string_view TextOf(const Where& where, const msgpack::object& object) {
  if (object.type == msgpack::type::STR) {
    return {object.via.str.ptr, object.via.str.size};
  }
  if (object.type == msgpack::type::BIN) {
    return {object.via.bin.ptr, object.via.bin.size};
  }
  FailType(where, "a string", object);
}

std::int64_t IntegerOf(const Where& where, const msgpack::object& object) {
  if (object.type == msgpack::type::POSITIVE_INTEGER &&
      object.via.u64 <= static_cast<std::uint64_t>(INT64_MAX)) {
    return static_cast<std::int64_t>(object.via.u64);
  }
  if (object.type == msgpack::type::NEGATIVE_INTEGER) return object.via.i64;
  FailType(where, "an integer below 2^63", object);
}

template <typename Enum>
Enum EnumOf(const Where& where, std::string_view text,
            std::initializer_list<Enum> values) {
  for (const Enum value : values) {
    if (NameOf(value) == text) return value;
  }
  std::string known;
  for (const Enum value : values) {
    known += known.empty() ? "" : ", ";
    known += NameOf(value);
  }
  throw DecodeFailure{
      MakeError(error_code::kBadRequest, "'" + where.Text() + "' is '" +
                                             std::string(text) +
                                             "', known are: " + known)};
}

void FromText(const Where& where, std::string_view text, WorkerKind& value) {
  using enum WorkerKind;
  value = EnumOf<WorkerKind>(where, text, {kExec, kForked, kSpare});
}
void FromText(const Where& where, std::string_view text, WorkerState& value) {
  using enum WorkerState;
  value = EnumOf<WorkerState>(where, text,
                              {kLaunching, kRunning, kStopping, kEnded});
}
void FromText(const Where& where, std::string_view text, EndReason& value) {
  using enum EndReason;
  value =
      EnumOf<EndReason>(where, text,
                        {kExited, kSignaled, kTimeout, kStopped, kClientGone,
                         kZygoteDied, kForkDeadlock, kDaemonStopping, kLost});
}
void FromText(const Where& where, std::string_view text, ZygoteState& value) {
  using enum ZygoteState;
  value = EnumOf<ZygoteState>(where, text,
                              {kStarting, kReady, kRetiring, kQuarantined});
}
void FromText(const Where& where, std::string_view text, GroupKind& value) {
  using enum GroupKind;
  value = EnumOf<GroupKind>(where, text, {kProcessGroup, kSession, kTerminal});
}
void FromText(const Where& where, std::string_view text, IoClass& value) {
  using enum IoClass;
  value = EnumOf<IoClass>(where, text, {kRealtime, kBestEffort, kIdle});
}
void FromText(const Where& where, std::string_view text, AuditVerdict& value) {
  using enum AuditVerdict;
  value = EnumOf<AuditVerdict>(where, text, {kSafe, kUnsafe, kUnknown});
}
void FromText(const Where& where, std::string_view text, AuditPolicy& value) {
  using enum AuditPolicy;
  value = EnumOf<AuditPolicy>(where, text, {kRefuse, kWarn, kAllow});
}
void FromText(const Where& where, std::string_view text, RestartPolicy& value) {
  using enum RestartPolicy;
  value = EnumOf<RestartPolicy>(where, text, {kNo, kOnFailure, kAlways});
}
void FromText(const Where& where, std::string_view text, ReadyKind& value) {
  using enum ReadyKind;
  value = EnumOf<ReadyKind>(where, text, {kNone, kFd, kLine, kExec, kNotify});
}
void FromText(const Where& where, std::string_view text, ServiceState& value) {
  using enum ServiceState;
  value = EnumOf<ServiceState>(
      where, text,
      {kStopped, kWaiting, kStarting, kRunning, kStopping, kRestarting,
       kFailing, kBackoff, kFinished, kFailed});
}

template <typename T>
void Unpack(const Where& where, const msgpack::object& object, T& value);

class Decoder {
 public:
  Decoder(const Where& where, const msgpack::object& map)
      : where_(where), map_(map) {}

  template <typename T>
  void Required(const char* key, T& value) {
    const msgpack::object* object = Find(map_, key);
    if (object == nullptr) {
      throw DecodeFailure{
          MakeError(error_code::kMissingKey, std::string("the key '") + key +
                                                 "' is missing in '" +
                                                 where_.Text() + "'")};
    }
    Unpack(Where(key, &where_), *object, value);
  }
  template <typename T>
  void Optional(const char* key, T& value) {
    const msgpack::object* object = Find(map_, key);
    if (object == nullptr || object->type == msgpack::type::NIL) return;
    Unpack(Where(key, &where_), *object, value);
  }
  template <typename T>
  void Defaulted(const char* key, T& value, const T& fallback) {
    value = fallback;
    Optional(key, value);
  }

 private:
  const Where& where_;
  const msgpack::object& map_;
};

const msgpack::object& ArrayOfTwo(const Where& where, const char* what,
                                  const msgpack::object& object) {
  if (object.type != msgpack::type::ARRAY || object.via.array.size != 2) {
    FailType(where, what, object);
  }
  return object;
}

template <typename T>
void Unpack(const Where& where, const msgpack::object& object, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (object.type != msgpack::type::BOOLEAN) {
      FailType(where, "a boolean", object);
    }
    value = object.via.boolean;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    value = IntegerOf(where, object);
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = TextOf(where, object);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    value.data = TextOf(where, object);
  } else if constexpr (std::is_enum_v<T>) {
    FromText(where, TextOf(where, object), value);
  } else if constexpr (IsOptional<T>::value) {
    if (object.type == msgpack::type::NIL) {
      value.reset();
    } else {
      Unpack(where, object, value.emplace());
    }
  } else if constexpr (IsVector<T>::value) {
    if (object.type != msgpack::type::ARRAY) {
      FailType(where, "an array", object);
    }
    value.clear();
    value.resize(object.via.array.size);
    for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
      Unpack(where, object.via.array.ptr[i], value[i]);
    }
  } else if constexpr (std::is_same_v<T, FdPlacement>) {
    ArrayOfTwo(where, "pairs [child_fd, index]", object);
    value.child_fd = IntegerOf(where, object.via.array.ptr[0]);
    value.index = IntegerOf(where, object.via.array.ptr[1]);
  } else if constexpr (std::is_same_v<T, ResourceLimits>) {
    if (object.type != msgpack::type::MAP) FailType(where, "a map", object);
    for (std::uint32_t i = 0; i < object.via.map.size; ++i) {
      const msgpack::object_kv& entry = object.via.map.ptr[i];
      const std::string name(TextOf(where, entry.key));
      ArrayOfTwo(where, "a map of pairs [soft, hard]", entry.val);
      value[name] = {IntegerOf(where, entry.val.via.array.ptr[0]),
                     IntegerOf(where, entry.val.via.array.ptr[1])};
    }
  } else {
    if (object.type != msgpack::type::MAP) FailType(where, "a map", object);
    Decoder decoder(where, object);
    T::Visit(value, decoder);
  }
}

// Bytes in, objects out; the objects refer to the bytes. msgpack allocates
// arrays and maps from their declared length, so the limits bound that.
Result<msgpack::object> Parse(std::string_view bytes, msgpack::zone& zone,
                              std::size_t max_array = kMaxArray) {
  const std::size_t size = bytes.size();
  const msgpack::unpack_limit limit(max_array, kMaxMap, size, size, /*ext=*/0,
                                    kMaxNesting);
  try {
    std::size_t offset = 0;
    bool referenced = false;
    msgpack::object object = msgpack::unpack(
        zone, bytes.data(), size, offset, referenced,
        [](msgpack::type::object_type, std::size_t, void*) { return true; },
        nullptr, limit);
    if (offset != size) {
      return MakeError(error_code::kMalformed,
                       "the payload has " + std::to_string(size - offset) +
                           " bytes after its msgpack object");
    }
    return object;
  } catch (const msgpack::insufficient_bytes&) {
    return MakeError(error_code::kMalformed,
                     "the payload ends in the middle of a msgpack object");
  } catch (const msgpack::depth_size_overflow&) {
    return MakeError(error_code::kMalformed,
                     "the payload is nested deeper than " +
                         std::to_string(kMaxNesting) + " levels");
  } catch (const msgpack::size_overflow&) {
    return MakeError(error_code::kMalformed,
                     "the payload holds something larger than the limits "
                     "(arrays " +
                         std::to_string(max_array) + ", maps " +
                         std::to_string(kMaxMap) +
                         " elements, strings no longer than the frame, no "
                         "extensions)");
  } catch (const std::exception& failure) {
    return MakeError(
        error_code::kMalformed,
        std::string("the payload is not msgpack: ") + failure.what());
  }
}

template <typename Body>
Result<Body> DecodeObject(const msgpack::object& object) {
  Body body;
  try {
    if constexpr (requires { Body::kType; }) {
      Unpack(Where(Body::kType), object, body);
    } else {
      Unpack(Where("body"), object, body);
    }
    return body;
  } catch (DecodeFailure& failure) {
    return std::move(failure.error);
  } catch (const std::exception& failure) {
    return MakeError(error_code::kMalformed, failure.what());
  }
}

// What frames without a body decode from.
const msgpack::object& EmptyMap() {
  static const msgpack::object empty = [] {
    msgpack::object map;
    map.type = msgpack::type::MAP;
    map.via.map.size = 0;
    map.via.map.ptr = nullptr;
    return map;
  }();
  return empty;
}

// "zygote_start" for the type ZygoteStart; kType where there is one.
template <typename Body>
std::string MessageName(std::string_view type_name) {
  if constexpr (requires { Body::kType; }) {
    return Body::kType;
  } else {
    std::string name;
    for (const char letter : type_name) {
      const bool capital = letter >= 'A' && letter <= 'Z';
      if (capital && !name.empty()) name += '_';
      name += static_cast<char>(capital ? letter - 'A' + 'a' : letter);
    }
    return name;
  }
}

// Collects the names of the keys of a message, as JSON.
struct KeyLister {
  std::string json;
  template <typename T>
  void Required(const char* key, T&) {
    json += json.empty() ? "\"" : ", \"";
    json += key;
    json += "\"";
  }
  template <typename T>
  void Optional(const char* key, T& value) {
    Required(key, value);
  }
  template <typename T>
  void Defaulted(const char* key, T& value, const T&) {
    Required(key, value);
  }
};

}  // namespace

template <typename Body>
std::string EncodeFrame(const Envelope& envelope, const Body& body) {
  std::string frame(kFrameHeaderBytes, '\0');
  frame.reserve(512);
  Sink sink(frame);
  Packer packer(sink);
  packer.pack_map(2u + (envelope.id != 0 ? 1 : 0) +
                  (envelope.fds != 0 ? 1 : 0));
  PackText(packer, "type");
  PackText(packer, envelope.type);
  if (envelope.id != 0) {
    PackText(packer, "id");
    packer.pack_uint64(envelope.id);
  }
  if (envelope.fds != 0) {
    PackText(packer, "fds");
    packer.pack_uint64(envelope.fds);
  }
  PackText(packer, "body");
  Pack(packer, body);
  SealFrame(frame);
  return frame;
}

std::string EncodeError(std::uint64_t id, const Error& error) {
  return EncodeFrame({frame_type::kError, id, 0}, ToWire(error));
}

template <typename Body>
std::string EncodeBody(const Body& body) {
  std::string bytes;
  bytes.reserve(512);
  Sink sink(bytes);
  Packer packer(sink);
  Pack(packer, body);
  return bytes;
}

template <typename Body>
Result<Body> DecodeBody(std::string_view bytes) {
  msgpack::zone zone{kZoneChunkBytes};
  std::size_t max_array = kMaxArray;
  if constexpr (requires { Body::kMaxElements; }) {
    // An element has one byte at least.
    max_array = std::min(Body::kMaxElements, bytes.size());
  }
  Result<msgpack::object> object = Parse(bytes, zone, max_array);
  if (!object) return object.error();
  return DecodeObject<Body>(*object);
}

struct Message::Parsed {
  msgpack::zone zone{kZoneChunkBytes};
  msgpack::object body;
};

Message::Message(Envelope envelope, std::unique_ptr<Parsed> parsed)
    : envelope_(std::move(envelope)), parsed_(std::move(parsed)) {}
Message::Message(Message&&) noexcept = default;
Message& Message::operator=(Message&&) noexcept = default;
Message::~Message() = default;

Result<Message> Message::Parse(std::string_view payload) {
  auto parsed = std::make_unique<Parsed>();
  Result<msgpack::object> object = protocol::Parse(payload, parsed->zone);
  if (!object) return object.error();
  if (object->type != msgpack::type::MAP) {
    return MakeError(error_code::kBadRequest, "the payload must be a map");
  }
  Envelope envelope;
  try {
    const msgpack::object* type = Find(*object, "type");
    if (type == nullptr) {
      return MakeError(error_code::kMissingKey,
                       "the key 'type' is missing in the frame");
    }
    envelope.type = TextOf(Where("type"), *type);
    for (const auto& [key, value] :
         {std::pair{"id", &envelope.id}, std::pair{"fds", &envelope.fds}}) {
      const msgpack::object* number = Find(*object, key);
      if (number == nullptr) continue;
      const std::int64_t integer = IntegerOf(Where(key), *number);
      if (integer < 0) FailType(Where(key), "a non-negative integer", *number);
      *value = static_cast<std::uint64_t>(integer);
    }
  } catch (DecodeFailure& failure) {
    return std::move(failure.error);
  }
  const msgpack::object* body = Find(*object, "body");
  parsed->body = body != nullptr ? *body : EmptyMap();
  return Message(std::move(envelope), std::move(parsed));
}

template <typename Body>
Result<Body> Message::Decode() const {
  return DecodeObject<Body>(parsed_->body);
}

std::string DescribeMessages() {
  std::string json;
  const auto add = [&json](const char* type_name, auto body) {
    KeyLister lister;
    decltype(body)::Visit(body, lister);
    json += json.empty() ? "{\n" : ",\n";
    json += "  \"" + MessageName<decltype(body)>(type_name) + "\": [" +
            lister.json + "]";
  };
#define FORKSERVER_DESCRIBE(Body) add(#Body, Body{});
  FORKSERVER_PROTOCOL_BODIES(FORKSERVER_DESCRIBE)
#undef FORKSERVER_DESCRIBE
  return json + "\n}\n";
}

#define FORKSERVER_INSTANTIATE_ALONE(Body)            \
  template std::string EncodeBody<Body>(const Body&); \
  template Result<Body> DecodeBody<Body>(std::string_view);
#define FORKSERVER_INSTANTIATE(Body)                                    \
  FORKSERVER_INSTANTIATE_ALONE(Body)                                    \
  template std::string EncodeFrame<Body>(const Envelope&, const Body&); \
  template Result<Body> Message::Decode<Body>() const;
FORKSERVER_PROTOCOL_BODIES(FORKSERVER_INSTANTIATE)
FORKSERVER_LOG_BODIES(FORKSERVER_INSTANTIATE)
FORKSERVER_UPGRADE_BODIES(FORKSERVER_INSTANTIATE_ALONE)
FORKSERVER_INSTANTIATE_ALONE(SavedService)
#undef FORKSERVER_INSTANTIATE
#undef FORKSERVER_INSTANTIATE_ALONE

}  // namespace forkserver::protocol
