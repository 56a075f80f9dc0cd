#include "sensor/wire/app.h"
#include "sensor/wire/tls_hello.h"
#include "sensor/wire/tree_writer.h"

#define PAYLOAD_SHOWN_BYTES 32

static void tree_version(struct tree_writer *writer, const char *name, uint16_t version)
{
    const char *known = tls_version_name(version);

    tree_field(writer, name, NULL, 0, "0x%04x%s%s", version, known != NULL ? " " : "",
               known != NULL ? known : "");
}

static bool tree_tls(struct tree_writer *writer, const struct wire_span *payload)
{
    struct tls_hello hello;
    const enum wire_status status = tls_record_hello(payload, &hello);

    if (status == WIRE_MALFORMED || hello.legacy_version == 0) {
        return false;
    }
    tree_layer(writer, hello.is_client ? "TLS ClientHello" : "TLS ServerHello", payload->bytes,
               payload->length);
    tree_version(writer, "record_version", hello.record_version);
    tree_version(writer, "legacy_version", hello.legacy_version);
    tree_version(writer, "version", hello.version);
    if (hello.is_client) {
        tree_field(writer, "cipher_count", hello.ciphers.bytes, hello.ciphers.length, "%u",
                   hello.cipher_count);
    } else {
        tree_field(writer, "cipher", NULL, 0, "0x%04x", hello.cipher);
    }
    tree_field(writer, "extension_count", hello.extensions.bytes, hello.extensions.length, "%u",
               hello.extension_count);
    tree_escaped(writer, hello.is_sni_host_name ? "sni" : "sni_not_a_host_name", &hello.sni);
    struct wire_span list = hello.alpn;
    struct wire_span name;
    while (tls_alpn_next(&list, &name)) {
        tree_escaped(writer, "alpn", &name);
    }
    if (hello.has_ech) {
        tree_field(writer, "encrypted_client_hello", NULL, 0, "yes");
    }
    if (status == WIRE_TRUNCATED) {
        tree_field(writer, "fault", NULL, 0, "goes on in a later segment");
    }
    return true;
}

static const char *app_layer_name(enum app app)
{
    switch (app) {
    case APP_DNS:
        return "DNS";
    case APP_MDNS:
        return "mDNS";
    case APP_LLMNR:
        return "LLMNR";
    case APP_SSH:
        return "SSH";
    case APP_QUIC:
        return "QUIC";
    case APP_NTP:
        return "NTP";
    case APP_DHCP:
        return "DHCP";
    case APP_DHCPV6:
        return "DHCPv6";
    default:
        return "Payload";
    }
}

void tree_payload(struct tree_writer *writer, uint8_t protocol, uint16_t source_port,
                  uint16_t target_port, const struct wire_span *payload)
{
    const struct app_guess guess = app_recognise(protocol, payload, source_port, target_port);
    const bool is_by_content = guess.method == APP_BY_CONTENT;

    if (payload->length == 0) {
        return;
    }
    switch (is_by_content ? guess.app : APP_UNKNOWN) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        if (protocol == IP_PROTOCOL_TCP
                ? tree_dns_stream(writer, app_layer_name(guess.app), payload)
                : tree_dns(writer, app_layer_name(guess.app), payload)) {
            return;
        }
        break;
    case APP_TLS:
        if (tree_tls(writer, payload)) {
            return;
        }
        break;
    case APP_HTTP:
        if (tree_http1(writer, payload)) {
            return;
        }
        break;
    case APP_DHCP:
        if (tree_dhcp(writer, payload)) {
            return;
        }
        break;
    case APP_DHCPV6:
        if (tree_dhcpv6(writer, payload)) {
            return;
        }
        break;
    default:
        break;
    }
    tree_layer(writer, is_by_content ? app_layer_name(guess.app) : "Payload", payload->bytes,
               payload->length);
    tree_field(writer, "bytes", payload->bytes, payload->length, "%u", payload->length);
    tree_hex(writer, "data", payload->bytes,
             payload->length < PAYLOAD_SHOWN_BYTES ? payload->length : PAYLOAD_SHOWN_BYTES);
    if (guess.method != APP_BY_NOTHING) {
        tree_field(writer, "application", NULL, 0, "%s (by %s)", app_name(guess.app),
                   app_method_name(guess.method));
    }
}
