// Prints the names of all messages and of their keys, as JSON.
#include <iostream>

#include "sdk/protocol/codec.h"

int main() { std::cout << forkserver::protocol::DescribeMessages(); }
