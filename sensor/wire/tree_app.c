#include "sensor/wire/app.h"
#include "sensor/wire/tree_writer.h"

#define PAYLOAD_SHOWN_BYTES 32

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
    case APP_DTLS:
        if (tree_dtls(writer, payload)) {
            return;
        }
        break;
    case APP_QUIC:
        if (tree_quic(writer, payload)) {
            return;
        }
        break;
    case APP_SSH:
        if (tree_ssh(writer, payload)) {
            return;
        }
        break;
    case APP_HTTP:
    case APP_SSDP:
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
