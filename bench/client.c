/* The load generator of the benchmarks: one thread, epoll, raw HTTP/1.1 with a chunked decoder of its own.
 *
 *   client [options] 127.0.0.1:PORT PATH BODYFILE
 *     -c N   requests at a time (default 10)            -n N  requests in all (default: as many as at a time)
 *     -s US  open the connections US microseconds apart -t S  stop after S seconds (default 60)
 *     -H L   a further request header line (repeat)     -1    a new connection for every request
 *     -h S   open the streams, hold them for S seconds once each has sent an event, then close all
 *
 * Prints one JSON object. An event is one "data:" line, whatever the line ends. A stamp "@t<ns>@" in an event gives its
 * one-way latency (see upstream.c); an event with several stamps (a done event) is not timed. Times are in microseconds.
 *
 *   first_us    quantiles of the time from the request to its first event, or to the end of an answer without events
 *   latency_us  quantiles of the latency of all events
 *   stream_p99_us  quantiles, over the connections, of each connection's p99 latency
 *   share       quantiles, over the connections, of how many events each was given
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 8192
#define MAX_LINE 65536 /* of a longer one the beginning is kept: the marks that are looked for stand there */
#define MAX_TIMED (8 << 20)
#define MAX_FIRST (1 << 20)
#define MARK_BYTES 400 /* a stamp stands in the first bytes of an event */

enum state { HEAD, SIZE, DATA, DATA_END, TRAILER, UNTIL_CLOSE, LENGTH };

typedef struct {
  int fd, live, last; /* last: the server closes after this answer */
  enum state state;
  long long left, began;
  long events, all_events;
  int done_mark, completed, unnumbered, objects;
  char head[16384];
  int head_size;
  char line[MAX_LINE];
  int line_size;
  size_t sent;
} connection;

static connection *connections;
static int poller, concurrent = 10, fresh, hold = -1;
static long total = -1, stagger_us;
static double limit_s = 60;
static struct sockaddr_in address;
static char *request;
static size_t request_size;
static struct timed { int connection; float us; } *timed;
static double *first_us;
static long timed_size, first_size;
static long begun, ok, failed, bad_status, events, done_marks, completed, unnumbered, objects, bytes_in;
static char error[256];

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- what an answer says ---- */

static void note_first(connection *c, long long t) {
  if (first_size < MAX_FIRST) first_us[first_size++] = (t - c->began) / 1e3;
}

static void take_line(connection *c, const char *p, size_t size, long long t) {
  if (size < 5 || memcmp(p, "data:", 5)) return;
  c->all_events++;
  if (c->events++ == 0) note_first(c, t);
  size_t near = size < MARK_BYTES ? size : MARK_BYTES;
  const char *mark = memmem(p, near, "@t", 2);
  if (mark && !memmem(mark + 2, p + size - mark - 2, "@t", 2)) {
    long long stamp = 0;
    for (const char *s = mark + 2; s < p + size && *s >= '0' && *s <= '9'; s++) stamp = stamp * 10 + (*s - '0');
    if (stamp && timed_size < MAX_TIMED)
      timed[timed_size++] = (struct timed){.connection = c - connections, .us = (t - stamp) / 1e3};
  }
  if (size < 16 && memmem(p, size, "[DONE]", 6)) c->done_mark = 1;
  if (memmem(p, near, "\"delta\":{", 9)) c->objects++;
  if (memmem(p, size, "\"sequence_number\":-1", 20)) c->unnumbered++;
  if (memmem(p, size, "\"type\":\"response.completed\"", 27)) c->completed = 1;
}

static void keep(connection *c, const char *p, size_t size) {
  size_t room = MAX_LINE - c->line_size;
  if (size > room) size = room;
  memcpy(c->line + c->line_size, p, size);
  c->line_size += size;
}

static void take_body(connection *c, const char *p, size_t size, long long t) {
  const char *end = p + size;
  while (p < end) {
    const char *newline = memchr(p, '\n', end - p);
    if (!newline) { keep(c, p, end - p); return; }
    if (c->line_size) {
      keep(c, p, newline - p);
      take_line(c, c->line, c->line_size, t);
      c->line_size = 0;
    } else take_line(c, p, newline - p, t);
    p = newline + 1;
  }
}

/* Takes the bytes of an answer's head; 1: it is whole. */
static int take_head(connection *c, const char **p, const char *end) {
  while (*p < end && c->head_size < (int)sizeof c->head - 1) {
    c->head[c->head_size++] = *(*p)++;
    if (c->head_size >= 4 && !memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4)) break;
  }
  c->head[c->head_size] = 0;
  if (c->head_size < 4 || memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4)) return 0;
  int status = atoi(c->head + 9);
  if (status == 100) { c->head_size = 0; return 0; }
  if (status != 200) { bad_status++; snprintf(error, sizeof error, "status %d", status); }
  c->last = strcasestr(c->head, "\nconnection: close") != NULL;
  char *length = strcasestr(c->head, "\ncontent-length:");
  c->left = 0;
  if (strcasestr(c->head, "\ntransfer-encoding: chunked")) c->state = SIZE;
  else if (length) { c->state = LENGTH; c->left = atoll(length + 16); }
  else { c->state = UNTIL_CLOSE; c->last = 1; }
  return 1;
}

/* Takes bytes from the wire; 1: the answer is whole. */
static int take(connection *c, const char *p, size_t size, long long t) {
  const char *end = p + size;
  while (p < end || (c->state == LENGTH && !c->left)) {
    switch (c->state) {
      case HEAD:
        take_head(c, &p, end);
        break;
      case SIZE: {
        char h = *p++;
        if (h == '\n') { c->state = c->left ? DATA : TRAILER; c->head_size = 0; }
        else if (h >= '0' && h <= '9') c->left = c->left * 16 + h - '0';
        else if ((h | 32) >= 'a' && (h | 32) <= 'f') c->left = c->left * 16 + (h | 32) - 'a' + 10;
        break;
      }
      case DATA:
      case LENGTH: {
        size_t piece = end - p;
        if ((long long)piece > c->left) piece = c->left;
        take_body(c, p, piece, t);
        p += piece;
        c->left -= piece;
        if (!c->left && c->state == LENGTH) return 1;
        if (!c->left) c->state = DATA_END;
        break;
      }
      case DATA_END:
        if (*p++ == '\n') { c->state = SIZE; c->left = 0; }
        break;
      case TRAILER: {
        char h = *p++;
        if (h == '\n' && c->head_size == 0) return 1;
        if (h == '\n') c->head_size = 0;
        else if (h != '\r') c->head_size++;
        break;
      }
      case UNTIL_CLOSE:
        take_body(c, p, end - p, t);
        p = end;
    }
  }
  return 0;
}

/* ---- connections ---- */

static void hang_up(connection *c) {
  if (c->live) close(c->fd);
  c->live = 0;
}

static int dial(connection *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(c->fd, (void *)&address, sizeof address) && errno != EINPROGRESS) return -1;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
  c->live = 1;
  return 0;
}

static void send_request(connection *c) {
  while (c->sent < request_size) {
    ssize_t k = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
    if (k < 0) {
      if (errno != EAGAIN && errno != ENOTCONN) snprintf(error, sizeof error, "send: %s", strerror(errno));
      return;
    }
    c->sent += k;
  }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void begin(connection *c) {
  begun++;
  c->state = HEAD;
  c->head_size = c->line_size = 0;
  c->sent = 0;
  c->last = 0;
  c->events = c->done_mark = c->completed = c->unnumbered = c->objects = 0;
  c->began = now();
  if (!c->live && dial(c)) { failed++; return; }
  send_request(c);
}

static void count(connection *c) {
  events += c->events;
  done_marks += c->done_mark;
  completed += c->completed;
  unnumbered += c->unnumbered;
  objects += c->objects;
}

static void over(connection *c, int good, long long t) {
  if (good && !c->events) note_first(c, t);
  count(c);
  if (good) ok++;
  else failed++;
  c->events = c->done_mark = c->completed = c->unnumbered = c->objects = 0;
  if (!good || fresh || c->last || begun >= total) hang_up(c);
  if (begun < total) begin(c);
}

static void readable(connection *c) {
  static char bytes[1 << 18];
  ssize_t k = recv(c->fd, bytes, sizeof bytes, 0);
  long long t = now();
  if (k < 0 && errno == EAGAIN) return;
  if (k <= 0) {
    int good = k == 0 && c->state == UNTIL_CLOSE;
    if (!good)
      snprintf(error, sizeof error, "%s in state %d after %ld events", k ? strerror(errno) : "closed", c->state, c->events);
    c->last = 1;
    over(c, good, t);
    return;
  }
  bytes_in += k;
  if (take(c, bytes, k, t)) over(c, 1, t);
}

/* Opens what is due; in hold mode, says when the time is up. */
static int open_due(long long t, int *opened, long long *next_open) {
  static long long held_since;
  while (*opened < concurrent && t >= *next_open) {
    begin(&connections[(*opened)++]);
    *next_open += stagger_us * 1000;
    if (!stagger_us && *opened % 64 == 0) break;
  }
  if (hold < 0) return ok + failed >= total;
  long begun = 0;
  for (int i = 0; i < *opened; i++) begun += connections[i].events > 0;
  if (!held_since && *opened == concurrent && begun + failed >= concurrent) held_since = t;
  return held_since && t - held_since > hold * 1000000000LL;
}

static void run(void) {
  struct epoll_event ready[256];
  long long begin_at = now(), deadline = begin_at + (long long)(limit_s * 1e9), next_open = begin_at;
  int opened = 0;
  for (;;) {
    long long t = now();
    if (t > deadline || open_due(t, &opened, &next_open)) return;
    int n = epoll_wait(poller, ready, 256, opened == concurrent ? 50 : stagger_us >= 1000);
    for (int i = 0; i < n; i++) {
      connection *c = ready[i].data.ptr;
      if (c->live && ready[i].events & EPOLLOUT && c->sent < request_size) send_request(c);
      if (c->live && ready[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
    }
  }
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int by_connection(const void *a, const void *b) {
  const struct timed *x = a, *y = b;
  if (x->connection != y->connection) return x->connection - y->connection;
  return (x->us > y->us) - (x->us < y->us);
}

static void print_quantiles(const char *name, double *values, long size) {
  static const struct { const char *name; double q; } Q[] = {
      {"min", 0}, {"p1", .01}, {"p10", .1}, {"p25", .25}, {"p50", .5}, {"p75", .75}, {"p90", .9}, {"p95", .95},
      {"p99", .99}, {"p999", .999}, {"max", 1}};
  qsort(values, size, sizeof *values, by_value);
  printf(",\"%s\":{", name);
  for (size_t i = 0; size && i < sizeof Q / sizeof *Q; i++)
    printf("%s\"%s\":%.1f", i ? "," : "", Q[i].name, values[(long)(Q[i].q * (size - 1))]);
  printf("}");
}

static void print_latencies(void) {
  double *all = malloc((timed_size + 1) * sizeof *all), *worst = malloc(concurrent * sizeof *worst);
  long streams = 0, first = 0;
  qsort(timed, timed_size, sizeof *timed, by_connection);
  for (long i = 0; i < timed_size; i++) {
    all[i] = timed[i].us;
    if (i + 1 < timed_size && timed[i + 1].connection == timed[i].connection) continue;
    worst[streams++] = timed[first + (long)(.99 * (i - first))].us;
    first = i + 1;
  }
  print_quantiles("latency_us", all, timed_size);
  print_quantiles("stream_p99_us", worst, streams);
  double *share = all = realloc(all, concurrent * sizeof *all);
  for (int i = 0; i < concurrent; i++) share[i] = connections[i].all_events;
  print_quantiles("share", share, concurrent);
}

static void report(double wall_s) {
  struct rusage usage;
  long held = 0;
  for (int i = 0; i < concurrent; i++) {
    connection *c = &connections[i];
    held += c->live && c->events;
    count(c);
    hang_up(c);
  }
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"wall_s\":%.4f,\"ok\":%ld,\"failed\":%ld,\"bad_status\":%ld,\"held\":%ld,\"events\":%ld,\"bytes\":%ld,"
         "\"done_marks\":%ld,\"completed\":%ld,\"unnumbered\":%ld,\"object_deltas\":%ld,\"client_cpu_s\":%.3f,\"error\":\"%s\"",
         wall_s, ok, failed, bad_status, held, events, bytes_in, done_marks, completed, unnumbered, objects,
         usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6, error);
  print_quantiles("first_us", first_us, first_size);
  print_latencies();
  printf("}\n");
}

static void read_request(const char *target, const char *host, const char *path, const char *extra) {
  static char body[1 << 20];
  FILE *f = fopen(path, "rb");
  if (!f) { perror(path); exit(2); }
  size_t size = fread(body, 1, sizeof body, f);
  fclose(f);
  request = malloc(size + 8192);
  request_size = sprintf(request,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
                         "Authorization: Bearer sk-bench\r\n%sContent-Length: %zu\r\n\r\n", target, host, extra, size);
  memcpy(request + request_size, body, size);
  request_size += size;
}

int main(int argc, char **argv) {
  int option;
  char extra[4096] = "";
  while ((option = getopt(argc, argv, "c:n:s:t:H:1h:")) != -1) switch (option) {
      case 'c': concurrent = atoi(optarg); break;
      case 'n': total = atol(optarg); break;
      case 's': stagger_us = atol(optarg); break;
      case 't': limit_s = atof(optarg); break;
      case '1': fresh = 1; break;
      case 'h': hold = atoi(optarg); break;
      case 'H':
        strncat(extra, optarg, sizeof extra - strlen(extra) - 3);
        strcat(extra, "\r\n");
        break;
      default: return 2;
    }
  if (argc - optind < 3 || concurrent < 1 || concurrent > MAX_CONNECTIONS) {
    fprintf(stderr, "usage: client [-c N -n N -s US -t S -H L -1 -h S] 127.0.0.1:PORT PATH BODYFILE\n");
    return 2;
  }
  if (total < concurrent) total = concurrent;
  char *host = strdup(argv[optind]), *colon = strchr(host, ':');
  if (!colon) { fprintf(stderr, "no port: %s\n", host); return 2; }
  *colon = 0;
  address.sin_family = AF_INET;
  address.sin_port = htons(atoi(colon + 1));
  inet_pton(AF_INET, host, &address.sin_addr);
  if (ntohl(address.sin_addr.s_addr) >> 24 != 127) { fprintf(stderr, "loopback only\n"); return 2; }
  read_request(argv[optind + 1], argv[optind], argv[optind + 2], extra);
  timed = malloc(MAX_TIMED * sizeof *timed);
  first_us = malloc(MAX_FIRST * sizeof *first_us);
  connections = calloc(concurrent, sizeof *connections);
  poller = epoll_create1(0);
  signal(SIGPIPE, SIG_IGN);
  long long began = now();
  run();
  report((now() - began) / 1e9);
  return 0;
}
