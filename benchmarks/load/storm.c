/* storm: N machines that are switched on at once, each with an address of its own: DHCP through a
 * relay agent, the NBP by TFTP, then a script, a kernel and an initrd by HTTP on one connection.
 * storm -H SERVER -G RELAY -N MACHINES -f NBP=FILE -b BLKSIZE [-w WINDOW] [-t MAXSECONDS] [-S SECONDS]
 *       /SCRIPT=FILE /KERNEL=FILE /INITRD=FILE
 * -S spreads their beginnings. Every byte is compared with the files. Waits are those of firmware:
 * DHCP is repeated after 4, 8, 16 and 32 s (PXE 2.1, 2.2.5), a second more or less (RFC 2131, 4.1),
 * and begun anew a second after a NAK, TFTP every 4 s, six times (EDK2), HTTP when a 503 says so
 * (iPXE). The relay's address must be here, and all that DHCP gives. Prints one JSON line; `times`
 * has the second in which each machine was up. */
#include "tftpc.h"
#include <getopt.h>
#include <netinet/tcp.h>

enum state { OFF, DISCOVER, REQUEST, LOAD, FETCH, LATER, UP, LOST };
enum { FILES = 3, TRIES = 4, NAKED = 1, RELAY_PORT = 67, BUFFER = 1 << 18, STALL = 60 };
struct machine {
    enum state state;
    int http, file, head_length, tries;
    double due, heard, up; /* due: when to repeat, or to go on */
    uint32_t address, server;
    uint64_t at, length; /* of the body; length is 0 while the head is read */
    struct tftp load;
    char head[1024];
    const char *why;
};
static struct machine *machines;
static int count = 10, window, block = 1468, relay_fd, poll_fd;
static struct sockaddr_in dhcp_server, tftp_server, http_server;
static uint32_t relay;
static char *nbp;
static struct ref nbp_ref, refs[FILES];
static char *paths[FILES];
static unsigned long dhcp_again, later, done, lost;
static uint64_t bytes;
static uint8_t *buffer;
static double start;

static void watch(int op, int fd, uint32_t number, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = number};
    epoll_ctl(poll_fd, op, fd, &event);
}
static void hang_up(struct machine *m) {
    if (m->http >= 0) close(m->http);
    m->http = -1;
}
static void end(struct machine *m, const char *why) {
    if (m->state == LOAD && m->load.fd >= 0) close(m->load.fd);
    hang_up(m);
    m->state = why ? LOST : UP;
    m->why = why;
    m->up = now_s() - start;
    if (why) lost++; else done++;
}

/* DHCP */
static void say(struct machine *m, double now) {
    static const uint8_t options[] = {
        60, 32, 'P', 'X', 'E', 'C', 'l', 'i', 'e', 'n', 't', ':', 'A', 'r', 'c', 'h', ':', '0',
        '0', '0', '0', '7', ':', 'U', 'N', 'D', 'I', ':', '0', '0', '3', '0', '1', '6',
        93, 2, 0, 7, 94, 3, 1, 3, 16, 55, 5, 1, 3, 43, 66, 67, 255};
    uint8_t data[400] = {1, 1, 6, 1}, *at = data + 240;
    uint32_t number = htonl(m - machines), serial = (m - machines) * 2654435761u; /* of many makers */
    memcpy(data + 4, &number, 4);
    memcpy(data + 24, &relay, 4);
    data[28] = 2; data[29] = 0x53;
    memcpy(data + 30, &serial, 4);
    memcpy(data + 236, "\x63\x82\x53\x63", 4);
    *at++ = 53; *at++ = 1; *at++ = m->state == DISCOVER ? 1 : 3;
    if (m->state == REQUEST) {
        *at++ = 50; *at++ = 4; memcpy(at, &m->address, 4); at += 4;
        *at++ = 54; *at++ = 4; memcpy(at, &m->server, 4); at += 4;
    }
    memcpy(at, options, sizeof options);
    sendto(relay_fd, data, sizeof data, 0, (void *)&dhcp_server, sizeof dhcp_server);
    m->due = now + (4 << m->tries) - 1 + 2.0 * random() / RAND_MAX;
}
static void begin_load(struct machine *m) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = m->address};
    m->state = LOAD;
    if (tf_start(&m->load, &tftp_server, &own, nbp, block, window)) end(m, "socket");
    else watch(EPOLL_CTL_ADD, m->load.fd, m - machines, EPOLLIN);
}
static void hear(double now) {
    uint8_t data[1500];
    ssize_t length;
    while ((length = recv(relay_fd, data, sizeof data, MSG_DONTWAIT)) > 0) {
        uint32_t number, server = 0;
        int kind = 0;
        if (length < 241 || data[0] != 2) continue;
        memcpy(&number, data + 4, 4);
        number = ntohl(number);
        if (number >= (uint32_t)count) continue;
        struct machine *m = machines + number;
        for (uint8_t *at = data + 240; at + 2 < data + length && *at != 255; at += *at ? 2 + at[1] : 1) {
            if (*at == 53) kind = at[2];
            if (*at == 54 && at + 6 <= data + length) memcpy(&server, at + 2, 4);
        }
        if (m->state == DISCOVER && kind == 2) {
            memcpy(&m->address, data + 16, 4);
            m->server = server; m->state = REQUEST; m->tries = 0;
            say(m, now);
        } else if (m->state == REQUEST && kind == 5) begin_load(m);
        else if (m->state == REQUEST && kind == 6) { m->state = OFF; m->due = now + NAKED; dhcp_again++; }
    }
}

/* HTTP */
static void ask(struct machine *m) {
    char text[512];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nConnection: keep-alive\r\n"
        "User-Agent: iPXE/1.21.1\r\nHost: boot\r\n\r\n", paths[m->file]);
    m->head_length = 0; m->at = m->length = 0;
    if (send(m->http, text, length, MSG_NOSIGNAL) != length) end(m, "request not sent");
}
static void call(struct machine *m, double now) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = m->address};
    m->state = FETCH;
    m->heard = now;
    m->http = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (m->http < 0 || bind(m->http, (void *)&own, sizeof own)
        || (connect(m->http, (void *)&http_server, sizeof http_server) && errno != EINPROGRESS)) {
        end(m, "no connection");
        return;
    }
    m->head_length = -1; /* not yet connected */
    watch(EPOLL_CTL_ADD, m->http, m - machines, EPOLLOUT);
}
static void put_off(struct machine *m, double now) {
    char *seconds = strcasestr(m->head, "\r\nretry-after:");
    hang_up(m);
    m->state = LATER;
    m->due = now + (seconds ? atoi(seconds + 14) : 5);
    later++;
}
/* Return how many bytes belong to the head, 0 if more of it is to come. */
static int read_head(struct machine *m, ssize_t length, double now) {
    int room = sizeof m->head - 1 - m->head_length, part = length < room ? length : room;
    memcpy(m->head + m->head_length, buffer, part);
    m->head[m->head_length + part] = 0;
    char *end_of_head = strstr(m->head, "\r\n\r\n"), *size;
    if (!end_of_head) {
        m->head_length += part;
        if (part == room) end(m, "a long head");
        return 0;
    }
    end_of_head[2] = 0;
    if (!strncmp(m->head, "HTTP/1.1 503", 12)) { put_off(m, now); return 0; }
    size = strcasestr(m->head, "\r\ncontent-length:");
    if (strncmp(m->head, "HTTP/1.1 200", 12) || !size) { end(m, "no 200"); return 0; }
    m->length = strtoull(size + 17, 0, 10);
    if (m->length != refs[m->file].len) { end(m, "another length"); return 0; }
    return end_of_head + 4 - m->head - m->head_length;
}
static void fetch(struct machine *m, double now) {
    if (m->head_length < 0) {
        int error = 0; socklen_t size = sizeof error;
        getsockopt(m->http, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) { end(m, "connection refused"); return; }
        watch(EPOLL_CTL_MOD, m->http, m - machines, EPOLLIN);
        ask(m);
        return;
    }
    ssize_t length = recv(m->http, buffer, BUFFER, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) { end(m, "connection lost"); return; }
    m->heard = now;
    uint8_t *body = buffer;
    if (!m->length) {
        int head = read_head(m, length, now);
        if (!head) return;
        body += head; length -= head;
    }
    if (m->at + length > m->length || memcmp(refs[m->file].p + m->at, body, length)) { end(m, "other bytes"); return; }
    m->at += length;
    bytes += length;
    if (m->at < m->length) return;
    if (++m->file == FILES) end(m, 0); else ask(m);
}

static void load(struct machine *m, double now) {
    if (!m->load.done) return;
    close(m->load.fd);
    m->load.fd = -1;
    bytes += m->load.off;
    if (m->load.done < 0) end(m, m->load.why); else call(m, now);
}
static void look(struct machine *m, double now) {
    switch (m->state) {
    case OFF: if (now >= m->due) { m->state = DISCOVER; say(m, now); } break;
    case DISCOVER: case REQUEST:
        if (now < m->due) break;
        if (++m->tries >= TRIES) end(m, "no answer by DHCP"); else { dhcp_again++; say(m, now); }
        break;
    case LOAD: tf_tick(&m->load, now); load(m, now); break;
    case LATER: if (now >= m->due) call(m, now); break;
    case FETCH: if (now - m->heard > STALL) end(m, "HTTP stalled"); break;
    default: break;
    }
}

int main(int argc, char **argv) {
    const char *server = 0, *agent = 0;
    double longest = 60, spread = 0;
    int c;
    while ((c = getopt(argc, argv, "H:G:N:f:b:w:t:S:")) != -1) switch (c) {
        case 'H': server = optarg; break; case 'G': agent = optarg; break;
        case 'N': count = atoi(optarg); break; case 'f': nbp = optarg; break;
        case 'b': block = atoi(optarg); break; case 'w': window = atoi(optarg); break;
        case 't': longest = atof(optarg); break; case 'S': spread = atof(optarg); break;
        default: return 2;
    }
    if (!server || !agent || !nbp || argc - optind != FILES) { fprintf(stderr, "see storm.c\n"); return 2; }
    for (int i = -1; i < FILES; i++) {
        char *name = i < 0 ? nbp : argv[optind + i], *equals = strchr(name, '=');
        if (!equals) { fprintf(stderr, "%s: no =\n", name); return 2; }
        *equals = 0;
        if (i < 0) nbp_ref = ref_open(equals + 1); else { paths[i] = name; refs[i] = ref_open(equals + 1); }
    }
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    tf_timeout = 4; tf_maxtries = 6;
    dhcp_server.sin_family = AF_INET;
    inet_pton(AF_INET, server, &dhcp_server.sin_addr);
    tftp_server = http_server = dhcp_server;
    dhcp_server.sin_port = htons(67); tftp_server.sin_port = htons(69); http_server.sin_port = htons(80);
    inet_pton(AF_INET, agent, &relay);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(RELAY_PORT), .sin_addr.s_addr = relay};
    int large = 1 << 23;
    relay_fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(relay_fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large);
    if (bind(relay_fd, (void *)&own, sizeof own)) { perror(agent); return 1; }
    poll_fd = epoll_create1(0);
    watch(EPOLL_CTL_ADD, relay_fd, UINT32_MAX, EPOLLIN);
    buffer = malloc(BUFFER);
    machines = calloc(count, sizeof *machines);
    double now = start = now_s(), looked = 0;
    for (int i = 0; i < count; i++) {
        machines[i].http = machines[i].load.fd = -1;
        machines[i].due = start + spread * i / count;
    }
    struct epoll_event events[256];
    while (done + lost < (unsigned long)count && now - start < longest) {
        if (now - looked > 0.02) {
            looked = now;
            for (int i = 0; i < count; i++) look(machines + i, now);
        }
        int ready = epoll_wait(poll_fd, events, 256, 5);
        now = now_s();
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u32 == UINT32_MAX) { hear(now); continue; }
            struct machine *m = machines + events[i].data.u32;
            if (m->state == LOAD) { tf_readable(&m->load, &nbp_ref); load(m, now); }
            else if (m->state == FETCH) fetch(m, now);
        }
    }
    const char *why = "";
    double seconds = now_s() - start;
    printf("{\"machines\": %d, \"up\": %lu, \"lost\": %lu, \"seconds\": %.3f, \"MB\": %.1f, \"dhcp_again\": %lu, \"tftp_again\": %lu, "
           "\"http_later\": %lu, \"times\": [", count, done, lost, seconds, bytes / 1e6, dhcp_again, TS.retx, later);
    for (int i = 0, first = 1; i < count; i++) {
        if (machines[i].state == UP) { printf("%s%.3f", first ? "" : ", ", machines[i].up); first = 0; }
        else if (machines[i].state == LOST) why = machines[i].why;
        else why = "too slow";
    }
    printf("], \"why\": \"%s\"}\n", why);
    return 0;
}
