// SPDX-License-Identifier: Apache-2.0
//
// An HTTP/1.1 client that throws bodies away inside the kernel (recv with MSG_TRUNC), so that on a small machine the
// server under test, not the client, is what is measured. Keep-alive, one request at a time on each connection.
//
//   sink HOST PORT CONNECTIONS (-n REQUESTS | -d SECONDS) [-m METHOD] [-H 'Header: value'] TARGET...
//
// Prints one line of JSON: requests, body bytes, seconds, errors, and latency percentiles in milliseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16384, LATENCIES_MAX = 4 << 20, EVENTS_MAX = 256 };

struct connection {
    int fd;
    long long body_left;  // -1: reading the head
    int head_length;
    double began;
    char head[HEAD_BYTES_MAX];
};

static const char *method = "GET";
static char headers[8192];
static char **targets;
static int target_count, next_target;
static long long request_limit = -1, requests_sent, requests_done, body_bytes, errors;
static double deadline = 1e18, *latencies;
static int latency_count;
static struct sockaddr_in address;
static const char *host;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("sink: connect");
        exit(1);
    }
    int one = 1, buffer = 4 << 20;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    return fd;
}

// Returns 0 if no request is left to send.
static int send_request(struct connection *c) {
    if ((request_limit >= 0 && requests_sent >= request_limit) || now() >= deadline) return 0;
    char request[HEAD_BYTES_MAX];
    int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n", method,
                          targets[next_target++ % target_count], host, ntohs(address.sin_port), headers);
    c->body_left = -1;
    c->head_length = 0;
    c->began = now();
    requests_sent++;
    if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length) errors++;
    return 1;
}

static void finished(struct connection *c) {
    requests_done++;
    if (latency_count < LATENCIES_MAX) latencies[latency_count++] = now() - c->began;
}

// Takes in what has arrived. Returns 0 when the connection has nothing more to do.
static int take(struct connection *c) {
    static char scrap[1 << 20];
    for (;;) {
        if (c->body_left < 0) {
            ssize_t n = recv(c->fd, c->head + c->head_length, (size_t)(HEAD_BYTES_MAX - 1 - c->head_length), MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
            if (n <= 0) { errors++; return 0; }
            c->head_length += (int)n;
            c->head[c->head_length] = 0;
            char *end = strstr(c->head, "\r\n\r\n");
            if (!end) continue;
            int status = atoi(c->head + 9);
            if (status < 200 || status >= 400) errors++;
            char *field = strcasestr(c->head, "\r\ncontent-length:");
            long long length = field && field < end && strcmp(method, "HEAD") != 0 ? atoll(field + 17) : 0;
            long long have = c->head_length - (end + 4 - c->head);
            body_bytes += have;
            c->body_left = length - have;
        } else {
            size_t want = c->body_left < (1 << 20) ? (size_t)c->body_left : 1 << 20;
            ssize_t n = recv(c->fd, scrap, want, MSG_DONTWAIT | MSG_TRUNC);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
            if (n <= 0) { errors++; return 0; }
            c->body_left -= n;
            body_bytes += n;
        }
        if (now() >= deadline && c->body_left != 0) return 0;
        if (c->body_left == 0) {
            finished(c);
            if (!send_request(c)) return 0;
        }
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double p) {
    return latency_count ? latencies[(int)((latency_count - 1) * p)] * 1000 : 0;
}

int main(int argc, char **argv) {
    if (argc < 6) { fprintf(stderr, "usage: sink HOST PORT CONNECTIONS (-n N | -d S) [-m M] [-H H] TARGET...\n"); return 2; }
    host = argv[1];
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(argv[2]));
    inet_pton(AF_INET, host, &address.sin_addr);
    int count = atoi(argv[3]);
    double seconds = 0;
    int option;
    optind = 4;
    while ((option = getopt(argc, argv, "+n:d:m:H:")) != -1) {
        if (option == 'n') request_limit = atoll(optarg);
        if (option == 'd') seconds = atof(optarg);
        if (option == 'm') method = optarg;
        if (option == 'H') snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\r\n", optarg);
    }
    targets = argv + optind;
    target_count = argc - optind;
    latencies = malloc(sizeof(double) * LATENCIES_MAX);
    struct connection *all = calloc((size_t)count, sizeof *all);
    if (!latencies || !all || target_count < 1) return 2;
    int poll_fd = epoll_create1(0), open_count = 0;
    for (int i = 0; i < count; i++) all[i].fd = dial();
    double began = now();
    if (seconds > 0) deadline = began + seconds;
    for (int i = 0; i < count; i++) {
        if (!send_request(&all[i])) continue;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, all[i].fd, &event);
        open_count++;
    }
    struct epoll_event events[EVENTS_MAX];
    while (open_count > 0 && now() < deadline) {
        int ready = epoll_wait(poll_fd, events, EVENTS_MAX, 200);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!take(c)) {
                epoll_ctl(poll_fd, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
                open_count--;
            }
        }
    }
    double elapsed = now() - began;
    qsort(latencies, (size_t)latency_count, sizeof(double), ascending);
    printf("{\"requests\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"errors\": %lld, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           requests_done, body_bytes, elapsed, errors, percentile(0.5), percentile(0.99));
    return errors ? 1 : 0;
}
