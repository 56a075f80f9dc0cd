/* ssl.log and ssh.log (Zeek: base/protocols/ssl and ssh; JA3, JA4 and HASSH by the packages of
 * these names). */
#include <stdio.h>

#include "proto/zeek/zeek_private.h"

static const struct flow_record *flow_of(const void *record)
{
    return record;
}

/* "1.3" -> "TLSv13", "DTLS 1.2" -> "DTLSv12", "SSL 3.0" -> "SSLv3". */
static void put_version(struct zeek_line *line, const void *record)
{
    const struct record_text version = flow_of(record)->tls.version;
    char text[16], digits[8] = "";
    uint32_t used = 0;

    for (uint32_t i = 0; i < version.length && used < sizeof(digits) - 1; i++) {
        if (version.data[i] >= '0' && version.data[i] <= '9') {
            digits[used++] = version.data[i];
        }
    }
    if (used == 0) {
        zeek_unset(line);
        return;
    }
    const char first = version.data[0];

    if (first == 'S' && digits[1] == '0') {
        digits[1] = '\0';
    }
    (void)snprintf(text, sizeof(text), "%sv%s",
                   first == 'D'   ? "DTLS"
                   : first == 'S' ? "SSL"
                                  : "TLS",
                   digits);
    zeek_cell(line, text);
}

/* The names that are seen most (IANA: TLS Cipher Suites); others as Zeek tells what it does not
 * know. */
static void put_cipher(struct zeek_line *line, const void *record)
{
    static const struct {
        uint16_t number;
        const char *name;
    } suites[] = {{0x1301, "TLS_AES_128_GCM_SHA256"},
                  {0x1302, "TLS_AES_256_GCM_SHA384"},
                  {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
                  {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
                  {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
                  {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
                  {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
                  {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
                  {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
                  {0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
                  {0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
                  {0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
                  {0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
                  {0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
                  {0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
                  {0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
                  {0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
                  {0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
                  {0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
                  {0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
                  {0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"},
                  {0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"},
                  {0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"},
                  {0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
                  {0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"},
                  {0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"},
                  {0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"},
                  {0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
                  {0x0004, "TLS_RSA_WITH_RC4_128_MD5"},
                  {0x0005, "TLS_RSA_WITH_RC4_128_SHA"}};
    const uint16_t cipher = flow_of(record)->tls.cipher;
    char text[24];

    if (cipher == 0) {
        zeek_unset(line);
        return;
    }
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (suites[i].number == cipher) {
            zeek_cell(line, suites[i].name);
            return;
        }
    }
    (void)snprintf(text, sizeof(text), "unknown-%u", cipher);
    zeek_cell(line, text);
}

static void put_server_name(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.sni);
}

static void put_next_protocol(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.alpn_selected);
}

static void put_subject(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.cert_subject);
}

static void put_issuer(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.cert_issuer);
}

static void put_ja3(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.ja3);
}

static void put_ja3s(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.ja3s);
}

static void put_ja4(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->tls.ja4);
}

static const struct zeek_column ssl[] = {ZEEK_FLOW,
                                         {"version", "string", put_version},
                                         {"cipher", "string", put_cipher},
                                         {"server_name", "string", put_server_name},
                                         {"next_protocol", "string", put_next_protocol},
                                         {"subject", "string", put_subject},
                                         {"issuer", "string", put_issuer},
                                         {"ja3", "string", put_ja3},
                                         {"ja3s", "string", put_ja3s},
                                         {"ja4", "string", put_ja4}};
const struct zeek_columns zeek_ssl_columns = {ssl, sizeof(ssl) / sizeof(ssl[0])};

/* ---- ssh ---- */

/* "SSH-2.0-..." -> 2; 1.99 offers both, and is told as 2. */
static void put_ssh_version(struct zeek_line *line, const void *record)
{
    const struct record_text banner = flow_of(record)->ssh.server_banner.length > 0
                                          ? flow_of(record)->ssh.server_banner
                                          : flow_of(record)->ssh.client_banner;

    if (banner.length < 7 || memcmp(banner.data, "SSH-", 4) != 0) {
        zeek_unset(line);
    } else {
        zeek_count(line, banner.data[4] == '2' || memcmp(banner.data + 4, "1.9", 3) == 0 ? 2 : 1);
    }
}

static void put_ssh_client(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->ssh.client_banner);
}

static void put_ssh_server(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->ssh.server_banner);
}

static void put_hassh(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->ssh.hassh);
}

static void put_hassh_server(struct zeek_line *line, const void *record)
{
    zeek_text(line, flow_of(record)->ssh.hassh_server);
}

static const struct zeek_column ssh[] = {ZEEK_FLOW,
                                         {"version", "count", put_ssh_version},
                                         {"client", "string", put_ssh_client},
                                         {"server", "string", put_ssh_server},
                                         {"hassh", "string", put_hassh},
                                         {"hasshServer", "string", put_hassh_server}};
const struct zeek_columns zeek_ssh_columns = {ssh, sizeof(ssh) / sizeof(ssh[0])};
