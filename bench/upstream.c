/* The upstream of the benchmarks: a stand-in for vLLM that costs next to nothing. One thread, epoll.
 *
 *   upstream PORT [FOLDER]    (loopback only)
 *
 * POST /v1/responses, /v1/chat/completions, /v1/completions, /v1/messages       an SSE stream, one HTTP chunk per event as uvicorn sends it, chosen by a word in the body:
 *
 *   spec=KIND-TRAIT-EVENTS-MS-BYTES
 *     KIND    burst  the whole recorded stream, as fast as the socket takes it
 *             paced  an event every MS milliseconds; 0: one write() per event, flat out
 *             idle   the beginning and one delta, then silence until the connection is closed
 *             file   the whole answer, head and framing too, that the file FOLDER/EVENTS holds; the connection is closed
 *                    after it unless it ends with the last chunk
 *             live   the same, its head at once and then a chunk every MS milliseconds
 *     TRAIT   ok     a conforming stream
 *             text   the same without reasoning: a message alone
 *             bad    sequence_number is -1, every fourth delta is an object, all done events, the output of
 *                    response.completed and [DONE] are missing
 *     EVENTS  number of delta events: a quarter reasoning, the rest text; of a file: its name
 *     BYTES   size of each delta's text (0: words as a model makes them)
 *
 *   Deltas of paced streams carry "@t<CLOCK_MONOTONIC, ns>@": a client on this machine can measure each event's latency.
 *
 * GET /__stats             {"active":..,"started":..,"aborted":..,"finished":..}: streams
 * anything else            a short JSON document
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD 16384
#define MAX_REQUEST (1 << 20)
#define MAX_RECORDED 64

enum kind { BURST, PACED, IDLE, IN_FILE, LIVE };

typedef struct {
  char *bytes;
  size_t size, room;
} buffer;

typedef struct {
  enum kind kind;
  int bad, text_only, events;
  long ms, bytes;
} stream_spec;

typedef struct {
  int fd, open, streaming, close_after, wants_out;
  stream_spec spec;
  int next;              /* number of the next delta */
  long long due;         /* when it is to be sent, ns */
  buffer request;
  buffer words[2];        /* the words of a conforming stream's deltas: reasoning, text */
  const buffer *answer;  /* of a live stream: the whole of it, of which `answer_sent` has been sent */
  size_t answer_sent;
  const char *fixed;     /* bytes that outlive the connection: recorded streams, plain answers */
  size_t fixed_size, fixed_sent;
  buffer unsent;         /* bytes of paced events that the socket did not take yet */
  size_t unsent_sent;
} connection;

static connection connections[MAX_FD];
static const char *folder = ".";
static int poller, active[MAX_FD], actives;
static long long started, aborted, finished_streams;
static volatile sig_atomic_t stop;

static void on_signal(int number) { (void)number; stop = 1; }

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- buffers ---- */

static void reserve(buffer *b, size_t size) {
  if (b->size + size <= b->room) return;
  b->room = (b->size + size) * 2 + 4096;
  b->bytes = realloc(b->bytes, b->room);
  if (!b->bytes) { perror("realloc"); exit(1); }
}

static void put(buffer *b, const char *bytes, size_t size) {
  reserve(b, size);
  memcpy(b->bytes + b->size, bytes, size);
  b->size += size;
}

__attribute__((format(printf, 2, 3))) static void print(buffer *b, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  reserve(b, size + 1);
  va_start(arguments, format);
  vsnprintf(b->bytes + b->size, size + 1, format, arguments);
  va_end(arguments);
  b->size += size;
}

/* Adds an event as one HTTP chunk. */
static void put_chunk(buffer *b, const buffer *event) {
  char head[24];
  put(b, head, snprintf(head, sizeof head, "%zx\r\n", event->size));
  put(b, event->bytes, event->size);
  put(b, "\r\n", 2);
}

/* ---- the stream ---- */

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 09:00:00 GMT\r\nserver: uvicorn\r\n"
    "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

static const char *const WORDS[] = {" the", " stream", " of", " tokens", " is", " rewritten", " while", " it",
                                    " passes", "\\n\\n", " through", " \\\"quoted\\\"", " caf\\u00e9", " proxy", ".", ","};

static const char RESPONSE[] =
    "{\"id\":\"resp_5f0c7f2a9d3e4b6c8a1b2c3d4e5f6071\",\"created_at\":1763715600,\"incomplete_details\":null,"
    "\"instructions\":null,\"metadata\":{},\"model\":\"openai/gpt-oss-20b\",\"object\":\"response\",\"output\":[%s],"
    "\"parallel_tool_calls\":true,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,"
    "\"background\":false,\"error\":null,\"max_output_tokens\":131000,\"max_tool_calls\":null,"
    "\"previous_response_id\":null,\"prompt\":null,\"reasoning\":null,\"service_tier\":\"auto\",\"status\":\"%s\","
    "\"text\":{\"format\":{\"type\":\"text\"}},\"top_logprobs\":0,\"truncation\":\"disabled\",\"usage\":%s,\"user\":null}";

static const char USAGE[] =
    "{\"input_tokens\":72,\"input_tokens_details\":{\"cached_tokens\":64},\"output_tokens\":200,"
    "\"output_tokens_details\":{\"reasoning_tokens\":50},\"total_tokens\":272}";

#define REASONING_ID "rs_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
#define MESSAGE_ID "msg_1a2b3c4d5e6f708192a3b4c5d6e7f809"

/* Writes one event; what follows the type is a printf format of its JSON members before the sequence number. */
#define EVENT(b, spec, number, type, ...)                                               \
  do {                                                                                  \
    static buffer event_;                                                               \
    event_.size = 0;                                                                    \
    print(&event_, "event: " type "\ndata: {");                                         \
    print(&event_, __VA_ARGS__);                                                        \
    print(&event_, ",\"sequence_number\":%d,\"type\":\"" type "\"}\n\n", (spec)->bad ? -1 : (number)); \
    put_chunk(b, &event_);                                                              \
  } while (0)

static int reasoning_events(const stream_spec *s) { return s->text_only ? 0 : s->events / 4; }

/* Numbers of a conforming stream: created, in_progress, item added, part added; then the deltas; three done events and two
 * added events between reasoning and text; three done events and completed. */
static int between(const stream_spec *s) { return s->text_only ? 0 : 5; }

static int number_of_delta(const stream_spec *s, int i) { return 4 + i + (i >= reasoning_events(s) ? between(s) : 0); }

static int message_index(const stream_spec *s) { return !s->text_only; }

static void open_message(buffer *b, const stream_spec *s) {
  int n = 2 + reasoning_events(s) + between(s);
  EVENT(b, s, n, "response.output_item.added",
        "\"item\":{\"id\":\"" MESSAGE_ID "\",\"content\":[],\"role\":\"assistant\",\"status\":\"in_progress\","
        "\"type\":\"message\"},\"output_index\":%d", message_index(s));
  EVENT(b, s, n + 1, "response.content_part.added",
        "\"content_index\":0,\"item_id\":\"" MESSAGE_ID "\",\"output_index\":%d,"
        "\"part\":{\"annotations\":[],\"text\":\"\",\"type\":\"output_text\",\"logprobs\":[]}", message_index(s));
}

static void open_stream(buffer *b, const stream_spec *s) {
  static buffer response;
  response.size = 0;
  print(&response, RESPONSE, "", "in_progress", "null");
  EVENT(b, s, 0, "response.created", "\"response\":%.*s", (int)response.size, response.bytes);
  EVENT(b, s, 1, "response.in_progress", "\"response\":%.*s", (int)response.size, response.bytes);
  if (s->text_only) {
    open_message(b, s);
    return;
  }
  EVENT(b, s, 2, "response.output_item.added",
        "\"item\":{\"id\":\"" REASONING_ID "\",\"summary\":[],\"type\":\"reasoning\",\"content\":[],"
        "\"encrypted_content\":null,\"status\":\"in_progress\"},\"output_index\":0");
  EVENT(b, s, 3, "response.content_part.added",
        "\"content_index\":0,\"item_id\":\"" REASONING_ID "\",\"output_index\":0,"
        "\"part\":{\"text\":\"\",\"type\":\"reasoning_text\"}");
}

static void close_reasoning(buffer *b, const stream_spec *s, const buffer *text) {
  int n = 4 + reasoning_events(s), size = (int)text->size;
  if (s->bad) return;
  EVENT(b, s, n, "response.reasoning_text.done",
        "\"content_index\":0,\"item_id\":\"" REASONING_ID "\",\"output_index\":0,\"text\":\"%.*s\"", size, text->bytes);
  EVENT(b, s, n + 1, "response.content_part.done",
        "\"content_index\":0,\"item_id\":\"" REASONING_ID "\",\"output_index\":0,"
        "\"part\":{\"text\":\"%.*s\",\"type\":\"reasoning_text\"}", size, text->bytes);
  EVENT(b, s, n + 2, "response.output_item.done",
        "\"item\":{\"id\":\"" REASONING_ID "\",\"summary\":[],\"type\":\"reasoning\",\"content\":[{\"text\":\"%.*s\","
        "\"type\":\"reasoning_text\"}],\"encrypted_content\":null,\"status\":\"completed\"},\"output_index\":0",
        size, text->bytes);
}

/* Writes delta number i, with whatever comes before it; stamp >= 0 stands in its text. */
static void put_delta(buffer *b, const stream_spec *s, int i, long long stamp, buffer words[2]) {
  static buffer text, delta;
  int reasoning = i < reasoning_events(s), number = number_of_delta(s, i);
  if (i == reasoning_events(s) && !s->text_only) {
    close_reasoning(b, s, &words[0]);
    open_message(b, s);
  }
  text.size = 0;
  if (stamp >= 0) print(&text, " @t%lld@", stamp);
  else put(&text, WORDS[i & 15], strlen(WORDS[i & 15]));
  while ((long)text.size < s->bytes) put(&text, "x", 1);
  if (!s->bad) put(&words[!reasoning], text.bytes, text.size);
  delta.size = 0;
  if (s->bad && (i & 3) == 3)
    print(&delta, "{\"content\":\"%.*s\",\"reasoning\":null,\"tool_calls\":[]}", (int)text.size, text.bytes);
  else print(&delta, "\"%.*s\"", (int)text.size, text.bytes);
  if (reasoning)
    EVENT(b, s, number, "response.reasoning_text.delta",
          "\"content_index\":0,\"delta\":%.*s,\"item_id\":\"" REASONING_ID "\",\"output_index\":0", (int)delta.size, delta.bytes);
  else
    EVENT(b, s, number, "response.output_text.delta",
          "\"content_index\":0,\"delta\":%.*s,\"item_id\":\"" MESSAGE_ID "\",\"logprobs\":[],\"output_index\":%d",
          (int)delta.size, delta.bytes, message_index(s));
}

static void close_stream(buffer *b, const stream_spec *s, const buffer words[2]) {
  static buffer output, response;
  int n = 4 + s->events + between(s), index = message_index(s), size = (int)words[1].size;
  output.size = 0;
  if (!s->bad) {
    EVENT(b, s, n, "response.output_text.done",
          "\"content_index\":0,\"item_id\":\"" MESSAGE_ID "\",\"logprobs\":[],\"output_index\":%d,\"text\":\"%.*s\"",
          index, size, words[1].bytes);
    EVENT(b, s, n + 1, "response.content_part.done",
          "\"content_index\":0,\"item_id\":\"" MESSAGE_ID "\",\"output_index\":%d,"
          "\"part\":{\"annotations\":[],\"text\":\"%.*s\",\"type\":\"output_text\",\"logprobs\":[]}", index, size, words[1].bytes);
    print(&output,
          "{\"id\":\"" MESSAGE_ID "\",\"content\":[{\"annotations\":[],\"text\":\"%.*s\",\"type\":\"output_text\","
          "\"logprobs\":[]}],\"role\":\"assistant\",\"status\":\"completed\",\"type\":\"message\"}", size, words[1].bytes);
    EVENT(b, s, n + 2, "response.output_item.done", "\"item\":%.*s,\"output_index\":%d", (int)output.size,
          output.bytes, index);
    static buffer both;
    both.size = 0;
    if (!s->text_only) print(&both,
          "{\"id\":\"" REASONING_ID "\",\"summary\":[],\"type\":\"reasoning\",\"content\":[{\"text\":\"%.*s\","
          "\"type\":\"reasoning_text\"}],\"encrypted_content\":null,\"status\":\"completed\"},",
          (int)words[0].size, words[0].bytes);
    put(&both, output.bytes, output.size);
    output.size = 0;
    put(&output, both.bytes, both.size);
  }
  put(&output, "", 1);
  response.size = 0;
  print(&response, RESPONSE, output.bytes, "completed", USAGE);
  EVENT(b, s, n + 3, "response.completed", "\"response\":%.*s", (int)response.size, response.bytes);
  if (!s->bad) put(b, "e\r\ndata: [DONE]\n\n\r\n", 19);
  put(b, "0\r\n\r\n", 5);
}

/* Returns the whole stream, made once. */
static const buffer *recorded(const stream_spec *s) {
  static struct {
    stream_spec spec;
    buffer bytes;
  } cache[MAX_RECORDED];
  static int size;
  for (int i = 0; i < size; i++)
    if (cache[i].spec.bad == s->bad && cache[i].spec.text_only == s->text_only && cache[i].spec.events == s->events &&
        cache[i].spec.bytes == s->bytes)
      return &cache[i].bytes;
  if (size == MAX_RECORDED) { fprintf(stderr, "more than %d different streams\n", MAX_RECORDED); exit(1); }
  cache[size].spec = *s;
  buffer *b = &cache[size++].bytes, words[2] = {0};
  put(b, HEAD, sizeof HEAD - 1);
  open_stream(b, s);
  for (int i = 0; i < s->events; i++) put_delta(b, s, i, -1, words);
  close_stream(b, s, words);
  free(words[0].bytes);
  free(words[1].bytes);
  return b;
}

/* ---- connections ---- */

static void want_out(connection *c, int out) {
  if (c->wants_out == out) return;
  c->wants_out = out;
  struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (out ? EPOLLOUT : 0), .data.fd = c->fd};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void deactivate(int fd) {
  for (int i = 0; i < actives; i++)
    if (active[i] == fd) {
      active[i] = active[--actives];
      return;
    }
}

static int is_paced(const connection *c) {
  return c->spec.kind == PACED || c->spec.kind == IDLE || c->spec.kind == LIVE;
}

static void drop(connection *c) {
  if (!c->open) return;
  if (c->streaming) {
    aborted++;
    if (is_paced(c)) deactivate(c->fd);
  }
  close(c->fd);
  free(c->request.bytes);
  free(c->words[0].bytes);
  free(c->words[1].bytes);
  free(c->unsent.bytes);
  memset(c, 0, sizeof *c);
}

static void take_requests(connection *c);

static void answered(connection *c) {
  if (c->streaming) {
    finished_streams++;
    if (is_paced(c)) deactivate(c->fd);
  }
  c->streaming = 0;
  c->fixed = NULL;
  c->unsent.size = c->unsent_sent = 0;
  want_out(c, 0);
  if (c->close_after) drop(c);
  else if (c->request.size) take_requests(c);
}

/* 1: all is sent; 0: the socket takes no more now; -1: the connection is gone. */
static int send_fixed(connection *c) {
  while (c->fixed_sent < c->fixed_size) {
    ssize_t k = send(c->fd, c->fixed + c->fixed_sent, c->fixed_size - c->fixed_sent, MSG_NOSIGNAL);
    if (k < 0 && errno == EAGAIN) { want_out(c, 1); return 0; }
    if (k < 0) { drop(c); return -1; }
    c->fixed_sent += k;
  }
  return 1;
}

static int send_unsent(connection *c) {
  while (c->unsent_sent < c->unsent.size) {
    ssize_t k = send(c->fd, c->unsent.bytes + c->unsent_sent, c->unsent.size - c->unsent_sent, MSG_NOSIGNAL);
    if (k < 0 && errno == EAGAIN) { want_out(c, 1); return 0; }
    if (k < 0) { drop(c); return -1; }
    c->unsent_sent += k;
  }
  c->unsent.size = c->unsent_sent = 0;
  want_out(c, 0);
  return 1;
}

static int send_bytes(connection *c, const buffer *b) {
  put(&c->unsent, b->bytes, b->size);
  return send_unsent(c);
}

/* Returns where the piece of a live answer ends that begins there: its head, or one chunk. */
static size_t piece_end(const buffer *answer, size_t at) {
  const char *bytes = answer->bytes + at, *end = memmem(bytes, answer->size - at, at ? "\r\n" : "\r\n\r\n", at ? 2 : 4);
  if (!end) return answer->size;
  size_t line = end - bytes, size = at ? strtoul(bytes, 0, 16) : 0, whole = at + line + 4 + size;
  return (at && !size) || whole > answer->size ? answer->size : whole;
}

static void step_live(connection *c, long long t) {
  static buffer b;
  size_t end = piece_end(c->answer, c->answer_sent);
  b.size = 0;
  put(&b, c->answer->bytes + c->answer_sent, end - c->answer_sent);
  c->answer_sent = end;
  c->due += c->spec.ms * 1000000LL;
  if (c->due < t - 1000000000LL) c->due = t;
  if (send_bytes(c, &b) == 1 && end == c->answer->size) answered(c);
}

/* Sends what is due in a paced stream; nothing while the socket is full. */
static void step(connection *c, long long t) {
  static buffer b;
  if (c->unsent.size) return;
  if (c->spec.kind == LIVE) {
    step_live(c, t);
    return;
  }
  b.size = 0;
  if (c->next < c->spec.events) {
    put_delta(&b, &c->spec, c->next++, t, c->words);
    c->due += c->spec.ms * 1000000LL;
    if (c->due < t - 1000000000LL) c->due = t;
    send_bytes(c, &b);
  } else if (c->spec.kind == PACED) {
    c->next = c->spec.events + 1;
    close_stream(&b, &c->spec, c->words);
    if (send_bytes(c, &b) == 1) answered(c);
  }
}

static void begin_stream(connection *c, const char *body, size_t size) {
  char kind[16] = "burst", trait[8] = "bad", copy[256];
  c->spec = (stream_spec){.kind = BURST, .bad = 1, .events = 200};
  const char *words = memmem(body, size, "spec=", 5);
  if (words) {
    size_t rest = size - (words - body);
    snprintf(copy, sizeof copy, "%.*s", (int)rest, words + 5);
    sscanf(copy, "%15[a-z]-%7[a-z]-%d-%ld-%ld", kind, trait, &c->spec.events, &c->spec.ms, &c->spec.bytes);
  }
  c->spec.bad = trait[0] == 'b';
  c->spec.text_only = trait[0] == 't';
  c->spec.kind = kind[0] == 'p' ? PACED : kind[0] == 'i' ? IDLE : kind[0] == 'f' ? IN_FILE : kind[0] == 'l' ? LIVE : BURST;
  if (c->spec.kind == IDLE) c->spec.events = 1;
  c->next = 0;
  c->words[0].size = c->words[1].size = 0;
  c->streaming = 1;
  started++;
}

/* Returns the answer that a file holds, read once; NULL: there is none. */
static const buffer *answer_in(int number) {
  static struct {
    int number;
    buffer bytes;
  } cache[MAX_RECORDED];
  static int size;
  static char piece[65536];
  size_t read;
  for (int i = 0; i < size; i++)
    if (cache[i].number == number) return &cache[i].bytes;
  snprintf(piece, sizeof piece, "%s/%d", folder, number);
  FILE *file = fopen(piece, "rb");
  if (!file) { perror(piece); return NULL; }
  int slot = size < MAX_RECORDED ? size++ : number % MAX_RECORDED;
  cache[slot].number = number;
  cache[slot].bytes.size = 0;
  while ((read = fread(piece, 1, sizeof piece, file)) > 0) put(&cache[slot].bytes, piece, read);
  fclose(file);
  return &cache[slot].bytes;
}

static void serve_file(connection *c) {
  static const char END[] = "\r\n0\r\n\r\n";
  const size_t end = sizeof END - 1;
  const buffer *answer = answer_in(c->spec.events);
  if (!answer) { drop(c); return; }
  if (answer->size < end || memcmp(answer->bytes + answer->size - end, END, end)) c->close_after = 1;
  if (c->spec.kind == LIVE) {
    c->answer = answer;
    c->answer_sent = 0;
    active[actives++] = c->fd;
    c->due = now();
    step_live(c, c->due);
  } else if (send_bytes(c, answer) == 1) {
    answered(c);
  }
}

static void serve_stream(connection *c) {
  if (c->spec.kind == BURST) {
    const buffer *whole = recorded(&c->spec);
    c->fixed = whole->bytes;
    c->fixed_size = whole->size;
    c->fixed_sent = 0;
    if (send_fixed(c) == 1) answered(c);
    return;
  }
  if (c->spec.kind == IN_FILE || c->spec.kind == LIVE) {
    serve_file(c);
    return;
  }
  static buffer b;
  b.size = 0;
  put(&b, HEAD, sizeof HEAD - 1);
  open_stream(&b, &c->spec);
  active[actives++] = c->fd;
  c->due = now();
  send_bytes(c, &b);
}

static void serve_document(connection *c, int stats) {
  static buffer b, body;
  body.size = b.size = 0;
  if (stats)
    print(&body, "{\"active\":%lld,\"started\":%lld,\"aborted\":%lld,\"finished\":%lld}",
          started - aborted - finished_streams, started, aborted, finished_streams);
  else
    print(&body, "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.0023,-0.0092,0.0157,"
                 "-0.0288,0.0041,0.0316,-0.0123,0.0074]}],\"model\":\"bench\",\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}");
  print(&b, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%.*s", body.size,
        (int)body.size, body.bytes);
  if (send_bytes(c, &b) == 1) answered(c);
}

static int asks_for_stream(const char *request) {
  static const char *const PATHS[] = {"responses ", "chat/completions ", "completions ", "messages "};
  for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++)
    if (!strncmp(request, "POST /v1/", 9) && !strncmp(request + 9, PATHS[i], strlen(PATHS[i]))) return 1;
  return 0;
}

/* Answers the requests that are here whole, one at a time. */
static void take_requests(connection *c) {
  while (c->open && c->request.size && !c->streaming && !c->fixed && !c->unsent.size) {
    char *all = c->request.bytes, *end = memmem(all, c->request.size, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = end - all + 4, length = 0, total;
    int chunked = 0;
    for (char *line = all; line && line < end;) {
      if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, 0, 10);
      if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = 1;
      if (!strncasecmp(line, "connection: close", 17)) c->close_after = 1;
      line = memmem(line, end - line, "\r\n", 2);
      if (line) line += 2;
    }
    total = head + length;
    if (chunked) {
      char *last = memmem(all + head, c->request.size - head, "0\r\n\r\n", 5);
      if (!last) return;
      total = last + 5 - all;
    }
    if (c->request.size < total) return;
    int stream = asks_for_stream(all), stats = !strncmp(all, "GET /__stats", 12);
    if (stream) begin_stream(c, all + head, total - head);
    memmove(all, all + total, c->request.size - total);
    c->request.size -= total;
    if (stream) serve_stream(c);
    else serve_document(c, stats);
  }
}

static void readable(connection *c) {
  if (c->request.size > MAX_REQUEST) { drop(c); return; }
  reserve(&c->request, 16384);
  ssize_t k = recv(c->fd, c->request.bytes + c->request.size, c->request.room - c->request.size, 0);
  if (k == 0 || (k < 0 && errno != EAGAIN)) { drop(c); return; }
  if (k > 0) {
    c->request.size += k;
    take_requests(c);
  }
}

static void writable(connection *c) {
  if (c->fixed) {
    if (send_fixed(c) == 1) answered(c);
  } else if (c->unsent.size && send_unsent(c) == 1) {
    int over = !c->streaming || c->spec.kind == IN_FILE || (c->spec.kind == PACED && c->next > c->spec.events) ||
               (c->spec.kind == LIVE && c->answer_sent == c->answer->size);
    if (over) answered(c);
  }
}

static void accept_all(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
    if (fd >= MAX_FD) { close(fd); continue; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[fd] = (connection){.fd = fd, .open = 1};
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
}

/* Sends what is due; returns for how many milliseconds nothing else will be. */
static int send_due(void) {
  const long long never = 1LL << 62;
  long long first = never, t = now();
  for (int i = actives - 1; i >= 0; i--) {
    if (i >= actives) continue; /* several streams ended at once */
    connection *c = &connections[active[i]];
    if (c->spec.kind == IDLE && c->next >= c->spec.events) continue;
    if (c->due <= t) step(c, now());
    if (c->open && c->streaming && !c->unsent.size && c->due < first) first = c->due;
  }
  if (first == never) return 1000;
  long long wait = first - now();
  return wait <= 0 ? 0 : wait < 1000000 ? 1 : (int)(wait / 1000000);
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 9000, one = 1;
  if (argc > 2) folder = argv[2];
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) { perror("bind"); return 1; }
  poller = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[512];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  while (!stop) {
    int n = epoll_wait(poller, events, 512, actives ? send_due() : 1000);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener) { accept_all(listener); continue; }
      connection *c = &connections[events[i].data.fd];
      if (c->open && events[i].events & (EPOLLERR | EPOLLHUP)) drop(c);
      if (c->open && events[i].events & EPOLLOUT) writable(c);
      if (c->open && events[i].events & (EPOLLIN | EPOLLRDHUP)) readable(c);
    }
  }
  return 0;
}
