/* Writes FlowRecord of a struct syn_record: byte for byte what codec_flow_encode.c makes of the
 * same in a struct flow_record. What such records have in common is constant here. */
#include <assert.h>

#include "proto/codec_flow_encode.h"
#include "proto/record_syn.h"

#define SYN_MAX (CODEC_SYN_BYTES_MAX - FIELD_TOUCHES)

static_assert(FLOW_ID_DIGITS + 2 + 3 * TIME_FIELD_MAX +
                      2 * (ADDRESS_TEXT_BYTES + MAC_TEXT_BYTES + 16) + 16 * NUMBER_FIELD_MAX +
                      4 * TEXT_FIELD_MAX <
                  SYN_MAX,
              "the advertised bound holds");

static ALWAYS_INLINE uint8_t *put_ipv4_endpoint(uint8_t *at, uint32_t field, uint32_t ip,
                                                uint16_t port, const uint8_t *mac, uint8_t scope)
{
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_tag(body, 1, WIRE_BYTES);

    *end = (uint8_t)address_ipv4_text(ip, (char *)end + 1);
    end += 1 + *end;
    end = put_numeral_if(end, 2, numeral_of_28(port), port != 0);
    if (mac != NULL) {
        end = put_tag(end, 3, WIRE_BYTES);
        *end = (uint8_t)mac_text(mac, (char *)end + 1);
        end += 1 + *end;
    }
    end = put_small(end, 6, scope);
    body[-1] = (uint8_t)(end - body); /* at most 61 bytes */
    return end;
}

/* Field 11: one packet. */
static ALWAYS_INLINE uint8_t *put_one_packet(uint8_t *at, const struct syn_record *syn)
{
    uint8_t *body = begin_message(at, 11);
    uint8_t *end = body;
    const uint64_t bytes = syn->bytes, ip = syn->ip_bytes;

    if (!syn->is_told) {
        store_le64(end, WIRE_TAG(1, WIRE_VARINT) | 1 << 8 | WIRE_TAG(2, WIRE_VARINT) << 16 |
                            bytes << 24 | (uint64_t)WIRE_TAG(4, WIRE_VARINT) << 32 |
                            UINT64_C(1) << 40 | (uint64_t)WIRE_TAG(5, WIRE_VARINT) << 48 |
                            bytes << 56);
        store_le32(end + 8, (uint32_t)(WIRE_TAG(7, WIRE_VARINT) | ip << 8 |
                                       WIRE_TAG(8, WIRE_VARINT) << 16 | ip << 24));
        end += 12;
    } else {
        store_le64(end, WIRE_TAG(4, WIRE_VARINT) | 1 << 8 | WIRE_TAG(5, WIRE_VARINT) << 16 |
                            bytes << 24 | (uint64_t)WIRE_TAG(8, WIRE_VARINT) << 32 | ip << 40);
        end += 6;
    }
    end = put_numeral_if(end, 10, numeral_of_byte(syn->ttl), true);
    end = put_numeral_if(end, 11, numeral_of_byte(syn->ttl), true);
    store_le32(end, WIRE_TAG(12, WIRE_VARINT) | (uint32_t)syn->dscp << 8);
    end += 2;
    body[-1] = (uint8_t)(end - body);
    return end;
}

/* Field 14. */
static ALWAYS_INLINE uint8_t *put_port_app(uint8_t *at, const struct syn_record *syn)
{
    if (syn->app.length == 0) {
        return at;
    }
    uint8_t *body = begin_message(at, 14);
    uint8_t *end = put_short_text(body, 1, syn->app);

    end = put_small(end, 2, APP_PORT);
    return end_message(body, put_short_text(end, 3, syn->app_method));
}

/* Field 15: "S0", "S" and what the SYN's header says. */
static ALWAYS_INLINE uint8_t *put_syn(uint8_t *at, const struct syn_record *syn)
{
    uint8_t *body = begin_message(at, 15);

    store_le64(body, WIRE_TAG(1, WIRE_VARINT) | (uint64_t)syn->tcp_state << 8 |
                         WIRE_TAG(2, WIRE_BYTES) << 16 | 2U << 24 | (uint64_t)'S' << 32 |
                         (uint64_t)'0' << 40 | (uint64_t)WIRE_TAG(3, WIRE_BYTES) << 48 |
                         UINT64_C(1) << 56);
    store_le32(body + 8, 'S' | WIRE_TAG(4, WIRE_BYTES) << 8);
    uint8_t *side = body + 11;
    uint8_t *end = put_byte(side, 1, syn->tcp_flags);
    end = put_small(end, 2, 1);
    end = put_numeral_if(end, 11, numeral_of_28(syn->window), true);
    end = put_numeral_if(end, 12, numeral_of_28(syn->mss), syn->has_mss);
    end = put_numeral_if(end, 13, numeral_of_byte(syn->window_scale), syn->has_window_scale);
    end = put_small(end, 21, syn->sack_permitted);
    end = put_small(end, 22, syn->timestamps);
    side[-1] = (uint8_t)(end - side);
    body[-1] = (uint8_t)(end - body);
    return end;
}

size_t codec_encode_syn(const struct syn_record *syn, uint8_t *out, size_t capacity,
                        size_t *community_end)
{
    const struct time_fields time = time_fields_of(syn->time_ns);
    uint8_t *at = out;

    if (UNLIKELY(capacity < CODEC_SYN_BYTES_MAX)) {
        return 0;
    }
    at = put_flow_id(at, 4, syn->flow_id);
    at = put_small(at, 5, syn->event);
    at = put_time_fields(at, 6, &time);
    at = put_time_fields(at, 7, &time);
    at = put_ipv4_endpoint(at, 8, syn->client_ip, syn->client_port, syn->client_mac,
                           syn->client_scope);
    at = put_ipv4_endpoint(at, 9, syn->server_ip, syn->server_port, syn->server_mac,
                           syn->server_scope);
    store_le32(at, WIRE_TAG(10, WIRE_VARINT) | 6U << 8); /* TCP */
    at = put_one_packet(at + 2, syn);
    at = put_time_fields(at, 13, &time);
    at = put_port_app(at, syn);
    at = put_syn(at, syn);
    at = put_small(at, 20, syn->end_reason);
    at = put_small(at, 21, syn->end_detail);
    at = put_number(at, 22, syn->update_index);
    at = put_small(at, 23, syn->initiator);
    at = put_small(at, 24, 4);
    at = put_tag(at, 25, WIRE_BYTES);
    *at = CODEC_COMMUNITY_BYTES;
    at += 1 + CODEC_COMMUNITY_BYTES;
    *community_end = (size_t)(at - out);
    at = put_short_text(at, 33, syn->interface);
    at = put_number(at, 34, syn->observation_point);
    at = put_small(at, 35, 1);
    return (size_t)(at - out);
}
