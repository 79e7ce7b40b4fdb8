#include "sdk/cpp/crash_slots.h"

#include <sys/mman.h>

#include <cstring>

namespace forkserver {

CrashSlots::~CrashSlots() {
  if (texts_ == nullptr) return;
  InstallCrashHandler(nullptr, OtherHandlers::kKeep);
  ::munmap(texts_, kCount * kCrashTextBytes);
}

void CrashSlots::Start() {
  texts_ = MapCrashTexts(kCount);
  if (texts_ == nullptr) return;
  free_.reserve(kCount);
  for (int slot = kCount - 1; slot >= 0; --slot) free_.push_back(slot);
  InstallCrashHandler(&current_, OtherHandlers::kKeep);
}

int CrashSlots::TakeForChild() {
  if (free_.empty()) return kNone;
  const int slot = free_.back();
  free_.pop_back();
  current_.text = texts_ + static_cast<std::size_t>(slot) * kCrashTextBytes;
  return slot;
}

std::string CrashSlots::TakeText(int slot) {
  if (slot == kNone) return {};
  char* const text = texts_ + static_cast<std::size_t>(slot) * kCrashTextBytes;
  std::string taken(text, ::strnlen(text, kCrashTextBytes));
  text[0] = '\0';
  return taken;
}

void CrashSlots::Give(int slot) {
  if (slot != kNone) free_.push_back(slot);
}

}  // namespace forkserver
