// A library with a function that says its number.
extern "C" int FUNCTION();
int FUNCTION() { return NUMBER; }
