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
  std::string text;
  pugi::xml_document document;
};

XmlDocument::XmlDocument(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
XmlDocument::XmlDocument(XmlDocument&&) noexcept = default;
XmlDocument& XmlDocument::operator=(XmlDocument&&) noexcept = default;
XmlDocument::~XmlDocument() = default;

Result<XmlDocument> XmlDocument::Read(const std::string& path) {
  Result<std::string> text = ReadFile(path);
  if (!text) return text.error();
  return Parse(*std::move(text));
}

XmlDocument XmlDocument::Parse(std::string text) {
  if (const std::size_t last = text.rfind("<?xml");
      last != std::string::npos && last > 0) {
    text.erase(0, last);
  }
  auto tree = std::make_unique<Tree>();
  tree->text = std::move(text);
  const pugi::xml_parse_result result = tree->document.load_buffer_inplace(
      tree->text.data(), tree->text.size(), kParseFlags, pugi::encoding_utf8);
  XmlDocument document(std::move(tree));
  if (!result) {
    const bool cut = result.offset + 1 >= static_cast<std::ptrdiff_t>(
                                              document.tree_->text.size()) ||
                     result.status == pugi::status_end_element_mismatch;
    document.problem_ = cut ? "it ends in the middle"
                            : std::string(result.description()) + " at byte " +
                                  std::to_string(result.offset);
  }
  return document;
}

XmlElement XmlDocument::root() const {
  return XmlElement(ElementFrom(tree_->document.first_child()));
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
