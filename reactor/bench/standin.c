/* The exchange of `reactor bench latency`: streams ticks, takes orders, stamps both with one monotonic clock.
 *
 * One thread, one poll. Stands for the sockets of an exchange: what it is asked over HTTP goes on to a
 * simulated exchange behind it (REST orders excepted). Told what to do by lines on standard input, answers
 * by lines on standard output; see `reactor/bench/latency_standin.py`, which speaks the other side.
 *
 * Order of work at an order's receipt: stamp, then answer, then the user stream's events.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, IN_MAX = 1 << 18, OUT_MAX = 1 << 17, SYMBOLS_MAX = 512, NAME_MAX_ = 32 };
enum role {
  HTTP, BACKEND, MARKET, PUBLIC, PRIVATE, API, FLOOR_MARKET, FLOOR_API, COUNT_MARKET,
  OTHER_MARKET, OTHER_PRIVATE, OTHER_API /* another client's, below /other */
};

struct connection {
  int fd;
  enum role role;
  void *tls;
  int peer; /* of a tunnel; -1 for none */
  int plain; /* ticks without the stream's name around them: a single stream's socket */
  size_t filled;
  int64_t read_ns;
  char in[IN_MAX];
};

static struct connection *open_[CONNECTIONS_MAX];
static int listeners[2] = {-1, -1};
static int backend_port;
static char symbols[SYMBOLS_MAX][NAME_MAX_];
static int symbol_count = 1;
static int64_t trade_id = 1000000;
static int64_t order_number = 5000000;

/* The order that is awaited: filled in by whoever reads it. */
static int64_t order_ns, order_real_ns;
static char order_client[64];
static int pongs;

/* TLS, loaded when it is asked for: no header is needed, and none where it is not. */
static struct {
  void *context;
  void *(*new)(void *);
  int (*set_fd)(void *, int);
  int (*accept)(void *);
  int (*read)(void *, void *, int);
  int (*write)(void *, const void *, int);
  int (*pending)(const void *);
} ssl_;

static void die(const char *what) {
  fprintf(stderr, "standin: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t mono_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static int64_t real_ns(void) { return clock_ns(CLOCK_REALTIME); }

/* SHA-1 and base64: the WebSocket handshake alone needs them. */

static uint32_t rol(uint32_t x, int n) { return (x << n) | (x >> (32 - n)); }

static void sha1(const unsigned char *text, size_t size, unsigned char out[20]) {
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  unsigned char padded[192] = {0};
  size_t whole = ((size + 8) / 64 + 1) * 64;
  memcpy(padded, text, size); /* at most 60 bytes here */
  padded[size] = 0x80;
  uint64_t bits = size * 8;
  for (int i = 0; i < 8; i++) padded[whole - 1 - i] = (unsigned char)(bits >> (8 * i));
  for (size_t at = 0; at < whole; at += 64) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
      const unsigned char *p = padded + at + 4 * i;
      w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
      uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
      uint32_t t = rol(a, 5) + f + e + k + w[i];
      e = d, d = c, c = rol(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *in, size_t size, char *out) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < size ? in[i + 1] << 8 : 0) | (i + 2 < size ? in[i + 2] : 0);
    *out++ = letters[v >> 18];
    *out++ = letters[v >> 12 & 63];
    *out++ = i + 1 < size ? letters[v >> 6 & 63] : '=';
    *out++ = i + 2 < size ? letters[v & 63] : '=';
  }
  *out = 0;
}

/* Connections. */

static void tls_load(const char *certificate, const char *key) {
  void *lib = dlopen("libssl.so.3", RTLD_NOW);
  if (!lib) lib = dlopen("libssl.so", RTLD_NOW);
  if (!lib) { fprintf(stderr, "standin: no libssl\n"); exit(3); }
  void *(*method)(void) = (void *(*)(void))dlsym(lib, "TLS_server_method");
  void *(*context)(void *) = (void *(*)(void *))dlsym(lib, "SSL_CTX_new");
  int (*use_cert)(void *, const char *) = (int (*)(void *, const char *))dlsym(lib, "SSL_CTX_use_certificate_chain_file");
  int (*use_key)(void *, const char *, int) = (int (*)(void *, const char *, int))dlsym(lib, "SSL_CTX_use_PrivateKey_file");
  ssl_.new = (void *(*)(void *))dlsym(lib, "SSL_new");
  ssl_.set_fd = (int (*)(void *, int))dlsym(lib, "SSL_set_fd");
  ssl_.accept = (int (*)(void *))dlsym(lib, "SSL_accept");
  ssl_.read = (int (*)(void *, void *, int))dlsym(lib, "SSL_read");
  ssl_.write = (int (*)(void *, const void *, int))dlsym(lib, "SSL_write");
  ssl_.pending = (int (*)(const void *))dlsym(lib, "SSL_pending");
  ssl_.context = context(method());
  if (use_cert(ssl_.context, certificate) != 1 || use_key(ssl_.context, key, 1) != 1) {
    fprintf(stderr, "standin: the certificate cannot be read\n");
    exit(3);
  }
}

static int write_all(struct connection *c, const char *text, size_t size) {
  while (size) {
    ssize_t n = c->tls ? ssl_.write(c->tls, text, (int)size) : send(c->fd, text, size, MSG_NOSIGNAL);
    if (n <= 0) return -1;
    text += n, size -= (size_t)n;
  }
  return 0;
}

static int add(int fd, enum role role, void *tls) {
  for (int i = 0; i < CONNECTIONS_MAX; i++)
    if (!open_[i]) {
      struct connection *c = malloc(sizeof *c);
      if (!c) die("malloc");
      c->fd = fd, c->role = role, c->tls = tls, c->peer = -1, c->plain = 0, c->filled = 0;
      open_[i] = c;
      int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      return i;
    }
  close(fd);
  return -1;
}

static void drop(int i) {
  struct connection *c = open_[i];
  if (!c) return;
  open_[i] = NULL;
  close(c->fd); /* the TLS state is left behind: a bench has few connections */
  int peer = c->peer;
  free(c);
  if (peer >= 0 && open_[peer]) {
    open_[peer]->peer = -1;
    drop(peer);
  }
}

static int find(enum role role) { /* the newest that has it */
  int best = -1;
  for (int i = 0; i < CONNECTIONS_MAX; i++)
    if (open_[i] && open_[i]->role == role && (best < 0 || open_[i]->fd > open_[best]->fd)) best = i;
  return best;
}

static int listen_on(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&at, sizeof at) || listen(fd, 64) || getsockname(fd, (void *)&at, &size)) die("listen");
  *port = ntohs(at.sin_port);
  return fd;
}

static int backend(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)backend_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (void *)&at, sizeof at)) return close(fd), -1;
  return add(fd, BACKEND, NULL);
}

/* Frames. */

static size_t frame_head(unsigned char *out, int opcode, size_t size) {
  out[0] = (unsigned char)(0x80 | opcode);
  if (size < 126) return out[1] = (unsigned char)size, 2;
  if (size < 65536) return out[1] = 126, out[2] = (unsigned char)(size >> 8), out[3] = (unsigned char)size, 4;
  out[1] = 127;
  for (int i = 0; i < 8; i++) out[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
  return 10;
}

static size_t frame(char *out, int opcode, const char *text, size_t size) {
  size_t head = frame_head((unsigned char *)out, opcode, size);
  memcpy(out + head, text, size);
  return head + size;
}

static void say(int i, int opcode, const char *text, size_t size) {
  static char out[OUT_MAX];
  if (i >= 0 && size + 10 <= sizeof out && write_all(open_[i], out, frame(out, opcode, text, size))) drop(i);
}

/* Whether the socket that ticks are for has them plain. */
static int plain;

static size_t tick(char *out, const char *symbol, const char *price) {
  char text[512], lower[NAME_MAX_];
  int64_t id = trade_id++, ms = real_ns() / 1000000;
  size_t n = 0;
  for (; symbol[n]; n++) lower[n] = (char)tolower(symbol[n]);
  lower[n] = 0;
  int size = snprintf(text, sizeof text,
      "{\"stream\":\"%s@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":%lld,\"s\":\"%s\",\"a\":%lld,\"p\":\"%s\","
      "\"q\":\"0.120\",\"nq\":\"0.120\",\"f\":%lld,\"l\":%lld,\"T\":%lld,\"m\":false,\"st\":1}}",
      lower, (long long)ms, symbol, (long long)id, price, (long long)id * 2, (long long)id * 2 + 1, (long long)ms);
  if (!plain) return frame(out, 1, text, (size_t)size);
  const char *data = strstr(text, "\"data\":") + 7;
  return frame(out, 1, data, (size_t)(text + size - 1 - data));
}

static const char *quiet_price(void) { return trade_id & 1 ? "60000.10" : "60000.20"; }

static void order_text(char *out, size_t room, const char *client) {
  snprintf(out, room,
      "{\"orderId\":%lld,\"symbol\":\"%s\",\"status\":\"FILLED\",\"clientOrderId\":\"%s\",\"price\":\"0.00\","
      "\"avgPrice\":\"59600.00\",\"origQty\":\"0.100\",\"executedQty\":\"0.100\",\"cumQty\":\"0.100\","
      "\"cumQuote\":\"5960.00\",\"timeInForce\":\"GTC\",\"type\":\"MARKET\",\"reduceOnly\":true,\"closePosition\":false,"
      "\"side\":\"SELL\",\"positionSide\":\"BOTH\",\"stopPrice\":\"0.00\",\"workingType\":\"CONTRACT_PRICE\","
      "\"priceProtect\":false,\"origType\":\"MARKET\",\"updateTime\":%lld}",
      (long long)order_number, symbols[0], client, (long long)(real_ns() / 1000000));
}

/* To the user stream: the product's, where it is there. */
static void tell(const char *text, size_t size) {
  char whole[4096];
  int to = find(PRIVATE);
  if (to < 0) to = find(OTHER_PRIVATE);
  if (to < 0 || open_[to]->role == PRIVATE || open_[to]->plain) return say(to, 1, text, size);
  int n = snprintf(whole, sizeof whole, "{\"stream\":\"user\",\"data\":%.*s}", (int)size, text);
  say(to, 1, whole, (size_t)n);
}

static void position_event(const char *amount, const char *entry) {
  char text[1024];
  int64_t ms = real_ns() / 1000000;
  int size = snprintf(text, sizeof text,
      "{\"e\":\"ACCOUNT_UPDATE\",\"T\":%lld,\"E\":%lld,\"a\":{\"m\":\"ORDER\",\"B\":[{\"a\":\"USDT\",\"wb\":\"100000.00000000\","
      "\"cw\":\"100000.00000000\",\"bc\":\"0\"}],\"P\":[{\"s\":\"%s\",\"pa\":\"%s\",\"ep\":\"%s\",\"bep\":\"%s\",\"cr\":\"0\","
      "\"up\":\"0\",\"mt\":\"cross\",\"iw\":\"0\",\"ps\":\"BOTH\",\"ma\":\"USDT\"}]}}",
      (long long)ms, (long long)ms, symbols[0], amount, entry, entry);
  tell(text, (size_t)size);
}

static void fill_events(const char *client) {
  char text[2048];
  int64_t ms = real_ns() / 1000000;
  int size = snprintf(text, sizeof text,
      "{\"e\":\"ORDER_TRADE_UPDATE\",\"T\":%lld,\"E\":%lld,\"o\":{\"s\":\"%s\",\"c\":\"%s\",\"S\":\"SELL\",\"o\":\"MARKET\","
      "\"f\":\"GTC\",\"q\":\"0.1\",\"p\":\"0\",\"ap\":\"59600\",\"sp\":\"0\",\"x\":\"TRADE\",\"X\":\"FILLED\",\"i\":%lld,\"l\":\"0.1\","
      "\"z\":\"0.1\",\"L\":\"59600\",\"n\":\"2.384\",\"N\":\"USDT\",\"T\":%lld,\"t\":%lld,\"b\":\"0\",\"a\":\"0\",\"m\":false,\"R\":true,"
      "\"wt\":\"CONTRACT_PRICE\",\"ot\":\"MARKET\",\"ps\":\"BOTH\",\"cp\":false,\"rp\":\"-40\",\"pP\":false,\"si\":0,\"ss\":0,"
      "\"V\":\"EXPIRE_MAKER\",\"pm\":\"NONE\",\"gtd\":0,\"er\":\"0\"}}",
      (long long)ms, (long long)ms, symbols[0], client, (long long)order_number, (long long)ms, (long long)order_number);
  tell(text, (size_t)size);
  position_event("0", "0");
}

/* The value of a key in a JSON text, as it stands there, its quotes included. */
static int value_of(const char *text, const char *key, char *out, size_t room) {
  const char *at = strstr(text, key);
  if (!at) return 0;
  at += strlen(key);
  const char *end = *at == '"' ? strchr(at + 1, '"') : at + strcspn(at, ",}]");
  if (!end) return 0;
  if (*at == '"') end++;
  size_t size = (size_t)(end - at);
  if (size >= room) return 0;
  memcpy(out, at, size);
  out[size] = 0;
  return 1;
}

static void unquote(char *text) {
  size_t size = strlen(text);
  if (size >= 2 && text[0] == '"') memmove(text, text + 1, size - 2), text[size - 2] = 0;
}

static void take_order(struct connection *c, const char *client) {
  order_ns = c->read_ns;
  order_real_ns = real_ns() - (mono_ns() - c->read_ns);
  snprintf(order_client, sizeof order_client, "%s", client);
  order_number++;
}

static void on_text(int i, char *text) {
  struct connection *c = open_[i];
  char id[64] = "null", client[64] = "", body[1024], answer[2048];
  value_of(text, "\"id\":", id, sizeof id);
  int size;
  if (c->role == API || c->role == FLOOR_API || c->role == OTHER_API) {
    value_of(text, "\"newClientOrderId\":", client, sizeof client);
    unquote(client);
    take_order(c, client);
    order_text(body, sizeof body, client);
    size = snprintf(answer, sizeof answer, "{\"id\":%s,\"status\":200,\"result\":%s,\"rateLimits\":[]}", id, body);
    say(i, 1, answer, (size_t)size);
    if (c->role != FLOOR_API) fill_events(client);
  } else {
    const char *result = strstr(text, "LIST_SUBSCRIPTIONS") ? "[]" : "null";
    size = snprintf(answer, sizeof answer, "{\"result\":%s,\"id\":%s}", result, id);
    say(i, 1, answer, (size_t)size);
  }
}

static void on_frames(int i) {
  struct connection *c = open_[i];
  size_t at = 0;
  while (open_[i] == c && c->filled - at >= 6) {
    unsigned char *p = (unsigned char *)c->in + at;
    size_t head = 6, size = p[1] & 127;
    if (!(p[1] & 128)) return drop(i); /* clients mask */
    if (size == 126) {
      if (c->filled - at < 8) break;
      size = (size_t)p[2] << 8 | p[3], head = 8;
    } else if (size == 127) return drop(i); /* nobody sends that much here */
    if (c->filled - at < head + size) break;
    unsigned char *mask = p + head - 4;
    char text[65536];
    for (size_t k = 0; k < size; k++) text[k] = (char)(p[head + k] ^ mask[k & 3]);
    text[size] = 0;
    at += head + size;
    switch (p[0] & 15) {
      case 1: on_text(i, text); break;
      case 8: say(i, 8, text, size < 2 ? 0 : 2); drop(i); return;
      case 9: say(i, 10, text, size); break;
      case 10: pongs++; break;
      default: break;
    }
  }
  if (open_[i] == c) memmove(c->in, c->in + at, c->filled -= at);
}

static void upgrade(int i) {
  struct connection *c = open_[i];
  char *key = strcasestr(c->in, "sec-websocket-key:");
  char joined[128], accept[64], out[256];
  unsigned char digest[20];
  if (!key) return drop(i);
  if (c->peer >= 0) open_[c->peer]->peer = -1, drop(c->peer), c->peer = -1;
  key += 18;
  while (*key == ' ') key++;
  int size = snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  sha1((unsigned char *)joined, (size_t)size, digest);
  base64(digest, 20, accept);
  const char *path = c->in + 4;
  c->role = !strncmp(path, "/market", 7)         ? MARKET
            : !strncmp(path, "/private", 8)      ? PRIVATE
            : !strncmp(path, "/ws-fapi", 8)      ? API
            : !strncmp(path, "/floor/market", 13) ? FLOOR_MARKET
            : !strncmp(path, "/floor/api", 10)   ? FLOOR_API
            : !strncmp(path, "/count", 6)        ? COUNT_MARKET
            : !strncmp(path, "/other/ws-fapi", 14) ? OTHER_API
            : !strncmp(path, "/other/private", 14) ? OTHER_PRIVATE
            : !strncmp(path, "/other", 6)        ? OTHER_MARKET
                                                 : PUBLIC;
  c->plain = c->role >= OTHER_MARKET && strncmp(path + strcspn(path, " ?"), "?streams=", 9);
  c->filled = 0;
  size = snprintf(out, sizeof out,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
      accept);
  if (write_all(c, out, (size_t)size)) drop(i);
}

static void on_http(int i) {
  struct connection *c = open_[i];
  c->in[c->filled] = 0;
  char *end = strstr(c->in, "\r\n\r\n");
  int order = !strncmp(c->in, "POST /fapi/v1/order?", 20) || !strncmp(c->in, "POST /fapi/v1/order ", 20);
  int upgrades = strcasestr(c->in, "upgrade: websocket") != NULL; /* perhaps on a connection that had other uses */
  if (c->peer < 0 || order || upgrades) {
    if (!end) return;
    if (upgrades) return upgrade(i);
    if (order) {
      char *length = strcasestr(c->in, "\r\ncontent-length:"); /* some clients put the order into the body */
      if (length && length < end && c->filled < (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10)) return;
      char client[64] = "", body[1024], out[2048];
      char *at = strstr(c->in, "newClientOrderId=");
      if (at) snprintf(client, sizeof client, "%.*s", (int)strcspn(at + 17, "& \r"), at + 17);
      take_order(c, client);
      order_text(body, sizeof body, client);
      int size = snprintf(out, sizeof out,
          "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
      c->filled = 0;
      if (write_all(c, out, (size_t)size)) return drop(i);
      fill_events(client);
      return;
    }
    if (c->peer < 0) {
      int peer = backend();
      if (peer < 0) return drop(i);
      c->peer = peer;
      open_[peer]->peer = i;
    }
  }
  if (write_all(open_[c->peer], c->in, c->filled)) return drop(i);
  c->filled = 0;
}

static void on_ready(int i) {
  struct connection *c = open_[i];
  do {
    size_t room = IN_MAX - 1 - c->filled;
    ssize_t n = c->tls ? ssl_.read(c->tls, c->in + c->filled, (int)room) : recv(c->fd, c->in + c->filled, room, 0);
    c->read_ns = mono_ns();
    if (n <= 0) return drop(i);
    c->filled += (size_t)n;
    if (c->role == HTTP) on_http(i);
    else if (c->role == BACKEND) {
      if (c->peer < 0 || write_all(open_[c->peer], c->in, c->filled)) return drop(i);
      c->filled = 0;
    } else on_frames(i);
  } while (open_[i] == c && c->tls && ssl_.pending(c->tls) > 0);
}

static void take_connection(int which) {
  int fd = accept(listeners[which], NULL, NULL);
  void *tls = NULL;
  if (fd < 0) return;
  if (which == 1) {
    tls = ssl_.new(ssl_.context);
    ssl_.set_fd(tls, fd);
    if (ssl_.accept(tls) != 1) { close(fd); return; }
  }
  add(fd, HTTP, tls);
}

/* While ticks run, this program does not sleep: its own waking up would be counted as the others' time. */
static int spins;

/* Serves whoever is ready until `until_ns`; earlier where `sooner` becomes other than 0. With `lines`, also where a
 * line waits on standard input. */
static int serve(int64_t until_ns, const int64_t *sooner, int lines) {
  for (;;) {
    struct pollfd polled[CONNECTIONS_MAX + 3];
    int who[CONNECTIONS_MAX + 3], count = 0;
    if (lines) polled[count] = (struct pollfd){.fd = 0, .events = POLLIN}, who[count++] = -3;
    for (int k = 0; k < 2; k++)
      if (listeners[k] >= 0) polled[count] = (struct pollfd){.fd = listeners[k], .events = POLLIN}, who[count++] = -1 - k;
    for (int i = 0; i < CONNECTIONS_MAX; i++)
      if (open_[i]) polled[count] = (struct pollfd){.fd = open_[i]->fd, .events = POLLIN}, who[count++] = i;
    int64_t left_ns = until_ns - mono_ns();
    if (left_ns < 0 || spins) left_ns = 0;
    struct timespec wait = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    int ready = ppoll(polled, (nfds_t)count, &wait, NULL);
    if (ready < 0 && errno != EINTR) die("poll");
    for (int k = 0; ready > 0 && k < count; k++) {
      if (!polled[k].revents) continue;
      if (who[k] == -3) return 1;
      if (who[k] < 0) take_connection(-1 - who[k]);
      else if (open_[who[k]] && open_[who[k]]->fd == polled[k].fd) on_ready(who[k]);
    }
    if (sooner && *sooner) return 0;
    if (mono_ns() >= until_ns) return 0;
  }
}

/* Ticks at a fixed pace, every so-manieth of them one that must make an order. */
static void run(enum role role, int count, int64_t gap_ns, int quiet, int before, int after) {
  static char out[OUT_MAX];
  int64_t due_ns = mono_ns(), open_ns = 0, reopen_ns = 3000000;
  int lost = 0;
  int64_t ticks = 0;
  for (int done = 0; done < count; done++) {
    for (int k = 0; k <= quiet; k++) {
      int is_trigger = k == quiet;
      due_ns += gap_ns;
      if (open_ns && open_ns < due_ns) { /* the position is opened anew well before the next tick */
        serve(open_ns, NULL, 0);
        position_event("0.1", "60000");
        open_ns = 0;
      }
      serve(due_ns, NULL, 0);
      int to = find(role);
      if (to < 0) { printf("error not connected\n"); return; }
      size_t size = 0;
      plain = open_[to]->plain;
      if (is_trigger) {
        for (int b = 0; b < before; b++) size += tick(out + size, symbols[0], quiet_price());
        size += tick(out + size, symbols[0], "59600.00");
        for (int b = 0; b < after; b++) size += tick(out + size, symbols[0], quiet_price());
        ticks += before + 1 + after;
      } else size = tick(out, symbols[0], quiet_price()), ticks++;
      order_ns = 0;
      int64_t sent_real_ns = real_ns(), sent_ns = mono_ns();
      if (write_all(open_[to], out, size)) { drop(to); printf("error cut\n"); return; }
      if (!is_trigger) continue;
      serve(sent_ns + 300000000, &order_ns, 0);
      if (order_ns) {
        printf("s %lld %lld %lld %s\n", (long long)(order_ns - sent_ns), (long long)sent_real_ns, (long long)order_real_ns,
               order_client);
        if (role == MARKET) open_ns = mono_ns() + reopen_ns;
      } else lost++;
      if (mono_ns() > due_ns + gap_ns) due_ns = mono_ns();
    }
  }
  if (open_ns) serve(open_ns, NULL, 0), position_event("0.1", "60000");
  printf("end %d %lld\n", lost, (long long)ticks);
}

/* As many quiet ticks as fast as they are read, in blocks; done when the last one has been: a ping's answer says so,
 * or, of who answers pings before it has looked at what came earlier, the order that one tick more makes. */
static void flood(enum role role, int64_t count, int block) {
  static char out[OUT_MAX];
  int to = find(role);
  if (to < 0) { printf("error not connected\n"); return; }
  plain = open_[to]->plain;
  int64_t start_ns = mono_ns();
  for (int64_t done = 0; done < count;) {
    size_t size = 0;
    for (int k = 0; k < block && done < count; k++, done++) size += tick(out + size, symbols[done % symbol_count], quiet_price());
    if (write_all(open_[to], out, size)) { drop(to); printf("error cut\n"); return; }
  }
  pongs = 0, order_ns = 0;
  int other = role == OTHER_MARKET;
  if (other) {
    if (write_all(open_[to], out, tick(out, symbols[0], "59600.00"))) drop(to);
  } else
    say(to, 9, "", 0);
  while (!(other ? order_ns != 0 : pongs) && mono_ns() < start_ns + 60000000000) {
    int64_t soon = 0;
    serve(mono_ns() + 1000000, &soon, 0);
  }
  printf((other ? order_ns != 0 : pongs) ? "end 0 %lld %lld\n" : "error no answer\n", (long long)count, (long long)(mono_ns() - start_ns));
}

/* On the last processor it may use, where there are several: whoever is measured finds another one free. */
static void stay_on_one_processor(void) {
  cpu_set_t may, one;
  if (sched_getaffinity(0, sizeof may, &may) || CPU_COUNT(&may) < 2) return;
  int last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &may)) last--;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  sched_setaffinity(0, sizeof one, &one);
}

static enum role role_of(const char *who) {
  return *who == 'p' ? MARKET : *who == 'f' ? FLOOR_MARKET : *who == 'o' ? OTHER_MARKET : COUNT_MARKET;
}

static int obey(char *line) {
  char who[32] = "";
  long a = 0, b = 0, c = 0, d = 0, e = 0;
  if (sscanf(line, "run %31s %ld %ld %ld %ld %ld", who, &a, &b, &c, &d, &e) == 6) {
    spins = 1;
    run(role_of(who), (int)a, b * 1000, (int)c, (int)d, (int)e);
    spins = 0;
  } else if (sscanf(line, "flood %31s %ld %ld", who, &a, &b) == 3) flood(role_of(who), a, (int)b);
  else if (sscanf(line, "tick %31s", who) == 1) { /* one quiet tick of every symbol: first prices */
    char out[1024];
    int to = find(role_of(who));
    for (int k = 0; k < symbol_count && to >= 0; k++)
      if (plain = open_[to]->plain, write_all(open_[to], out, tick(out, symbols[k], quiet_price()))) drop(to), to = -1;
    printf("end 0 0\n");
  } else if (!strncmp(line, "open", 4)) position_event("0.1", "60000"), printf("end 0 0\n");
  else if (!strncmp(line, "who", 3)) {
    printf("end %d %d\n",
        (find(MARKET) >= 0) | (find(PRIVATE) >= 0) << 1 | (find(API) >= 0) << 2 | (find(FLOOR_MARKET) >= 0) << 3 |
            (find(FLOOR_API) >= 0) << 4 | (find(COUNT_MARKET) >= 0) << 5 | (find(OTHER_MARKET) >= 0) << 6 |
            (find(OTHER_PRIVATE) >= 0) << 7 | (find(OTHER_API) >= 0) << 8, 0);
  } else if (!strncmp(line, "quit", 4)) return 0;
  else printf("error unknown\n");
  fflush(stdout);
  return 1;
}

int main(int count, char **words) {
  /* standin BACKEND_PORT SYMBOLS [CERTIFICATE KEY] */
  int ports[2] = {0, 0};
  if (count < 3) return fprintf(stderr, "standin BACKEND_PORT SYMBOL,SYMBOL… [CERTIFICATE KEY]\n"), 2;
  backend_port = atoi(words[1]);
  symbol_count = 0;
  for (char *name = strtok(words[2], ","); name && symbol_count < SYMBOLS_MAX; name = strtok(NULL, ","))
    snprintf(symbols[symbol_count++], NAME_MAX_, "%s", name);
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_TIMERSLACK, 1);
  stay_on_one_processor();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  listeners[0] = listen_on(&ports[0]);
  if (count > 4) tls_load(words[3], words[4]), listeners[1] = listen_on(&ports[1]);
  printf("listening %d %d\n", ports[0], ports[1]);
  fflush(stdout);
  char line[256];
  for (;;) {
    if (!serve(mono_ns() + 1000000000, NULL, 1)) continue;
    if (!fgets(line, sizeof line, stdin) || !obey(line)) return 0;
  }
}
