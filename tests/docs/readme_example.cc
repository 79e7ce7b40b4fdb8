#include <forkserver/client.h>

#include <cstdio>

int main() {
  auto client = forkserver::Client::Connect();  // starts a daemon if none runs
  if (!client) return std::puts(client.error().ToString().c_str()), 1;
  forkserver::SpawnOptions options;
  options.argv = {"sh", "-c", "echo hello from a worker; exit 3"};
  auto worker = client->Spawn(options);
  if (!worker) return std::puts(worker.error().ToString().c_str()), 1;
  auto record = client->Wait(worker->id);
  if (!record) return std::puts(record.error().ToString().c_str()), 1;
  std::printf("its exit code is %d\n",
              static_cast<int>(record->code.value_or(-1)));
}
