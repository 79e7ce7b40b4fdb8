#include <msgpack.hpp>
#include <sstream>
int Pack() { std::stringstream s; msgpack::pack(s, 5); return (int)s.str().size(); }
