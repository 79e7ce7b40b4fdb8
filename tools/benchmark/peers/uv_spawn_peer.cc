// uv_spawn_peer PROGRAM: for each byte on standard input starts PROGRAM by
// libuv, waits for its exit and writes the nanoseconds that took, as 8 bytes.
#include <unistd.h>
#include <uv.h>

#include <cstdint>

namespace {

void OnExit(uv_process_t* process, std::int64_t exit_status, int signal) {
  // Read by main() when the loop has nothing left to wait for.
  *static_cast<bool*>(process->data) = exit_status == 0 && signal == 0;
  uv_close(reinterpret_cast<uv_handle_t*>(process), nullptr);
}

// Streams without UV_INHERIT_FD are /dev/null.
bool RunToExit(uv_loop_t* loop, char* program) {
  bool well = false;
  uv_process_t process = {};
  process.data = &well;
  char* argv[] = {program, nullptr};
  uv_process_options_t options = {};
  options.file = program;
  options.args = argv;
  options.exit_cb = OnExit;
  if (uv_spawn(loop, &process, &options) != 0) return false;
  uv_run(loop, UV_RUN_DEFAULT);
  return well;
}

}  // namespace

int main(int argc, char** argv) {
  uv_loop_t loop;
  if (argc != 2 || uv_loop_init(&loop) != 0) return 2;
  char question;
  while (::read(STDIN_FILENO, &question, 1) == 1) {
    const std::uint64_t begun_ns = uv_hrtime();
    if (!RunToExit(&loop, argv[1])) return 1;
    const std::uint64_t elapsed_ns = uv_hrtime() - begun_ns;
    if (::write(STDOUT_FILENO, &elapsed_ns, sizeof(elapsed_ns)) !=
        sizeof(elapsed_ns)) {
      return 1;
    }
  }
  return 0;
}
