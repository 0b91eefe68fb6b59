// SPDX-License-Identifier: Apache-2.0
//
// A long path on one machine: two network namespaces, a TUN device in each, and this program as the wire between them.
// A packet leaves the other end when the line has sent everything before it (paced to a rate) and the delay has passed.
// The queue in front of the line is bounded in bytes; what does not fit is dropped, as a router drops it. Handshakes,
// slow start, windows and losses are those of the kernel's own TCP, which a delaying proxy would hide.
//
//   relay [-d DELAY_MS] [-r RATE_MBIT] [-q QUEUE_BYTES] [-o]
//
// DELAY_MS is one way. Packets are of 1,500 bytes; -o allows segmentation offload, as network cards have it: up to
// 64 KiB pass in one read, are charged as the 1,500-byte packets that they stand for, and arrive in one piece.
//
// Prints one line of JSON when the path is up: descriptors of both namespaces below /proc/PID/fd and the addresses. On
// SIGUSR1, and when it ends on SIGTERM or SIGINT, one line more: packets, bytes and drops of each direction. Namespaces
// and devices have no name and go with the last process that uses them. Needs root.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PACKET_BYTES_MAX = 65536 + sizeof(struct virtio_net_hdr),
    // Preamble, header, check sequence and gap of Ethernet: what a packet takes on the line beside itself.
    FRAME_BYTES = 38,
    BATCH_COUNT = 64,
    DEVICE_QUEUE_PACKETS = 8192,
};

static const char *addresses[2] = {"10.99.0.1", "10.99.0.2"};

// A packet in the ring, `length` bytes behind it. A `length` of 0: the rest of the ring is unused, go on at its start.
struct record {
    int64_t due;
    uint32_t length, padding;
};

struct direction {
    int in, out;
    char *ring;
    size_t capacity, head, tail, used;
    int64_t line_free;  // when the line has sent what is queued
    _Atomic long long packets, bytes, dropped;
};

static int64_t delay_ns = 25000000, queue_ns;
static double ns_per_byte;

static void fail(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Bytes on the line of what one read brought: of each packet that it stands for.
static size_t line_bytes(const char *packet, size_t length) {
    struct virtio_net_hdr header;
    memcpy(&header, packet, sizeof header);
    size_t bytes = length - sizeof header, count = 1;
    if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE && header.gso_size > 0 && bytes > header.hdr_len) {
        count = (bytes - header.hdr_len + header.gso_size - 1) / header.gso_size;
        bytes += (count - 1) * header.hdr_len;
    }
    return bytes + count * FRAME_BYTES;
}

// Room for a record that is not broken by the ring's end, or NULL.
static struct record *reserve(struct direction *d, size_t need) {
    size_t rest = d->capacity - d->tail;
    size_t skip = rest < need ? rest : 0;
    if (d->used + skip + need > d->capacity) return NULL;
    if (skip > 0) {
        ((struct record *)(d->ring + d->tail))->length = 0;
        d->tail = 0;
        d->used += skip;
    }
    struct record *record = (struct record *)(d->ring + d->tail);
    d->tail = (d->tail + need) % d->capacity;
    d->used += need;
    return record;
}

static size_t record_bytes(size_t length) { return sizeof(struct record) + (length + 15) / 16 * 16; }

static void take(struct direction *d, const char *packet, size_t length) {
    int64_t arrived = now(), start = d->line_free > arrived ? d->line_free : arrived;
    size_t bytes = line_bytes(packet, length);
    struct record *record = start - arrived > queue_ns ? NULL : reserve(d, record_bytes(length));
    if (!record) {
        d->dropped++;
        return;
    }
    d->line_free = start + (int64_t)((double)bytes * ns_per_byte);
    record->due = d->line_free + delay_ns;
    record->length = (uint32_t)length;
    memcpy(record + 1, packet, length);
    d->packets++;
    d->bytes += (long long)bytes;
}

// The next record, or NULL.
static struct record *first(struct direction *d) {
    if (d->used == 0) return NULL;
    struct record *record = (struct record *)(d->ring + d->head);
    if (record->length == 0) {
        d->used -= d->capacity - d->head;
        d->head = 0;
        record = (struct record *)d->ring;
    }
    return record;
}

static void *run(void *argument) {
    struct direction *d = argument;
    static _Thread_local char packet[PACKET_BYTES_MAX];
    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        for (int i = 0; i < BATCH_COUNT; i++) {
            ssize_t length = read(d->in, packet, sizeof packet);
            if (length < 0 && errno != EAGAIN && errno != EINTR) fail("read");
            if (length < (ssize_t)sizeof(struct virtio_net_hdr)) break;
            take(d, packet, (size_t)length);
        }
        struct record *record;
        int64_t time = now();
        while ((record = first(d)) && record->due <= time) {
            if (write(d->out, record + 1, record->length) < 0) d->dropped++;
            size_t size = record_bytes(record->length);
            d->head = (d->head + size) % d->capacity;
            d->used -= size;
        }
        struct timespec timeout = {0, 0};
        if (record) {
            int64_t left = record->due - now();
            if (left > 0) timeout = (struct timespec){left / 1000000000, left % 1000000000};
        }
        struct pollfd ready = {.fd = d->in, .events = POLLIN};
        ppoll(&ready, 1, record ? &timeout : NULL, NULL);
    }
    return NULL;
}

static void configure(int control, const char *name, const char *address) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    if (address) {
        *in = (struct sockaddr_in){.sin_family = AF_INET};
        inet_pton(AF_INET, address, &in->sin_addr);
        if (ioctl(control, SIOCSIFADDR, &request) != 0) fail("SIOCSIFADDR");
        *in = (struct sockaddr_in){.sin_family = AF_INET};
        inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
        if (ioctl(control, SIOCSIFNETMASK, &request) != 0) fail("SIOCSIFNETMASK");
        request.ifr_qlen = DEVICE_QUEUE_PACKETS;
        if (ioctl(control, SIOCSIFTXQLEN, &request) != 0) fail("SIOCSIFTXQLEN");
        request.ifr_mtu = 1500;
        if (ioctl(control, SIOCSIFMTU, &request) != 0) fail("SIOCSIFMTU");
    }
    if (ioctl(control, SIOCGIFFLAGS, &request) != 0) fail("SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &request) != 0) fail("SIOCSIFFLAGS");
}

// A new namespace with a loopback and a TUN device that has `address`. The process stays in it.
static int make_side(const char *address, unsigned offload, int *name_space) {
    if (unshare(CLONE_NEWNET) != 0) fail("unshare: are you root?");
    *name_space = open("/proc/thread-self/ns/net", O_RDONLY);
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK), control = socket(AF_INET, SOCK_DGRAM, 0);
    if (*name_space < 0 || device < 0 || control < 0) fail("/dev/net/tun");
    struct ifreq request = {.ifr_name = "path0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (ioctl(device, TUNSETIFF, &request) != 0) fail("TUNSETIFF");
    if (ioctl(device, TUNSETOFFLOAD, offload) != 0) fail("TUNSETOFFLOAD");
    configure(control, "lo", NULL);
    configure(control, "path0", address);
    close(control);
    return device;
}

static void report(struct direction directions[2]) {
    printf("{");
    for (int i = 0; i < 2; i++) {
        struct direction *d = &directions[i];
        printf("%s\"%s\": {\"packets\": %lld, \"bytes\": %lld, \"dropped\": %lld}", i ? ", " : "",
               i ? "back" : "forth", d->packets, d->bytes, d->dropped);
    }
    printf("}\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    double rate_mbit = 1000, queue_bytes = 12.5e6;  // twice what is on the way at 1 Gbit/s and 50 ms
    unsigned offload = 0;
    int option;
    while ((option = getopt(argc, argv, "d:r:q:o")) != -1) {
        if (option == 'd') delay_ns = (int64_t)(atof(optarg) * 1e6);
        if (option == 'r') rate_mbit = atof(optarg);
        if (option == 'q') queue_bytes = atof(optarg);
        if (option == 'o') offload = TUN_F_CSUM | TUN_F_TSO4;
        if (option == '?') return 2;
    }
    if (delay_ns < 0 || delay_ns > 10000000000 || rate_mbit < 0.01 || rate_mbit > 100000 || queue_bytes < 0
        || queue_bytes > 1e9) {
        fprintf(stderr, "relay: out of bounds\n");
        return 2;
    }
    ns_per_byte = 8000 / rate_mbit;
    queue_ns = (int64_t)(queue_bytes * ns_per_byte);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // A wire keeps time also when the cores are busy. Not by niceness: that counts only among a session's own processes.
    struct sched_param priority = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) fail("SCHED_FIFO");
    int name_spaces[2], devices[2];
    for (int i = 0; i < 2; i++) devices[i] = make_side(addresses[i], offload, &name_spaces[i]);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    static struct direction directions[2];
    for (int i = 0; i < 2; i++) {
        struct direction *d = &directions[i];
        d->in = devices[i];
        d->out = devices[1 - i];
        // Twice what the line may owe: a record is rounded up, and the ring's end may be skipped.
        d->capacity = ((size_t)(queue_bytes + (double)delay_ns / ns_per_byte) + 4 * PACKET_BYTES_MAX) / 16 * 32;
        d->ring = malloc(d->capacity);
        pthread_t thread;
        if (!d->ring || pthread_create(&thread, NULL, run, d) != 0) fail("thread");
    }
    printf("{\"namespaces\": [%d, %d], \"addresses\": [\"%s\", \"%s\"]}\n", name_spaces[0], name_spaces[1],
           addresses[0], addresses[1]);
    fflush(stdout);
    for (;;) {
        int number;
        if (sigwait(&signals, &number) != 0) continue;
        report(directions);
        if (number != SIGUSR1) return 0;
    }
}
