// The smallest program there is: linked statically, ends at once with 0.
int main() {}
