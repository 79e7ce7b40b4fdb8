#include "tools/harness/targets/zygote_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "sdk/base/text_file.h"

namespace forkserver::harness {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
// What nobody has used for so long is of a zygote that has ended.
constexpr std::chrono::hours kForgotten{7 * 24};

// Paths and values may be any bytes, JSON is not: those that are no UTF-8 are
// written as hex digits.
std::string Encoded(const std::string& text) {
  try {
    static_cast<void>(json(text).dump());
    return "=" + text;
  } catch (const json::exception&) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex = "x";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      hex += kDigits[byte >> 4];
      hex += kDigits[byte & 15];
    }
    return hex;
  }
}

std::string Decoded(const std::string& text) {
  if (text.substr(0, 1) != "x") return text.empty() ? text : text.substr(1);
  std::string bytes;
  for (std::size_t i = 1; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

json EncodedAll(const std::vector<std::string>& texts) {
  json array = json::array();
  for (const std::string& text : texts) array.push_back(Encoded(text));
  return array;
}

std::vector<std::string> DecodedAll(const json& array) {
  std::vector<std::string> texts;
  for (const json& each : array) {
    texts.push_back(Decoded(each.get<std::string>()));
  }
  return texts;
}

json JsonOf(const FileContent& content) {
  const FileIdentity& identity = content.identity;
  return {{"device", identity.device},
          {"inode", identity.inode},
          {"bytes", identity.bytes},
          {"modified_ns", identity.modified_ns},
          {"changed_ns", identity.changed_ns},
          {"mode", identity.mode},
          {"digest", content.digest}};
}

FileContent FileOf(const json& object) {
  FileContent content;
  object.at("device").get_to(content.identity.device);
  object.at("inode").get_to(content.identity.inode);
  object.at("bytes").get_to(content.identity.bytes);
  object.at("modified_ns").get_to(content.identity.modified_ns);
  object.at("changed_ns").get_to(content.identity.changed_ns);
  object.at("mode").get_to(content.identity.mode);
  object.at("digest").get_to(content.digest);
  return content;
}

// Each set of options has files of its own, and some differ in every run.
void RemoveForgotten(const std::string& directory) {
  const auto then = std::filesystem::file_time_type::clock::now() - kForgotten;
  std::error_code failed;
  std::filesystem::directory_iterator file(directory, failed);
  for (; !failed && file != std::filesystem::directory_iterator();
       file.increment(failed)) {
    const std::string name = file->path().filename().string();
    std::error_code ignored;
    const bool is_ours = name.rfind("zygote-", 0) == 0 ||
                         name.rfind("last-", 0) == 0 ||
                         name.rfind("lock-", 0) == 0;
    if (is_ours && file->last_write_time(ignored) < then && !ignored) {
      std::filesystem::remove(file->path(), ignored);
    }
  }
}

}  // namespace

std::optional<ZygoteRecord> ReadZygoteRecord(const std::string& path) {
  const auto text = ReadTextFile(path);
  if (!text || text->empty()) return std::nullopt;
  try {
    const json object = json::parse(*text);
    if (object.at("version") != kVersion) return std::nullopt;
    ZygoteRecord record;
    object.at("zygote").get_to(record.zygote);
    Fingerprint& fingerprint = record.fingerprint;
    fingerprint.program = Decoded(object.at("program").get<std::string>());
    fingerprint.cwd = Decoded(object.at("cwd").get<std::string>());
    fingerprint.arguments = DecodedAll(object.at("arguments"));
    fingerprint.preload = DecodedAll(object.at("preload"));
    for (const auto& [file, content] : object.at("files").items()) {
      fingerprint.files.emplace(Decoded(file), FileOf(content));
    }
    for (const auto& [name, value] : object.at("environment").items()) {
      fingerprint.environment.emplace(Decoded(name),
                                      Decoded(value.get<std::string>()));
    }
    return record;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

Result<void> WriteZygoteRecord(const std::string& path,
                               const ZygoteRecord& record) {
  const Fingerprint& fingerprint = record.fingerprint;
  json object = {{"version", kVersion},
                 {"zygote", record.zygote},
                 {"program", Encoded(fingerprint.program)},
                 {"cwd", Encoded(fingerprint.cwd)},
                 {"arguments", EncodedAll(fingerprint.arguments)},
                 {"preload", EncodedAll(fingerprint.preload)},
                 {"files", json::object()},
                 {"environment", json::object()}};
  for (const auto& [file, content] : fingerprint.files) {
    object["files"][Encoded(file)] = JsonOf(content);
  }
  for (const auto& [name, value] : fingerprint.environment) {
    object["environment"][Encoded(name)] = Encoded(value);
  }
  return ReplaceFile(path, object.dump(1) + "\n");
}

UniqueFd LockZygote(const std::string& directory, const std::string& digest) {
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  const std::string path = directory + "/lock-" + digest;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  while (fd && ::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) fd.Reset();
  }
  if (fd) ::futimens(fd.get(), nullptr);  // it is used
  RemoveForgotten(directory);
  return fd;
}

}  // namespace forkserver::harness
