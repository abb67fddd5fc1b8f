/* The floor of `reactor bench latency`: the least that turns a tick into a signed order.
 *
 * Two WebSockets, blocking, TCP_NODELAY, no library but the system's. For every message of the first: find the
 * price, compare it with the level, and where it is through: sign an order with HMAC-SHA256 (the key's two
 * blocks hashed beforehand) and write it to the second. Then the answer is read, and the next tick waited for.
 * What comes in and what leaves are the same bytes as the product's.
 *
 * With `spin` it does not sleep while it waits, and stands where the product stands: the least of what polls.
 *
 * floor PORT SYMBOL LEVEL KEY SECRET [tls | spin]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 1 << 18 };

struct line {
  int fd;
  void *tls;
  size_t at, filled;
  unsigned char in[IN_MAX];
};

static struct {
  void *context;
  void *(*new)(void *);
  int (*set_fd)(void *, int);
  int (*connect)(void *);
  int (*read)(void *, void *, int);
  int (*write)(void *, const void *, int);
} ssl_;

/* SHA-256 (FIPS 180-4). */

struct sha256 {
  uint32_t h[8];
  uint64_t size;
  unsigned char block[64];
};

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t ror(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

static void sha256_block(struct sha256 *s, const unsigned char *p) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++, p += 4) w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ (w[i - 15] >> 3);
    uint32_t b = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  memcpy(v, s->h, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t e = v[4], a = v[0];
    uint32_t t = v[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] + w[i];
    uint32_t u = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += t;
    v[0] = t + u;
  }
  for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static void sha256_begin(struct sha256 *s) {
  static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(s->h, h, sizeof h);
  s->size = 0;
}

static void sha256_add(struct sha256 *s, const unsigned char *p, size_t size) {
  size_t at = s->size % 64;
  s->size += size;
  while (size) {
    size_t n = 64 - at < size ? 64 - at : size;
    memcpy(s->block + at, p, n);
    at += n, p += n, size -= n;
    if (at == 64) sha256_block(s, s->block), at = 0;
  }
}

static void sha256_end(struct sha256 *s, unsigned char out[32]) {
  uint64_t bits = s->size * 8;
  size_t at = s->size % 64;
  s->block[at++] = 0x80;
  if (at > 56) {
    memset(s->block + at, 0, 64 - at);
    sha256_block(s, s->block);
    at = 0;
  }
  memset(s->block + at, 0, 56 - at);
  for (int i = 0; i < 8; i++) s->block[63 - i] = (unsigned char)(bits >> (8 * i));
  sha256_block(s, s->block);
  for (int i = 0; i < 32; i++) out[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

static struct sha256 inner, outer;

static void hmac_key(const char *secret) {
  unsigned char key[64] = {0}, pad[64];
  size_t size = strlen(secret);
  sha256_begin(&inner);
  if (size > 64) {
    sha256_add(&inner, (const unsigned char *)secret, size);
    sha256_end(&inner, key);
    sha256_begin(&inner);
  } else
    memcpy(key, secret, size);
  for (int i = 0; i < 64; i++) pad[i] = key[i] ^ 0x36;
  sha256_add(&inner, pad, 64);
  for (int i = 0; i < 64; i++) pad[i] = key[i] ^ 0x5c;
  sha256_begin(&outer);
  sha256_add(&outer, pad, 64);
}

static void hmac_hex(const char *text, size_t size, char out[65]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char digest[32];
  struct sha256 s = inner;
  sha256_add(&s, (const unsigned char *)text, size);
  sha256_end(&s, digest);
  s = outer;
  sha256_add(&s, digest, 32);
  sha256_end(&s, digest);
  for (int i = 0; i < 32; i++) out[2 * i] = digits[digest[i] >> 4], out[2 * i + 1] = digits[digest[i] & 15];
  out[64] = 0;
}

/* Lines. */

static void die(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void tls_load(void) {
  void *lib = dlopen("libssl.so.3", RTLD_NOW);
  if (!lib) lib = dlopen("libssl.so", RTLD_NOW);
  if (!lib) { fprintf(stderr, "floor: no libssl\n"); exit(3); }
  void *(*method)(void) = (void *(*)(void))dlsym(lib, "TLS_client_method");
  void *(*context)(void *) = (void *(*)(void *))dlsym(lib, "SSL_CTX_new");
  ssl_.new = (void *(*)(void *))dlsym(lib, "SSL_new");
  ssl_.set_fd = (int (*)(void *, int))dlsym(lib, "SSL_set_fd");
  ssl_.connect = (int (*)(void *))dlsym(lib, "SSL_connect");
  ssl_.read = (int (*)(void *, void *, int))dlsym(lib, "SSL_read");
  ssl_.write = (int (*)(void *, const void *, int))dlsym(lib, "SSL_write");
  ssl_.context = context(method());
}

static int spins;

static size_t receive(struct line *l, void *into, size_t room) {
  ssize_t n;
  do n = l->tls ? ssl_.read(l->tls, into, (int)room) : recv(l->fd, into, room, spins ? MSG_DONTWAIT : 0);
  while (spins && n < 0 && errno == EAGAIN);
  if (n <= 0) exit(0); /* the bench is over */
  return (size_t)n;
}

static void transmit(struct line *l, const void *text, size_t size) {
  ssize_t n = l->tls ? ssl_.write(l->tls, text, (int)size) : send(l->fd, text, size, MSG_NOSIGNAL);
  if (n != (ssize_t)size) exit(0);
}

static struct line *dial(int port, const char *path, int tls) {
  struct line *l = calloc(1, sizeof *l);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  l->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(l->fd, (void *)&at, sizeof at)) die("connect");
  setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (tls) {
    l->tls = ssl_.new(ssl_.context);
    ssl_.set_fd(l->tls, l->fd);
    if (ssl_.connect(l->tls) != 1) { fprintf(stderr, "floor: no TLS\n"); exit(1); }
  }
  char head[512];
  int size = snprintf(head, sizeof head,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path);
  transmit(l, head, (size_t)size);
  for (;;) {
    l->filled += receive(l, l->in + l->filled, IN_MAX - l->filled);
    unsigned char *end = memmem(l->in, l->filled, "\r\n\r\n", 4);
    if (end) {
      l->at = (size_t)(end + 4 - l->in);
      return l;
    }
  }
}

static void write_frame(struct line *l, int opcode, const char *text, size_t size) {
  static unsigned char out[4096];
  static uint32_t mask = 0x9e3779b9;
  size_t head = 2;
  mask ^= mask << 13, mask ^= mask >> 17, mask ^= mask << 5;
  out[0] = (unsigned char)(0x80 | opcode);
  if (size < 126) out[1] = (unsigned char)(0x80 | size);
  else out[1] = 0xFE, out[2] = (unsigned char)(size >> 8), out[3] = (unsigned char)size, head = 4;
  memcpy(out + head, &mask, 4);
  const unsigned char *m = out + head;
  for (size_t i = 0; i < size; i++) out[head + 4 + i] = (unsigned char)text[i] ^ m[i & 3];
  transmit(l, out, head + 4 + size);
}

/* The next text message; pings are answered on the way. It stands in the line's buffer until the next call. */
static char *next_text(struct line *l, size_t *size) {
  for (;;) {
    size_t have = l->filled - l->at;
    unsigned char *p = l->in + l->at;
    if (have >= 2) {
      size_t head = 2, n = p[1] & 127;
      if (n == 126) head = 4, n = have >= 4 ? (size_t)p[2] << 8 | p[3] : IN_MAX;
      if (n != IN_MAX && have >= head + n) {
        l->at += head + n;
        if ((p[0] & 15) == 1) {
          *size = n;
          return (char *)p + head;
        }
        if ((p[0] & 15) == 9) write_frame(l, 10, (char *)p + head, n);
        if ((p[0] & 15) == 8) exit(0);
        continue;
      }
    }
    if (l->at) memmove(l->in, p, have), l->at = 0, l->filled = have;
    l->filled += receive(l, l->in + l->filled, IN_MAX - l->filled);
  }
}

int main(int count, char **words) {
  if (count < 6) return fprintf(stderr, "floor PORT SYMBOL LEVEL KEY SECRET [tls | spin]\n"), 2;
  const char *symbol = words[2], *key = words[4];
  double level = strtod(words[3], NULL);
  int tls = count > 6 && !strcmp(words[6], "tls");
  spins = count > 6 && !strcmp(words[6], "spin");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (tls) tls_load();
  hmac_key(words[5]);
  struct line *market = dial(atoi(words[1]), spins ? "/market/stream" : "/floor/market", tls);
  struct line *orders = dial(atoi(words[1]), spins ? "/ws-fapi/v1" : "/floor/api", tls);
  printf("ready\n");
  fflush(stdout);
  for (long number = 0;;) {
    size_t size;
    char *text = next_text(market, &size), *at = memmem(text, size, "\"p\":\"", 5);
    if (!at || strtod(at + 5, NULL) > level) continue;
    char payload[512], frame[1024], signature[65];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    int n = snprintf(payload, sizeof payload,
        "apiKey=%s&newClientOrderId=xr-00000-000000-%08ld-00000000000&newOrderRespType=RESULT&quantity=0.1"
        "&recvWindow=5000&reduceOnly=true&side=SELL&symbol=%s&timestamp=%lld&type=MARKET", key, number, symbol, ms);
    hmac_hex(payload, (size_t)n, signature);
    n = snprintf(frame, sizeof frame,
        "{\"id\":\"00000-000000-%08ld-00000000000-00\",\"method\":\"order.place\",\"params\":{\"symbol\":\"%s\",\"side\":\"SELL\","
        "\"reduceOnly\":\"true\",\"type\":\"MARKET\",\"quantity\":\"0.1\",\"newClientOrderId\":\"xr-00000-000000-%08ld-00000000000\","
        "\"newOrderRespType\":\"RESULT\",\"recvWindow\":5000,\"timestamp\":%lld,\"apiKey\":\"%s\",\"signature\":\"%s\"}}",
        number, symbol, number, ms, key, signature);
    write_frame(orders, 1, frame, (size_t)n);
    next_text(orders, &size);
    number++;
  }
}
