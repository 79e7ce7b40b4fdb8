#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "sdk/base/unique_fd.h"
#include "tools/harness/targets/program_image.h"

namespace forkserver::harness {
namespace {

constexpr std::size_t kMostSegments = 1024;
constexpr std::size_t kMostInterpreter = 4096;

// False where the file ends before.
bool ReadAt(int fd, std::uint64_t offset, void* data, std::size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t read = ::pread(fd, at, size, static_cast<off_t>(offset));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return false;
    at += read;
    offset += static_cast<std::uint64_t>(read);
    size -= static_cast<std::size_t>(read);
  }
  return true;
}

std::string ReadInterpreter(int fd, std::uint64_t offset, std::uint64_t size) {
  if (size == 0 || size > kMostInterpreter) return {};
  std::string text(size, '\0');
  if (!ReadAt(fd, offset, text.data(), text.size())) return {};
  return text.c_str();
}

template <typename Header, typename Segment>
bool ReadSegments(int fd, std::uint64_t file_bytes, ProgramImage& image) {
  Header header = {};
  if (!ReadAt(fd, 0, &header, sizeof(header))) return false;
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) return false;
  if (header.e_phentsize != sizeof(Segment) || header.e_phnum > kMostSegments) {
    return false;
  }
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Segment segment = {};
    if (!ReadAt(fd, header.e_phoff + i * sizeof(segment), &segment,
                sizeof(segment))) {
      return false;
    }
    if (segment.p_type == PT_LOAD) {
      if (segment.p_offset > file_bytes ||
          segment.p_filesz > file_bytes - segment.p_offset) {
        return false;
      }
      image.parts.push_back({segment.p_offset, segment.p_filesz});
    } else if (segment.p_type == PT_INTERP) {
      image.interpreter =
          ReadInterpreter(fd, segment.p_offset, segment.p_filesz);
    }
  }
  return true;
}

}  // namespace

Result<ProgramImage> ReadProgramImage(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return SystemError("open(" + path + ")", errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) {
    return SystemError("fstat(" + path + ")", errno);
  }
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  ProgramImage image;
  unsigned char start[EI_NIDENT] = {};
  constexpr unsigned char kOrder =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (ReadAt(file.get(), 0, start, sizeof(start)) &&
      std::memcmp(start, ELFMAG, SELFMAG) == 0 && start[EI_DATA] == kOrder) {
    image.is_native = start[EI_CLASS] == ELFCLASS64
                          ? ReadSegments<Elf64_Ehdr, Elf64_Phdr>(
                                file.get(), file_bytes, image)
                          : ReadSegments<Elf32_Ehdr, Elf32_Phdr>(
                                file.get(), file_bytes, image);
  }
  if (!image.is_native) {
    image.interpreter.clear();
    image.parts = {{0, file_bytes}};
  }
  return image;
}

}  // namespace forkserver::harness
