#include "tools/toml/toml_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace forkserver {
namespace {
struct BrokenAssumption {};
[[noreturn]] void ThrowBrokenAssumption() { throw BrokenAssumption(); }
}  // namespace
}  // namespace forkserver

// toml++ 3.3 takes for granted what a file that is damaged need not be (that a
// key begins where one is expected): that must not end us.
#define TOML_ASSERT(expr) \
  ((expr) ? static_cast<void>(0) : ::forkserver::ThrowBrokenAssumption())
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#if __has_include(<toml++/impl/unicode.h>)
// toml++ 3.3 says that letters such as an umlaut, outside of quotes, cannot
// be; to come there is undefined.
#include <toml++/impl/forward_declarations.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE __builtin_unreachable()
#endif
#include <toml++/toml.h>

namespace forkserver {
namespace {

constexpr char kFileName[] = "/forkserver.toml";
constexpr std::size_t kMostBytes = 4 << 20;

int LineOf(const toml::source_region& where) {
  return static_cast<int>(where.begin.line);
}

// Not deeper than toml++ reads, which has a limit.
TomlValue Convert(const toml::node& node) {
  TomlValue value;
  value.line = LineOf(node.source());
  if (const auto text = node.value_exact<std::string>()) {
    value.kind = TomlValue::Kind::kText;
    value.text = *text;
  } else if (const auto number = node.value_exact<std::int64_t>()) {
    value.kind = TomlValue::Kind::kNumber;
    value.number = *number;
  } else if (const auto flag = node.value_exact<bool>()) {
    value.kind = TomlValue::Kind::kFlag;
    value.flag = *flag;
  } else if (const toml::array* const array = node.as_array()) {
    value.kind = TomlValue::Kind::kList;
    for (const toml::node& each : *array) value.list.push_back(Convert(each));
  } else if (const toml::table* const table = node.as_table()) {
    value.kind = TomlValue::Kind::kTable;
    std::vector<std::pair<toml::source_position, TomlEntry>> entries;
    for (const auto& [key, each] : *table) {
      entries.emplace_back(key.source().begin,
                           TomlEntry{std::string(key.str()),
                                     LineOf(key.source()), Convert(each)});
    }
    // toml++ sorts them by name.
    std::stable_sort(
        entries.begin(), entries.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [where, entry] : entries)
      value.table.push_back(std::move(entry));
  }
  return value;
}

// What went wrong, or empty.
std::string ReadWhole(const std::string& path, std::string& text) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return "it cannot be read: " + std::string(std::strerror(error));
  }
  std::string wrong;
  if (!S_ISREG(info.st_mode)) wrong = "it is no regular file";
  char buffer[16 * 1024];
  while (wrong.empty()) {
    const ssize_t size = ::read(fd, buffer, sizeof(buffer));
    if (size == 0) break;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      wrong = "it cannot be read: " + std::string(std::strerror(errno));
      break;
    }
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > kMostBytes) wrong = "it is larger than 4 MiB";
  }
  ::close(fd);
  return wrong;
}

// Nothing: toml++ cannot say what is wrong.
std::optional<TomlFile> TryToParse(std::string_view text) {
  TomlFile file;
  try {
    const toml::parse_result parsed = toml::parse(text);
    if (parsed) {
      file.root = Convert(parsed.table());
    } else {
      file.error = std::string(parsed.error().description());
      file.error_line = LineOf(parsed.error().source());
    }
  } catch (const BrokenAssumption&) {
    return std::nullopt;
  }
  return file;
}

}  // namespace

const TomlValue* TomlValue::Find(const std::string& key) const {
  for (const TomlEntry& entry : table) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

TomlFile ParseToml(const std::string& text) {
  if (std::optional<TomlFile> file = TryToParse(text)) return *std::move(file);
  TomlFile file;
  file.error = "this is no TOML";
  // It reads from left to right, and fails from some line on.
  std::vector<std::size_t> ends;
  for (std::size_t at = text.find('\n'); at != std::string::npos;
       at = text.find('\n', at + 1)) {
    ends.push_back(at + 1);
  }
  const auto first =
      std::partition_point(ends.begin(), ends.end(), [&](std::size_t end) {
        return TryToParse(std::string_view(text).substr(0, end)).has_value();
      });
  file.error_line = static_cast<int>(first - ends.begin()) + 1;
  return file;
}

TomlFile ReadTomlFile(const std::string& path) {
  std::string text;
  TomlFile file;
  file.error = ReadWhole(path, text);
  if (!file.error.empty()) return file;
  return ParseToml(text);
}

std::string FindForkserverToml(const std::string& folder) {
  std::string at = folder;
  for (;;) {
    struct stat info = {};
    std::string path = at + kFileName;
    if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return path;
    const std::size_t slash = at.rfind('/');
    if (slash == std::string::npos || at.empty()) return {};
    at.resize(slash);
  }
}

}  // namespace forkserver
