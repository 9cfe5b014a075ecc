/* What floods share: numbers that look random, the time, and an end when they are told to. */
#include <signal.h>
#include <stdint.h>
#include <time.h>

static uint64_t state = 88172645463325252ULL; /* xorshift64: the same flood each time */
static uint64_t draw(void) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return state;
}
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static volatile sig_atomic_t stopped;
static void stop(int number) { (void)number; stopped = 1; }
