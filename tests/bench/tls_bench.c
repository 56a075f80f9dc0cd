/* What one handshake costs: reading a ClientHello, JA3, JA4, the keys of a QUIC Initial, opening
 * it. CPU time, the best of several rounds; beside them the floor: OpenSSL's calls alone, over as
 * many bytes.
 *
 * The hello is of a browser's size (512 bytes, padded), the Initial fills a datagram of 1200. One
 * thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sensor/wire/tls_fingerprint.h"
#include "tests/support/tls_builder.h"

#define CALLS  20000
#define ROUNDS 9

static struct crypto *crypto;
static uint8_t hello_bytes[1024], datagram_bytes[1500], frames_bytes[1400], plain_bytes[1500];
static struct packet_builder hello_builder, datagram, frames;
static struct wire_span hello_span, plain;
static struct tls_hello hello;
static struct quic_packet packet;
static struct quic_keys keys;
static uint8_t secret[CRYPTO_SHA256_BYTES], digest[CRYPTO_SHA256_BYTES];
static struct tls_ja4 ja4;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static double cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void read_hello(void)
{
    must(tls_hello_parse(&hello_span, &hello) == WIRE_OK);
}

static void make_ja3(void)
{
    must(tls_ja3(crypto, &hello, digest));
}

static void floor_ja3(void)
{
    crypto_md5_start(crypto);
    crypto_md5_add(crypto, hello_bytes, 150);
    crypto_md5_finish(crypto, digest);
}

static void make_ja4(void)
{
    must(tls_ja4(crypto, &hello, TLS_OVER_TCP, &ja4));
}

static void floor_ja4(void)
{
    for (int i = 0; i < 2; i++) {
        crypto_sha256_start(crypto);
        crypto_sha256_add(crypto, hello_bytes, 80);
        crypto_sha256_finish(crypto, digest);
    }
}

static void make_keys(void)
{
    must(quic_initial_secret(crypto, packet.version, &packet.target_id, secret));
    quic_initial_keys(crypto, packet.version, secret, false, &keys);
}

/* An extraction and four expansions, each an HMAC of two digests. */
static void floor_keys(void)
{
    for (int i = 0; i < 10; i++) {
        crypto_sha256_start(crypto);
        crypto_sha256_add(crypto, hello_bytes, 96);
        crypto_sha256_finish(crypto, digest);
    }
}

static void open_initial(void)
{
    must(quic_open(crypto, &packet, &keys, plain_bytes, sizeof(plain_bytes), &plain));
}

static void floor_open(void)
{
    const struct crypto_gcm gcm = {
        .key = keys.key,
        .iv = keys.iv,
        .additional = {.bytes = datagram_bytes, .length = 30},
        .cipher_text = {.bytes = datagram_bytes + 30, .length = 1150},
        .tag = NULL,
    };

    must(crypto_aes128_gcm_open(crypto, &gcm, plain_bytes));
}

static void whole_initial(void)
{
    struct cursor c = cursor_over(datagram_bytes, datagram.length);

    must(quic_next(&c, &packet) == WIRE_OK);
    make_keys();
    open_initial();
}

static double measure(const char *name, void (*one)(void))
{
    double best = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        const double start = cpu_ns();

        for (int i = 0; i < CALLS; i++) {
            one();
        }
        const double spent = (cpu_ns() - start) / CALLS;
        best = spent < best ? spent : best;
    }
    (void)printf("%-36s %8.0f ns\n", name, best);
    return best;
}

int main(void)
{
    static const uint16_t ciphers[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                       0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
                                       0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
    const struct build_handshake options = {.sni = "www.example.com",
                                            .alpn = {"h2", "http/1.1"},
                                            .versions = {0x0304, 0x0303},
                                            .ciphers = ciphers,
                                            .cipher_count = 15,
                                            .padding_bytes = 300,
                                            .has_groups = true,
                                            .has_grease = true,
                                            .has_ech = true};
    struct error err;

    crypto = crypto_new(&err);
    must(crypto != NULL);
    build_start(&hello_builder, hello_bytes, sizeof(hello_bytes));
    build_handshake(&hello_builder, &options);
    hello_span = (struct wire_span){.bytes = hello_bytes, .length = (uint32_t)hello_builder.length};
    build_start(&frames, frames_bytes, sizeof(frames_bytes));
    build_crypto_frame(&frames, 0, hello_bytes, hello_builder.length);
    build_start(&datagram, datagram_bytes, sizeof(datagram_bytes));
    build_initial(&datagram, crypto,
                  (struct build_initial){.target_id = "abcdefgh",
                                         .frames = frames_bytes,
                                         .frames_bytes = frames.length,
                                         .datagram_bytes = 1200});
    struct cursor c = cursor_over(datagram_bytes, datagram.length);
    must(quic_next(&c, &packet) == WIRE_OK);

    (void)measure("ClientHello, read", read_hello);
    (void)measure("JA3", make_ja3);
    (void)measure("  floor: MD5 of 150 bytes", floor_ja3);
    (void)measure("JA4", make_ja4);
    (void)measure("  floor: SHA-256 of 80 bytes, twice", floor_ja4);
    (void)measure("QUIC Initial, keys", make_keys);
    (void)measure("  floor: SHA-256, ten times", floor_keys);
    (void)measure("QUIC Initial, open", open_initial);
    (void)measure("  floor: AES-128-GCM of 1150 bytes", floor_open);
    (void)measure("QUIC Initial, header, keys and open", whole_initial);
    crypto_free(crypto);
    return EXIT_SUCCESS;
}
