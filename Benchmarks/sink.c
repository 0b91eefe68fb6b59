// SPDX-License-Identifier: Apache-2.0
//
// An HTTP/1.1 client that throws bodies away inside the kernel (recv with MSG_TRUNC), so that on a small machine the
// server under test, not the client, is what is measured. Keep-alive, one request at a time on each connection.
//
//   sink HOST PORT CONNECTIONS (-n REQUESTS | -d SECONDS) [-m METHOD] [-H 'Header: value'] [-f] [-t]
//        [-r BYTES_PER_SECOND] [-s SIZE] TARGET...
//
//   -f  hang up at the first byte of the body; latencies are the times until it came
//   -t  TLS 1.3 with AES-128-GCM. The head is read as a client reads it; then records are counted and thrown away
//       unopened, for the same reason as above, and the sum of their lengths must be the Content-Length
//   -r  read no faster than this on each connection. From 127.0.0.0/8, each reader has an address of its own. Prints
//       {"streaming": N} when all N have the head of an answer
//   -s  of a blob of this SIZE, the readers begin at places that are evenly apart (open-ended ranges)
//
// With -f and -t each request has a connection of its own. Prints one line of JSON: requests, body bytes, seconds,
// errors, latency percentiles in milliseconds, and the bytes that came on the connection that got the fewest.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES_MAX = 16384,
    LATENCIES_MAX = 4 << 20,
    EVENTS_MAX = 256,
    SLOW_BUFFER_BYTES = 64 << 10,
    FAST_BUFFER_BYTES = 4 << 20,
    FAST_BYTES_PER_SECOND = 1 << 20,  // from here on a reader is not called slow
    RECORD_HEADER_BYTES = 5,
    RECORD_OVERHEAD_BYTES = 17,  // of TLS 1.3 with AES-GCM: the content's type and the tag
};

struct connection {
    int fd, number;
    long long body_left;  // -1: reading the head
    long long received;
    int head_length;
    double began, allowance;
    SSL *tls;
    long long record_left;
    int record_head_length;
    unsigned char record_head[RECORD_HEADER_BYTES];
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
static int stops_at_first_byte, poll_fd, connection_count;
static double bytes_per_second;
static long long spread_size;
static SSL_CTX *tls_context;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

// Opens a connection and has it polled.
static void dial(struct connection *c) {
    int fd = c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("sink: socket");
    int one = 1;
    int is_slow = bytes_per_second > 0 && bytes_per_second < FAST_BYTES_PER_SECOND;
    int buffer = is_slow ? SLOW_BUFFER_BYTES : FAST_BUFFER_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bytes_per_second > 0 && strncmp(host, "127.", 4) == 0) {
        uint32_t own = 0x7F090000u + (uint32_t)(c->number % 65000) + 1;  // 127.9.0.1 and up
        struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(own)};
        if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) die("sink: bind");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("sink: connect");
    if (tls_context) {
        c->tls = SSL_new(tls_context);
        if (!c->tls || SSL_set_fd(c->tls, fd) != 1 || SSL_connect(c->tls) != 1) {
            fprintf(stderr, "sink: no TLS with %s\n", host);
            exit(1);
        }
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("sink: epoll");
}

static void hang_up(struct connection *c) {
    if (c->tls) SSL_free(c->tls);
    c->tls = NULL;
    close(c->fd);
}

// Returns 0 if no request is left to send.
static int send_request(struct connection *c) {
    if ((request_limit >= 0 && requests_sent >= request_limit) || now() >= deadline) return 0;
    char request[HEAD_BYTES_MAX], range[64] = "";
    if (spread_size > 0)
        snprintf(range, sizeof range, "Range: bytes=%lld-\r\n", spread_size / connection_count * c->number);
    int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%s%s\r\n", method,
                          targets[next_target++ % target_count], host, ntohs(address.sin_port), headers, range);
    c->body_left = -1;
    c->head_length = c->record_head_length = 0;
    c->record_left = 0;
    c->began = now();
    requests_sent++;
    ssize_t sent = c->tls ? SSL_write(c->tls, request, length) : send(c->fd, request, (size_t)length, MSG_NOSIGNAL);
    if (sent != length) errors++;
    return 1;
}

static void finished(struct connection *c) {
    requests_done++;
    if (latency_count < LATENCIES_MAX) latencies[latency_count++] = now() - c->began;
}

static void count(struct connection *c, long long bytes) {
    c->body_left -= bytes;
    c->received += bytes;
    c->allowance -= (double)bytes;
    body_bytes += bytes;
}

enum progress { MORE, LATER, BROKEN };

static enum progress outcome(ssize_t n) {
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return LATER;
    return n <= 0 ? BROKEN : MORE;
}

static enum progress take_head(struct connection *c) {
    int room = HEAD_BYTES_MAX - 1 - c->head_length;
    ssize_t n;
    if (c->tls) {
        n = SSL_read(c->tls, c->head + c->head_length, room);
        if (n <= 0) return SSL_get_error(c->tls, (int)n) == SSL_ERROR_WANT_READ ? LATER : BROKEN;
    } else {
        n = recv(c->fd, c->head + c->head_length, (size_t)room, MSG_DONTWAIT);
        if (outcome(n) != MORE) return outcome(n);
    }
    c->head_length += (int)n;
    c->head[c->head_length] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return MORE;
    int status = atoi(c->head + 9);
    if (status < 200 || status >= 400) errors++;
    char *field = strcasestr(c->head, "\r\ncontent-length:");
    c->body_left = field && field < end && strcmp(method, "HEAD") != 0 ? atoll(field + 17) : 0;
    count(c, c->head_length - (end + 4 - c->head));
    // What the library has opened already. The socket then stands at the start of a record.
    char rest[HEAD_BYTES_MAX];
    while (c->tls && SSL_pending(c->tls) > 0) {
        int opened = SSL_read(c->tls, rest, sizeof rest);
        if (opened <= 0) return BROKEN;
        count(c, opened);
    }
    return MORE;
}

static char scrap[1 << 20];

static enum progress take_body(struct connection *c) {
    long long want = c->body_left < (long long)sizeof scrap ? c->body_left : (long long)sizeof scrap;
    if (bytes_per_second > 0 && want > c->allowance) want = (long long)c->allowance;
    if (want <= 0) return LATER;
    ssize_t n = recv(c->fd, scrap, (size_t)want, MSG_DONTWAIT | MSG_TRUNC);
    if (outcome(n) == MORE) count(c, n);
    return outcome(n);
}

static enum progress take_record(struct connection *c) {
    if (c->record_left > 0) {
        ssize_t n = recv(c->fd, scrap, (size_t)c->record_left, MSG_DONTWAIT | MSG_TRUNC);
        if (outcome(n) != MORE) return outcome(n);
        c->record_left -= n;
        // Counted when all of it is here, so that a body is not done before its bytes are.
        if (c->record_left == 0) count(c, (c->record_head[3] << 8 | c->record_head[4]) - RECORD_OVERHEAD_BYTES);
        return c->body_left < 0 ? BROKEN : MORE;
    }
    size_t missing = (size_t)(RECORD_HEADER_BYTES - c->record_head_length);
    ssize_t n = recv(c->fd, c->record_head + c->record_head_length, missing, MSG_DONTWAIT);
    if (outcome(n) != MORE) return outcome(n);
    c->record_head_length += (int)n;
    if (c->record_head_length < RECORD_HEADER_BYTES) return MORE;
    c->record_head_length = 0;
    c->record_left = c->record_head[3] << 8 | c->record_head[4];
    int is_application_data = c->record_head[0] == 23;
    return is_application_data && c->record_left > RECORD_OVERHEAD_BYTES ? MORE : BROKEN;
}

// Takes in what has arrived. Returns 0 when the connection has nothing more to do.
static int take(struct connection *c) {
    for (;;) {
        enum progress progress = c->body_left < 0 ? take_head(c) : c->tls ? take_record(c) : take_body(c);
        if (progress == LATER) return 1;
        if (progress == BROKEN) {
            errors++;
            return 0;
        }
        if (now() >= deadline && c->body_left != 0) return 0;
        int is_done = c->body_left == 0 || (stops_at_first_byte && c->body_left > 0 && c->received > 0);
        if (!is_done) continue;
        finished(c);
        if (stops_at_first_byte || c->tls) {
            if ((request_limit >= 0 && requests_sent >= request_limit) || now() >= deadline) return 0;
            hang_up(c);
            dial(c);
            c->received = 0;
        }
        if (!send_request(c)) return 0;
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double p) {
    return latency_count ? latencies[(int)((latency_count - 1) * p)] * 1000 : 0;
}

static int close_if_done(struct connection *c) {
    if (take(c)) return 0;
    hang_up(c);
    c->fd = -1;
    return 1;
}

// Reads what has come, whenever it has.
static void read_all(int open_count) {
    struct epoll_event events[EVENTS_MAX];
    while (open_count > 0 && now() < deadline) {
        int ready = epoll_wait(poll_fd, events, EVENTS_MAX, 200);
        for (int i = 0; i < ready; i++) open_count -= close_if_done(events[i].data.ptr);
    }
}

// Reads on all connections a bit at each tick.
static void read_slowly(struct connection *all, int open_count) {
    double tick = bytes_per_second < FAST_BYTES_PER_SECOND ? 0.1 : 0.01;
    int is_streaming = 0;
    for (double next = now() + tick; open_count > 0 && now() < deadline; next += tick) {
        double left = next - now();
        if (left > 0) nanosleep(&(struct timespec){(time_t)left, (long)((left - (double)(time_t)left) * 1e9)}, NULL);
        int streaming = 0;
        for (int i = 0; i < connection_count; i++) {
            struct connection *c = &all[i];
            if (c->fd < 0) continue;
            c->allowance += bytes_per_second * tick;
            // What was not there in time is not made up for at once.
            if (c->allowance > 4 * bytes_per_second * tick) c->allowance = 4 * bytes_per_second * tick;
            open_count -= close_if_done(c);
            streaming += c->fd >= 0 && c->body_left >= 0;
        }
        if (!is_streaming && streaming == connection_count) {
            is_streaming = 1;
            printf("{\"streaming\": %d}\n", streaming);
            fflush(stdout);
        }
    }
}

static void use_tls(void) {
    tls_context = SSL_CTX_new(TLS_client_method());
    if (!tls_context || SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(tls_context, "TLS_AES_128_GCM_SHA256") != 1) {
        fprintf(stderr, "sink: no TLS 1.3\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: sink HOST PORT CONNECTIONS (-n N | -d S) [-m M] [-H H] [-ft] [-r R] [-s S] TARGET\n");
        return 2;
    }
    host = argv[1];
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(argv[2]));
    inet_pton(AF_INET, host, &address.sin_addr);
    connection_count = atoi(argv[3]);
    double seconds = 0;
    int option;
    optind = 4;
    while ((option = getopt(argc, argv, "+n:d:m:H:ftr:s:")) != -1) {
        if (option == 'n') request_limit = atoll(optarg);
        if (option == 'd') seconds = atof(optarg);
        if (option == 'm') method = optarg;
        if (option == 'H') snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\r\n", optarg);
        if (option == 'f') stops_at_first_byte = 1;
        if (option == 't') use_tls();
        if (option == 'r') bytes_per_second = atof(optarg);
        if (option == 's') spread_size = atoll(optarg);
        if (option == '?') return 2;
    }
    targets = argv + optind;
    target_count = argc - optind;
    latencies = malloc(sizeof(double) * LATENCIES_MAX);
    struct connection *all = connection_count > 0 ? calloc((size_t)connection_count, sizeof *all) : NULL;
    if (!latencies || !all || target_count < 1) return 2;
    signal(SIGPIPE, SIG_IGN);  // The library writes without MSG_NOSIGNAL.
    poll_fd = epoll_create1(0);
    for (int i = 0; i < connection_count; i++) {
        all[i].number = i;
        dial(&all[i]);
    }
    double began = now();
    if (seconds > 0) deadline = began + seconds;
    int open_count = 0;
    for (int i = 0; i < connection_count; i++) {
        if (send_request(&all[i])) {
            open_count++;
        } else {
            hang_up(&all[i]);
            all[i].fd = -1;
        }
    }
    if (bytes_per_second > 0) {
        read_slowly(all, open_count);
    } else {
        read_all(open_count);
    }
    double elapsed = now() - began;
    long long fewest = -1;
    for (int i = 0; i < connection_count; i++) {
        if (fewest < 0 || all[i].received < fewest) fewest = all[i].received;
    }
    qsort(latencies, (size_t)latency_count, sizeof(double), ascending);
    printf("{\"requests\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"errors\": %lld, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"fewest_bytes\": %lld}\n",
           requests_done, body_bytes, elapsed, errors, percentile(0.5), percentile(0.99), fewest);
    return errors ? 1 : 0;
}
