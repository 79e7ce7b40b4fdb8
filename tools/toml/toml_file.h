// forkserver.toml as a tree of plain values that know their lines. What its
// keys mean is for those who read the tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace forkserver {

struct TomlEntry;

struct TomlValue {
  // kOther: a floating-point number, a date or a time.
  enum class Kind { kText, kNumber, kFlag, kList, kTable, kOther };
  Kind kind = Kind::kOther;
  int line = 0;
  std::string text;
  std::int64_t number = 0;
  bool flag = false;
  std::vector<TomlValue> list;
  std::vector<TomlEntry> table;  // in the order of the file

  bool IsText() const { return kind == Kind::kText; }
  bool IsNumber() const { return kind == Kind::kNumber; }
  bool IsFlag() const { return kind == Kind::kFlag; }
  bool IsList() const { return kind == Kind::kList; }
  bool IsTable() const { return kind == Kind::kTable; }
  // Null: there is no such key.
  const TomlValue* Find(const std::string& key) const;
};

struct TomlEntry {
  std::string key;
  int line = 0;  // of the key
  TomlValue value;
};

struct TomlFile {
  std::optional<TomlValue> root;  // a table; absent if there is an error
  std::string error;
  int error_line = 0;  // 0: of none
};

// Blocks for as long as reading the file takes.
TomlFile ReadTomlFile(const std::string& path);
TomlFile ParseToml(const std::string& text);

// The nearest forkserver.toml in `folder` or above it, or empty.
std::string FindForkserverToml(const std::string& folder);

}  // namespace forkserver
