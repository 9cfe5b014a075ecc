/* dhcpflood: DHCPDISCOVERs of invented clients, among them garbage, truncated and oversized ones.
 * dhcpflood -i INTERFACE -H SERVER [-r PER_SECOND] [-s SECONDS] [-g GARBAGE_PERMILLE]
 *           [-t TRUNCATED_PERMILLE] [-o OVERSIZED_PERMILLE]
 * Every message has a fresh random MAC and transaction id. They are broadcast, but for the
 * oversized ones, which come in fragments and so must be sent to SERVER. Prints one JSON line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "flood.h"

enum { BATCH = 50, LARGE = 6000, WHOLE = 300 };
enum kind { DISCOVER, GARBAGE, TRUNCATED, OVERSIZED, KINDS };
static const char *names[KINDS] = {"discovers", "garbage", "truncated", "oversized"};

/* Return the length of a message of this kind, made in `data`. */
static size_t make(enum kind kind, uint8_t *data) {
    static const uint8_t options[] = {
        99, 130, 83, 99, 53, 1, 1, 55, 4, 1, 3, 6, 67,
        60, 32, 'P', 'X', 'E', 'C', 'l', 'i', 'e', 'n', 't', ':', 'A', 'r', 'c', 'h', ':', '0',
        '0', '0', '0', '7', ':', 'U', 'N', 'D', 'I', ':', '0', '0', '3', '0', '0', '0',
        93, 2, 0, 7, 255};
    if (kind == GARBAGE) {
        size_t length = draw() % 600;
        for (size_t at = 0; at < length; at++) data[at] = draw();
        if (length > 3) { data[0] = 1; data[2] = 6; } /* so that it is looked at */
        return length;
    }
    uint64_t mac = draw(), xid = draw();
    memset(data, 0, WHOLE);
    data[0] = data[1] = 1; data[2] = 6;
    memcpy(data + 4, &xid, 4);
    data[10] = 0x80; /* broadcast flag */
    memcpy(data + 28, &mac, 6);
    data[28] = 2;
    memcpy(data + 236, options, sizeof options);
    if (kind == TRUNCATED) return 1 + draw() % 250;
    if (kind == OVERSIZED) { memset(data + WHOLE, 0, LARGE - WHOLE); return LARGE; }
    return WHOLE;
}

int main(int argc, char **argv) {
    const char *interface = 0, *server = 0;
    double rate = 50000, seconds = 10;
    unsigned permille[KINDS] = {0};
    int c, one = 1, buffer = 1 << 22;
    while ((c = getopt(argc, argv, "i:H:r:s:g:t:o:")) != -1) switch (c) {
        case 'i': interface = optarg; break; case 'H': server = optarg; break;
        case 'r': rate = atof(optarg); break; case 's': seconds = atof(optarg); break;
        case 'g': permille[GARBAGE] = atoi(optarg); break;
        case 't': permille[TRUNCATED] = atoi(optarg); break;
        case 'o': permille[OVERSIZED] = atoi(optarg); break;
        default: return 2;
    }
    if (!interface || !server) { fprintf(stderr, "need -i and -H\n"); return 2; }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, strlen(interface))) { perror(interface); return 1; }
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(68)};
    if (bind(fd, (void *)&from, sizeof from)) { perror("port 68"); return 1; }
    struct sockaddr_in everybody = {.sin_family = AF_INET, .sin_port = htons(67), .sin_addr.s_addr = INADDR_BROADCAST};
    struct sockaddr_in alone = everybody;
    if (inet_pton(AF_INET, server, &alone.sin_addr) != 1) { fprintf(stderr, "%s is no address\n", server); return 2; }
    static uint8_t data[BATCH][LARGE];
    struct iovec pieces[BATCH];
    struct mmsghdr messages[BATCH];
    unsigned long counted[KINDS] = {0}, sent = 0, failed = 0;
    signal(SIGTERM, stop); /* what was sent is told all the same */
    double start = now(), t = start;
    while (!stopped && (t = now()) - start < seconds) {
        if (sent + failed > (t - start) * rate) { /* ahead of its time */
            struct timespec pause = {0, 200000};
            nanosleep(&pause, 0);
            continue;
        }
        enum kind kinds[BATCH];
        for (int i = 0; i < BATCH; i++) {
            unsigned chance = draw() % 1000, kind = KINDS - 1;
            while (kind && chance >= permille[kind]) chance -= permille[kind--];
            kinds[i] = kind;
            pieces[i] = (struct iovec){data[i], make(kind, data[i])};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = kind == OVERSIZED ? &alone : &everybody, .msg_namelen = sizeof alone,
                .msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        int done = sendmmsg(fd, messages, BATCH, 0);
        if (done < 0) done = 0;
        for (int i = 0; i < done; i++) counted[kinds[i]]++;
        sent += done;
        failed += BATCH - done;
    }
    printf("{\"seconds\": %.2f, \"sent\": %lu, \"failed\": %lu", t - start, sent, failed);
    for (int kind = 0; kind < KINDS; kind++) printf(", \"%s\": %lu", names[kind], counted[kind]);
    printf("}\n");
    return 0;
}
