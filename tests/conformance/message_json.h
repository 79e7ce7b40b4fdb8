// Any message as JSON, the way vectors.json writes it, and as a name. Walks
// the messages by their Visit, independently of the codec.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "sdk/protocol/messages.h"
#include "tests/conformance/vectors.h"

namespace forkserver::conformance {

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

inline nlohmann::json JsonOfText(const std::string& text) {
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return text;
  } catch (const nlohmann::json::type_error&) {
    return {{"str_hex", ToHex(text)}};
  }
}

// A field, or a whole message without the keys that are left out.
template <typename T>
nlohmann::json JsonOf(const T& value);

struct JsonVisitor {
  nlohmann::json object = nlohmann::json::object();
  template <typename T>
  void Required(const char* key, const T& value) {
    object[key] = JsonOf(value);
  }
  template <typename T>
  void Optional(const char* key, const T& value) {
    Defaulted(key, value, T{});
  }
  template <typename T>
  void Defaulted(const char* key, const T& value, const T& fallback) {
    const nlohmann::json json = JsonOf(value);
    if (json != JsonOf(fallback)) object[key] = json;
  }
};

template <typename T>
nlohmann::json JsonOf(const T& value) {
  using nlohmann::json;
  if constexpr (std::is_same_v<T, std::string>) {
    return JsonOfText(value);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (std::is_enum_v<T>) {
    return std::string(NameOf(value));
  } else if constexpr (std::is_same_v<T, protocol::Bytes>) {
    return {{"bin_hex", ToHex(value.data)}};
  } else if constexpr (std::is_same_v<T, protocol::FdPlacement>) {
    return json::array({value.child_fd, value.index});
  } else if constexpr (std::is_same_v<T, ResourceLimits>) {
    json object = json::object();
    for (const auto& [name, limit] : value) {
      object[name] = json::array({limit.soft, limit.hard});
    }
    return object;
  } else if constexpr (IsOptional<T>::value) {
    return value ? JsonOf(*value) : json(nullptr);
  } else if constexpr (IsVector<T>::value) {
    json array = json::array();
    for (const auto& element : value) array.push_back(JsonOf(element));
    return array;
  } else {
    JsonVisitor visit;
    T::Visit(value, visit);
    return visit.object;
  }
}

// Calls `use` with a default body of the kind `message`, "zygote_start";
// false if there is none.
template <typename Use>
bool WithBodyNamed(std::string_view message, const Use& use) {
  using namespace protocol;
  const auto name_of = [](std::string_view type) {
    std::string name;
    for (const char letter : type) {
      const bool capital = letter >= 'A' && letter <= 'Z';
      if (capital && !name.empty()) name += '_';
      name += static_cast<char>(capital ? letter - 'A' + 'a' : letter);
    }
    return name == "wire_error" ? "error" : name;
  };
#define FORKSERVER_TRY_BODY(Body)  \
  if (name_of(#Body) == message) { \
    use(Body{});                   \
    return true;                   \
  }
  FORKSERVER_PROTOCOL_BODIES(FORKSERVER_TRY_BODY)
#undef FORKSERVER_TRY_BODY
  return false;
}

}  // namespace forkserver::conformance
