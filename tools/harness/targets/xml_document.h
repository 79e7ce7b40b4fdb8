// The XML files of test frameworks: the only part that reads XML. Passive.
//
// A file is written by a program that may have ended at any point, or that
// wrote what it liked: what is cut off can be looked at as far as it goes.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace forkserver::harness {

// A file that is larger is not read: its tree takes some times as much.
inline constexpr std::size_t kMaxXmlBytes = 128u << 20;
// A text of an element is cut to this.
inline constexpr std::size_t kMaxXmlText = 256u << 10;

// Refers to its document. Calling a function of one that is none is fine: it
// has no name, attributes or children.
class XmlElement {
 public:
  XmlElement() = default;
  explicit operator bool() const { return node_ != nullptr; }

  // Its end is in the document. Of one that is not whole it is unknown what
  // would have followed.
  bool is_whole() const;

  std::string_view name() const;
  // Empty if there is none.
  std::string_view attribute(const char* name) const;
  bool has_attribute(const char* name) const;
  // 0 where it is no number.
  std::int64_t number(const char* attribute) const;
  // "1.5", in microseconds.
  std::int64_t microseconds(const char* attribute) const;
  // Directly in it, blanks at both ends left out.
  std::string text() const;

  XmlElement child(const char* name) const;
  XmlElement first_child() const;
  XmlElement next() const;

 private:
  friend class XmlDocument;
  explicit XmlElement(void* node) : node_(node) {}
  void* node_ = nullptr;
};

class XmlDocument {
 public:
  // Errors: it cannot be read, or is too large. What is in it is no error. Of
  // several documents in a file the last one counts: a test that forks, and
  // whose child returns, has its framework write one for each process.
  static Result<XmlDocument> Read(const std::string& path);
  // The same of text.
  static XmlDocument Parse(std::string_view text);

  XmlDocument(XmlDocument&&) noexcept;
  XmlDocument& operator=(XmlDocument&&) noexcept;
  ~XmlDocument();

  XmlElement root() const;
  // What is wrong with it ("it ends in the middle, at byte 120"), or empty.
  const std::string& problem() const { return problem_; }

 private:
  struct Tree;
  explicit XmlDocument(std::unique_ptr<Tree> tree);
  std::unique_ptr<Tree> tree_;
  std::string problem_;
};

}  // namespace forkserver::harness
