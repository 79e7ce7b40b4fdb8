#include "tools/harness/targets/loaded_files.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

namespace forkserver::harness {
namespace {

namespace fs = std::filesystem;

bool IsAsLoaded(const FileIdentity& now, const protocol::LoadedFile& loaded) {
  return loaded.size >= 0 && now.bytes == loaded.size &&
         now.modified_ns == loaded.modified_ns &&
         now.changed_ns == loaded.changed_ns &&
         static_cast<std::int64_t>(now.inode) == loaded.inode;
}

std::string Shown(const std::string& path, const std::string& cwd) {
  const std::string below = cwd + "/";
  return path.compare(0, below.size(), below) == 0 ? path.substr(below.size())
                                                   : path;
}

// As sdk/python/forkserver/test_zygote/loaded_files.py does it.
std::set<std::string> NamesIn(const std::string& folder,
                              const std::vector<std::string>& suffixes) {
  std::set<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    const std::string name = each->path().filename().string();
    if (name.front() == '.' || name == "__pycache__") continue;
    std::error_code ignored;
    const std::string suffix = fs::path(name).extension().string();
    if (each->is_directory(ignored) ||
        std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end()) {
      names.insert(name);
    }
  }
  return names;
}

}  // namespace

std::map<std::string, FileContent> ContentsOf(
    const protocol::TestFiles& files) {
  std::map<std::string, FileContent> contents;
  for (const protocol::LoadedFile& loaded : files.files) {
    FileContent& content = contents[loaded.path];
    auto digest = DigestOfFile(loaded.path);
    // After it was read: what came meanwhile is seen.
    auto identity = Identify(loaded.path);
    if (!identity || !digest || !IsAsLoaded(*identity, loaded)) continue;
    content.identity = *identity;
    content.digest = *std::move(digest);
  }
  return contents;
}

std::vector<std::string> ChangesOf(
    const std::map<std::string, FileContent>& contents,
    const protocol::TestFiles& files, const std::string& cwd) {
  std::vector<std::string> changes;
  for (const auto& [path, content] : contents) {
    auto identity = Identify(path);
    if (!identity) {
      changes.push_back("gone: " + Shown(path, cwd));
      continue;
    }
    if (content.digest.empty()) {
      changes.push_back("changed while it was loaded: " + Shown(path, cwd));
    } else if (*identity != content.identity) {
      auto digest = DigestOfFile(path);
      if (!digest || *digest != content.digest) {
        changes.push_back("changed: " + Shown(path, cwd));
      }
    }
  }
  for (const protocol::LoadedFolder& folder : files.folders) {
    const std::set<std::string> now = NamesIn(folder.path, files.suffixes);
    const std::set<std::string> before(folder.names.begin(),
                                       folder.names.end());
    for (const std::string& name : now) {
      if (before.count(name) == 0) {
        changes.push_back("new: " + Shown(folder.path + "/" + name, cwd));
      }
    }
    for (const std::string& name : before) {
      const std::string path = folder.path + "/" + name;
      // Of a file that was read it has been said.
      if (now.count(name) == 0 && contents.count(path) == 0) {
        changes.push_back("gone: " + Shown(path, cwd));
      }
    }
  }
  return changes;
}

}  // namespace forkserver::harness
