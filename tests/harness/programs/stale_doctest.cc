// A program, a library that it is linked with, one that a warm-up loads and one
// that a test loads. Each has a number, and the tests say that it is 1.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <forkserver/testing.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

extern "C" int LinkedNumber();

namespace {

int plugin_number = 0;

std::string InProject(const std::string& name) {
  return std::string(std::getenv("PROJECT")) + "/" + name;
}

// Of a library in LD_LIBRARY_PATH, 0 if it cannot be loaded. It stays loaded.
int NumberOf(const char* library, const char* function) {
  void* const handle = ::dlopen(library, RTLD_NOW);
  if (handle == nullptr) return 0;
  const auto number = reinterpret_cast<int (*)()>(::dlsym(handle, function));
  return number != nullptr ? number() : 0;
}

}  // namespace

FORKSERVER_TEST_WARM_UP("plugin") {
  plugin_number = NumberOf("libstale_plugin.so", "PluginNumber");
  std::ofstream(InProject("warm-ups"), std::ios::app) << ::getpid() << "\n";
}

FORKSERVER_TEST_WARM_UP("nothing") {}

TEST_CASE("program") { CHECK(NUMBER == 1); }

TEST_CASE("linked") { CHECK(LinkedNumber() == 1); }

TEST_CASE("plugin") { CHECK(plugin_number == 1); }

TEST_CASE("late") { CHECK(NumberOf("libstale_late.so", "LateNumber") == 1); }

// While there is a file "hold" it waits, and says so.
TEST_CASE("waits") {
  std::ofstream(InProject("waits"));
  while (::access(InProject("hold").c_str(), F_OK) == 0) ::usleep(1000);
}
