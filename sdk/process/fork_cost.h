// What keeps the fork of a large process cheap. fork(2) copies the page tables
// of what the process has written: a gigabyte in small pages takes 15 ms, in
// huge ones less than 1.
#pragma once

namespace forkserver {

// Gives memory that is free back to the system, and moves what is large and
// filled into huge pages. To be called once, when everything is loaded: it
// copies that memory, seconds for a gigabyte. Does what the system can,
// and nothing where huge pages are switched off. macOS: gives back only.
void MakeForksCheap();

}  // namespace forkserver
