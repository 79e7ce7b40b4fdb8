#include "tools/harness/targets/xml_document.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <pugixml.hpp>
#include <utility>

#include "sdk/base/unique_fd.h"

namespace forkserver::harness {
namespace {

// Line breaks in attributes stay what they are: names have them.
constexpr unsigned kParseFlags = pugi::parse_cdata | pugi::parse_escapes;

pugi::xml_node NodeOf(void* node) {
  return pugi::xml_node(static_cast<pugi::xml_node_struct*>(node));
}

// The next element from `node` on.
void* ElementFrom(pugi::xml_node node) {
  while (node && node.type() != pugi::node_element) node = node.next_sibling();
  return node.internal_object();
}

// In all elements that a document does not get to the end of, as the last one.
constexpr char kMark[] = "forkserver-end";

pugi::xml_node LastInside(pugi::xml_node node) {
  while (const pugi::xml_node last = node.last_child()) node = last;
  return node;
}

// With the mark in place of a tag or a section that is cut off.
std::string WithMark(std::string_view text) {
  for (;;) {
    const std::size_t section = text.rfind("<![CDATA[");
    if (section == std::string_view::npos ||
        text.find("]]>", section) != std::string_view::npos) {
      break;
    }
    text = text.substr(0, section);
  }
  const std::size_t tag = text.rfind('<');
  if (tag != std::string_view::npos &&
      text.find('>', tag) == std::string_view::npos) {
    text = text.substr(0, tag);
  }
  return std::string(text) + "<" + kMark + "/>";
}

// Where the text does not show which elements are open, all that may be are.
void MarkEnd(pugi::xml_document& document) {
  pugi::xml_node last = LastInside(document);
  if (std::string_view(last.name()) == kMark) return;
  while (last && last.type() != pugi::node_element) last = last.parent();
  last.append_child(kMark);
}

Result<std::string> ReadFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return SystemError("open(" + path + ")", errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) {
    return SystemError("fstat(" + path + ")", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return MakeError(error_code::kMalformed, path + " is no file");
  }
  if (static_cast<std::uint64_t>(status.st_size) > kMaxXmlBytes) {
    return MakeError(error_code::kMalformed,
                     path + " has " + std::to_string(status.st_size) +
                         " bytes; more than " + std::to_string(kMaxXmlBytes) +
                         " are not read");
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t read =
        ::read(file.get(), text.data() + size, text.size() - size);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return SystemError("read(" + path + ")", errno);
    if (read == 0) break;
    size += static_cast<std::size_t>(read);
  }
  text.resize(size);
  return text;
}

}  // namespace

struct XmlDocument::Tree {
  pugi::xml_document document;

  pugi::xml_parse_result Load(std::string_view text) {
    return document.load_buffer(text.data(), text.size(), kParseFlags,
                                pugi::encoding_utf8);
  }
};

XmlDocument::XmlDocument(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
XmlDocument::XmlDocument(XmlDocument&&) noexcept = default;
XmlDocument& XmlDocument::operator=(XmlDocument&&) noexcept = default;
XmlDocument::~XmlDocument() = default;

Result<XmlDocument> XmlDocument::Read(const std::string& path) {
  const Result<std::string> text = ReadFile(path);
  if (!text) return text.error();
  return Parse(*text);
}

XmlDocument XmlDocument::Parse(std::string_view text) {
  XmlDocument document(std::make_unique<Tree>());
  Tree& tree = *document.tree_;
  pugi::xml_parse_result result = tree.Load(text);
  // The beginning of another one may be in the text of an element: it is
  // looked for only if this is none as a whole.
  if (const std::size_t last = text.rfind("<?xml");
      !result && last != std::string_view::npos && last > 0) {
    text.remove_prefix(last);
    result = tree.Load(text);
  }
  if (result) return document;
  const bool cut =
      result.offset + 1 >= static_cast<std::ptrdiff_t>(text.size()) ||
      result.status == pugi::status_end_element_mismatch;
  document.problem_ = cut ? "it ends in the middle"
                          : std::string(result.description()) + " at byte " +
                                std::to_string(result.offset);
  tree.Load(WithMark(text));
  MarkEnd(tree.document);
  return document;
}

XmlElement XmlDocument::root() const {
  pugi::xml_node node = tree_->document.last_child();
  while (node && node.type() != pugi::node_element) {
    node = node.previous_sibling();
  }
  return XmlElement(node.internal_object());
}

bool XmlElement::is_whole() const {
  return std::string_view(LastInside(NodeOf(node_)).name()) != kMark;
}

std::string_view XmlElement::name() const { return NodeOf(node_).name(); }

std::string_view XmlElement::attribute(const char* name) const {
  return NodeOf(node_).attribute(name).value();
}

bool XmlElement::has_attribute(const char* name) const {
  return !NodeOf(node_).attribute(name).empty();
}

std::int64_t XmlElement::number(const char* attribute) const {
  return NodeOf(node_).attribute(attribute).as_llong();
}

std::int64_t XmlElement::microseconds(const char* attribute) const {
  const double seconds = NodeOf(node_).attribute(attribute).as_double();
  constexpr double kMost = 1e9;
  if (!(seconds > 0) || seconds > kMost) return 0;
  return static_cast<std::int64_t>(seconds * 1e6);
}

std::string XmlElement::text() const {
  std::string text;
  for (pugi::xml_node child : NodeOf(node_).children()) {
    if (child.type() != pugi::node_pcdata && child.type() != pugi::node_cdata) {
      continue;
    }
    text += std::string_view(child.value()).substr(0, kMaxXmlText);
    if (text.size() >= kMaxXmlText) break;
  }
  constexpr char kBlanks[] = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1)
      .substr(0, kMaxXmlText);
}

XmlElement XmlElement::child(const char* name) const {
  return XmlElement(NodeOf(node_).child(name).internal_object());
}

XmlElement XmlElement::first_child() const {
  return XmlElement(ElementFrom(NodeOf(node_).first_child()));
}

XmlElement XmlElement::next() const {
  return XmlElement(ElementFrom(NodeOf(node_).next_sibling()));
}

}  // namespace forkserver::harness
