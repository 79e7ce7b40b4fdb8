// What both sides of the log writer's channel know.
#pragma once

#include <cstddef>

namespace forkserver::server {

inline constexpr std::size_t kMaxLogFrameBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxNoteBytes = std::size_t{4} << 10;

// LogEvent::kind
namespace log_event {
inline constexpr char kOpened[] = "opened";
inline constexpr char kFailed[] = "failed";
inline constexpr char kMatched[] = "matched";
inline constexpr char kClosed[] = "closed";
}  // namespace log_event

}  // namespace forkserver::server
