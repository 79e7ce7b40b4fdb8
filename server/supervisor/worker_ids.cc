#include "server/supervisor/worker_ids.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace forkserver::server {
namespace {

// No vowels and nothing that looks alike: ids are read aloud and typed.
constexpr std::string_view kDigits = "0123456789bcdfghjkmnpqrstvwxyz";
constexpr std::size_t kLength = 8;  // 30^8 milliseconds: 20 years
constexpr std::int64_t kEpochMs = 1'735'689'600'000;  // 2025-01-01

std::int64_t Decode(std::string_view text) {
  if (text.size() != kLength) return 0;
  std::int64_t value = 0;
  for (const char letter : text) {
    const std::size_t digit = kDigits.find(letter);
    if (digit == std::string_view::npos) return 0;
    value = value * static_cast<std::int64_t>(kDigits.size()) +
            static_cast<std::int64_t>(digit);
  }
  return value;
}

struct Parts {
  std::string_view instance;
  ProcessKey number = 0;
};

std::optional<Parts> Split(std::string_view id) {
  const std::size_t dash = id.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  Parts parts;
  parts.instance = id.substr(0, dash);
  const std::string_view number = id.substr(dash + 1);
  const auto [end, error] = std::from_chars(
      number.data(), number.data() + number.size(), parts.number);
  if (error != std::errc() || end != number.data() + number.size() ||
      parts.number == 0) {
    return std::nullopt;
  }
  return parts;
}

}  // namespace

std::string WorkerIds::MakeInstance(std::int64_t unix_ms,
                                    std::string_view previous) {
  std::int64_t value = std::max(unix_ms - kEpochMs, Decode(previous) + 1);
  std::string text(kLength, kDigits[0]);
  for (std::size_t i = kLength; i-- > 0;) {
    const auto base = static_cast<std::int64_t>(kDigits.size());
    text[i] = kDigits[static_cast<std::size_t>(value % base)];
    value /= base;
  }
  return text;
}

std::optional<ProcessKey> WorkerIds::KeyOf(std::string_view id) const {
  const std::optional<Parts> parts = Split(id);
  if (!parts || parts->instance != instance_ || parts->number > last_) {
    return std::nullopt;
  }
  return parts->number;
}

bool WorkerIds::IsOfAnotherRun(std::string_view id) const {
  const std::optional<Parts> parts = Split(id);
  return parts && Decode(parts->instance) > 0 && parts->instance != instance_;
}

}  // namespace forkserver::server
