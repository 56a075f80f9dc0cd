/* The walk, the tree, the line and the hex dump over any bytes: the first byte chooses the link
 * type, the second whether the frame was longer on the wire (bit 0) and by which rules it is walked
 * (bits 1 to 3; 0: the usual ones). With no corpus, the first inputs are frames of the packet
 * builder. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/community_id.h"
#include "sensor/wire/packet_rules.h"
#include "sensor/wire/packet_summary.h"
#include "sensor/wire/packet_tree.h"
#include "tests/fuzz/support/link_types.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_packet(const struct frame *frame, const struct packet *packet)
{
    check(packet->verdict < PACKET_VERDICT_COUNT);
    check(packet->payload_offset <= frame->captured_bytes);
    check(packet->payload_captured_bytes <= frame->captured_bytes - packet->payload_offset);
    check(packet->transport_offset <= frame->captured_bytes);
    check(packet->verdict != PACKET_OK || packet->ip_version == 4 || packet->ip_version == 6);
    check(packet->verdict != PACKET_OK || packet->payload_captured_bytes <= packet->payload_bytes);
}

static void check_tree(const struct frame *frame, const struct packet_tree *tree)
{
    for (uint32_t i = 0; i < tree->layer_count; i++) {
        const struct packet_tree_layer *layer = &tree->layers[i];

        check(layer->offset + layer->length <= frame->captured_bytes);
        check(layer->first_field + layer->field_count <= tree->field_count);
    }
    for (uint32_t i = 0; i < tree->field_count; i++) {
        const struct packet_tree_field *field = &tree->fields[i];

        check(field->offset + field->length <= frame->captured_bytes);
        for (const char *at = field->value; *at != '\0'; at++) {
            check(*at >= 0x20 && *at < 0x7f);
        }
    }
}

/* All open; few layers; all closed that can be; one closed; a port of a tunnel elsewhere. */
static const struct packet_rules *rules_of(unsigned choice)
{
    static struct packet_rules rules;

    rules = packet_rules_default;
    switch (choice) {
    case 0:
        return NULL;
    case 1:
        rules.layers_max = 1;
        break;
    case 2:
        for (unsigned layer = 0; layer < LAYER_COUNT; layer++) {
            if (wire_layer_is_optional((enum wire_layer)layer)) {
                packet_rules_disable(&rules, (enum wire_layer)layer);
            }
        }
        break;
    case 3:
        packet_rules_disable(&rules, LAYER_VLAN);
        break;
    default:
        for (unsigned port = 0; packet_rules_add_port(&rules, (uint16_t)(53 + port), LAYER_VXLAN);
             port++) {
        }
        break;
    }
    return &rules;
}

static void check_id(const struct packet *packet)
{
    const struct community_id_flow flow = {.source = packet_source(packet),
                                           .target = packet_target(packet),
                                           .protocol = packet->protocol,
                                           .source_port = packet->source_port,
                                           .target_port = packet->target_port};
    char id[COMMUNITY_ID_TEXT_BYTES];

    if (packet->ip_version != 0) {
        community_id_v1(&flow, 0, id);
        check(strlen(id) == COMMUNITY_ID_TEXT_BYTES - 1);
    }
    check(decode_reason_name((enum decode_reason)packet->fault_reason) != NULL);
    check(wire_layer_name((enum wire_layer)packet->fault_layer) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_tree tree;
    static char line[PACKET_SUMMARY_BYTES];
    char hex[PACKET_HEX_LINE_BYTES];
    struct packet packet, seen;

    if (size < 2) {
        return 0;
    }
    const struct packet_rules *rules = rules_of(data[1] >> 1 & 7);
    const struct frame frame = {
        .bytes = data + 2,
        .captured_bytes = (uint32_t)(size - 2),
        .wire_bytes = (uint32_t)(size - 2) + (data[1] & 1) * 100,
        .link_type = fuzz_link_types[data[0] % FUZZ_LINK_TYPES],
    };
    (void)packet_decode_by(rules, &frame, PACKET_CHECKSUMS, &packet);
    check_packet(&frame, &packet);
    check_id(&packet);
    check(packet_tree_by(rules, &frame, &seen, &tree) == packet.verdict);
    check(memcmp(&seen, &packet, sizeof(packet)) == 0);
    check_tree(&frame, &tree);
    packet_tree(&frame, &tree);
    check_tree(&frame, &tree);
    check(packet_line(1, &frame, &packet, line, sizeof(line)) == strlen(line));
    check(packet_summary(&frame, &packet, line, 20) <= 19);
    for (uint32_t offset = 0; packet_hex_line(&frame, offset, hex); offset += 16) {
    }
    return 0;
}

static size_t build(uint8_t *data, size_t size_max, unsigned kind)
{
    const struct build_ip v4 = {.source = "10.0.0.1", .target = "10.0.0.2"};
    const struct build_ip v6 = {.source = "2001:db8::1", .target = "2001:db8::2"};
    struct packet_builder b;

    if (size_max < 512) {
        return 0;
    }
    data[0] = 0;
    data[1] = (uint8_t)(kind >> 4 & 15);
    build_start(&b, data + 2, size_max - 2);
    build_ethernet(&b);
    if (kind & 1) {
        build_vlan(&b, 7);
    }
    if (kind & 2) {
        build_ipv6(&b, v6);
        build_extension(&b, 0, 8);
        build_fragment(&b, 0, true, 5);
    } else {
        build_ipv4(&b, v4);
    }
    switch (kind >> 2 & 3) {
    case 0:
        build_tcp(&b, (struct build_tcp){.source_port = 40000,
                                         .target_port = 443,
                                         .options = (const uint8_t[]){2, 4, 5, 180, 1, 3, 3, 7},
                                         .options_length = 8});
        build_client_hello(&b, (struct build_hello){.sni = "www.example.com", .alpn = "h2"});
        break;
    case 1:
        build_udp(&b, 53, 40000);
        build_dns(&b, (struct build_dns){
                          .name = "www.example.com", .is_response = true, .answer = "192.0.2.1"});
        break;
    case 2:
        build_tcp(&b, (struct build_tcp){.source_port = 40000, .target_port = 80});
        build_text(&b, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        break;
    default:
        build_icmp(&b, 8, 0, 1, 1);
        break;
    }
    build_finish(&b);
    return b.length + 2;
}

/* Once in a while a new frame of the builder, otherwise the usual mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if (size < 4 || seed % 64 == 0) {
        const size_t built = build(data, size_max, seed / 64);

        if (built > 0) {
            return built;
        }
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
