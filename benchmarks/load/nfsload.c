/* nfsload: connections that read by NFS 3 over TCP and compare every byte with the files themselves.
 *
 * nfsload -H HOST -e EXPORT -d FOLDER -m read|getattr|lookup|tree [-f NAME] [-c CONNECTIONS] [-q DEPTH]
 *         [-s READSIZE] [-n COUNT] [-t MAXSECONDS]
 *
 * read: COUNT reads of one file over all connections, DEPTH of each in flight.
 * getattr, lookup: COUNT calls, likewise.
 * tree: each connection looks up and reads COUNT files (0, 1, 2, …) whole, one after the other, as a
 *       machine does that starts from its root; DEPTH reads in flight.
 * Prints one JSON line; what goes wrong is in "why". Calls come from ports below 1024. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOUNT = 100005, NFS = 100003, MNT = 1, GETATTR = 1, LOOKUP = 3, READ = 6, MAXDEPTH = 32 };
enum mode { MODE_READ, MODE_GETATTR, MODE_LOOKUP, MODE_TREE };

struct handle { uint32_t size; uint8_t data[64]; };
struct file { const uint8_t *data; uint64_t size; };
struct slot { uint32_t xid, proc; uint64_t offset; int busy; };
struct conn {
    int fd, in_flight, number; /* number: the file that is read, of a tree */
    uint32_t calls;
    uint64_t next;             /* offset of the next read */
    struct handle handle;
    struct slot slots[MAXDEPTH];
    uint8_t *buffer;
    size_t have;
    int done;
};

static const char *host, *export_path, *folder, *name = "large";
static int mode = MODE_READ, connections = 1, depth = 1;
static uint32_t read_size = 1 << 20;
static long count = 1000, issued, finished;
static uint64_t octets;
static struct handle root, target;
static struct file *files;
static size_t capacity;
static int local_port = 1023;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *why, long number) {
    printf("{\"ok\": 0, \"sec\": 0, \"ops\": %ld, \"MB\": 0, \"why\": \"%s %ld\"}\n", finished, why, number);
    exit(0);
}

static uint8_t *put(uint8_t *p, uint32_t v) { v = htonl(v); memcpy(p, &v, 4); return p + 4; }
static uint32_t get(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return ntohl(v); }
static uint8_t *put_opaque(uint8_t *p, const void *data, uint32_t size) {
    p = put(p, size);
    memset(p + size, 0, 3);
    memcpy(p, data, size);
    return p + ((size + 3) & ~3u);
}

/* A call of root, without its record mark, which `finish` writes. */
static uint8_t *head(uint8_t *b, uint32_t xid, uint32_t program, uint32_t procedure) {
    uint8_t *p = b + 4;
    p = put(put(put(p, xid), 0), 2);
    p = put(put(put(p, program), 3), procedure);
    p = put(put(put(p, 1), 28), 0);
    p = put_opaque(p, "load", 4);
    p = put(put(put(put(p, 0), 0), 1), 0);
    return put(put(p, 0), 0);
}
static uint8_t *with_handle(uint8_t *p, const struct handle *h) { return put_opaque(p, h->data, h->size); }
static size_t finish(uint8_t *b, uint8_t *end) { put(b, 0x80000000u | (uint32_t)(end - b - 4)); return end - b; }

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    inet_pton(AF_INET, host, &to.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (; local_port > 512; local_port--) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(local_port)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (!bind(fd, (void *)&from, sizeof from)) { local_port--; break; }
    }
    if (connect(fd, (void *)&to, sizeof to)) fail("connect", errno);
    return fd;
}

static void receive(int fd, uint8_t *b, size_t size) {
    while (size) {
        ssize_t n = recv(fd, b, size, 0);
        if (n <= 0) fail("lost while mounting", errno);
        b += n;
        size -= n;
    }
}

/* One call at a time, before it is measured; the result begins at byte 24. */
static void ask(int fd, uint8_t *b, uint8_t *end, uint8_t *reply, size_t room) {
    uint8_t mark[4];
    size_t size = finish(b, end);
    if (send(fd, b, size, 0) != (ssize_t)size) fail("send", errno);
    receive(fd, mark, 4);
    size = get(mark) & 0x7fffffff;
    if (size < 28 || size > room) fail("odd reply of bytes", (long)size);
    receive(fd, reply, size);
    if (get(reply + 8) || get(reply + 20)) fail("rpc refused", get(reply + 20));
    if (get(reply + 24)) fail("status", get(reply + 24));
}

static struct handle take_handle(const uint8_t *p) {
    struct handle h = {.size = get(p)};
    if (h.size > 64) fail("handle of bytes", h.size);
    memcpy(h.data, p + 4, h.size);
    return h;
}

static void mount_and_look_up(void) {
    uint8_t b[2048], reply[4096];
    int fd = dial(20048);
    ask(fd, b, put_opaque(head(b, 1, MOUNT, MNT), export_path, strlen(export_path)), reply, sizeof reply);
    root = take_handle(reply + 28);
    close(fd);
    if (mode == MODE_TREE) return;
    fd = dial(2049);
    ask(fd, b, put_opaque(with_handle(head(b, 2, NFS, LOOKUP), &root), name, strlen(name)), reply, sizeof reply);
    target = take_handle(reply + 28);
    close(fd);
}

static struct file map_file(const char *which) {
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, which);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st)) fail("no file to compare with", errno);
    struct file f = {mmap(0, st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0), st.st_size};
    close(fd);
    return f;
}

static const struct file *file_of(const struct conn *c) { return &files[mode == MODE_TREE ? c->number : 0]; }

static void call(struct conn *c, uint32_t procedure) {
    uint8_t b[2048], *p;
    struct slot *s = c->slots;
    while (s->busy) s++;
    s->busy = 1;
    s->proc = procedure;
    s->xid = ++c->calls;
    p = head(b, s->xid, NFS, procedure);
    if (procedure == LOOKUP) {
        char number[32];
        snprintf(number, sizeof number, "%d", c->number);
        const char *which = mode == MODE_TREE ? number : name;
        p = put_opaque(with_handle(p, &root), which, strlen(which));
    } else if (procedure == GETATTR) {
        p = with_handle(p, &target);
    } else {
        s->offset = c->next;
        p = with_handle(p, mode == MODE_TREE ? &c->handle : &target);
        p = put(put(put(p, s->offset >> 32), (uint32_t)s->offset), read_size);
        c->next += read_size;
        if (mode == MODE_READ && c->next + read_size > file_of(c)->size) c->next = 0;
    }
    size_t size = finish(b, p);
    if (send(c->fd, b, size, 0) != (ssize_t)size) fail("send", errno);
    c->in_flight++;
    issued++;
}

/* Keep as much in flight as there is to ask for. */
static void go_on(struct conn *c) {
    static const uint32_t procedures[] = {READ, GETATTR, LOOKUP};
    if (mode != MODE_TREE) {
        while (c->in_flight < depth && issued < count) call(c, procedures[mode]);
        return;
    }
    if (!c->done && c->handle.size)
        while (c->in_flight < depth && c->next < file_of(c)->size) call(c, READ);
    if (!c->in_flight && !c->done) {
        if (c->handle.size && ++c->number == count) { c->done = 1; return; }
        c->handle.size = 0;
        c->next = 0;
        call(c, LOOKUP);
    }
}

static void check_read(struct conn *c, const struct slot *s, const uint8_t *m, size_t size) {
    size_t at = 28 + (get(m + 28) ? 88 : 4);
    uint32_t length = get(m + at + 8);
    const struct file *f = file_of(c);
    uint64_t wanted = f->size - s->offset < read_size ? f->size - s->offset : read_size;
    if (length != wanted || at + 12 + length > size) fail("short read of bytes", length);
    if (memcmp(m + at + 12, f->data + s->offset, length)) fail("wrong bytes near", (long)s->offset);
    octets += length;
}

static void take(struct conn *c, const uint8_t *m, size_t size) {
    struct slot *s = c->slots;
    uint32_t xid = get(m);
    while (s < c->slots + MAXDEPTH && !(s->busy && s->xid == xid)) s++;
    if (s == c->slots + MAXDEPTH) fail("reply to nothing", xid);
    if (size < 28 || get(m + 20) || get(m + 24)) fail("status", get(m + 24));
    if (s->proc == READ) check_read(c, s, m, size);
    if (s->proc == LOOKUP && mode == MODE_TREE) c->handle = take_handle(m + 28);
    s->busy = 0;
    c->in_flight--;
    finished++;
}

/* Read what is there; a reply that is whole is looked at where it lies. */
static void readable(struct conn *c) {
    ssize_t n = recv(c->fd, c->buffer + c->have, capacity - c->have, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fail("lost", errno);
    c->have += n;
    size_t at = 0;
    while (c->have - at >= 4) {
        size_t size = get(c->buffer + at) & 0x7fffffff;
        if (size + 4 > capacity) fail("large reply", (long)size);
        if (c->have - at < size + 4) break;
        take(c, c->buffer + at + 4, size);
        at += size + 4;
        go_on(c);
    }
    memmove(c->buffer, c->buffer + at, c->have - at);
    c->have -= at;
}

static int all_done(const struct conn *all) {
    if (mode != MODE_TREE) return finished >= count;
    for (int i = 0; i < connections; i++)
        if (!all[i].done) return 0;
    return 1;
}

int main(int argc, char **argv) {
    static const char *modes[] = {"read", "getattr", "lookup", "tree"};
    double most = 60;
    int c;
    while ((c = getopt(argc, argv, "H:e:d:m:f:c:q:s:n:t:")) != -1) switch (c) {
        case 'H': host = optarg; break;
        case 'e': export_path = optarg; break;
        case 'd': folder = optarg; break;
        case 'm': for (mode = 0; mode < 3 && strcmp(modes[mode], optarg); mode++) {} break;
        case 'f': name = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'q': depth = atoi(optarg); break;
        case 's': read_size = atoi(optarg); break;
        case 'n': count = atol(optarg); break;
        case 't': most = atof(optarg); break;
        default: return 2;
    }
    if (!host || !export_path || !folder || depth > MAXDEPTH) return 2;
    files = calloc(count > 1 && mode == MODE_TREE ? count : 1, sizeof *files);
    if (mode == MODE_TREE)
        for (long i = 0; i < count; i++) {
            char number[32];
            snprintf(number, sizeof number, "%ld", i);
            files[i] = map_file(number);
        }
    else files[0] = map_file(name);
    mount_and_look_up();
    capacity = read_size + 4096;
    struct conn *all = calloc(connections, sizeof *all);
    int epoll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        all[i].fd = dial(2049);
        all[i].buffer = malloc(capacity);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    double begin = seconds();
    for (int i = 0; i < connections; i++) go_on(&all[i]);
    struct epoll_event events[64];
    while (!all_done(all)) {
        if (seconds() - begin > most) fail("not within seconds", (long)most);
        int n = epoll_wait(epoll, events, 64, 100);
        for (int i = 0; i < n; i++) readable(&all[events[i].data.u32]);
    }
    double took = seconds() - begin;
    printf("{\"ok\": 1, \"sec\": %.4f, \"ops\": %ld, \"MB\": %.3f, \"why\": \"\"}\n", took, finished, octets / 1e6);
    return 0;
}
