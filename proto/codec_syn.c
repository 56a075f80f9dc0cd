/* Writes FlowRecord of a struct syn_record: byte for byte what codec_flow_encode.c makes of the
 * same in a struct flow_record. What such records have in common is constant here. */
#include <assert.h>

#include "proto/codec_flow_encode.h"
#include "proto/record_syn.h"

#define TWO_BYTE_TAG(field, type)                                                                  \
    ((WIRE_TAG(field, type) & 0x7f) | 0x80 | WIRE_TAG(field, type) >> 7 << 8)
#define SYN_MAX (CODEC_SYN_BYTES_MAX - FIELD_TOUCHES - CODEC_SYN_KEPT)

static_assert(FLOW_ID_DIGITS + 2 + 3 * TIME_FIELD_MAX +
                      2 * (ADDRESS_TEXT_BYTES + MAC_TEXT_BYTES + 16) + 16 * NUMBER_FIELD_MAX +
                      4 * TEXT_FIELD_MAX <
                  SYN_MAX,
              "the advertised bound holds");

/* A copy of at most CODEC_SYN_KEPT bytes in steps of a known length, which may touch as many. */
static ALWAYS_INLINE uint8_t *put_kept(uint8_t *at, const struct codec_syn_kept *kept)
{
    memcpy(at, kept->bytes, sizeof(kept->bytes));
    return at + kept->length;
}

static NOINLINE void keep_mac(struct codec_syn_kept *kept, uint64_t key, const uint8_t *mac)
{
    uint8_t *end = put_tag(kept->bytes, 3, WIRE_BYTES);

    *end = (uint8_t)mac_text(mac, (char *)end + 1);
    kept->key = key;
    kept->length = (uint32_t)(end + 1 + *end - kept->bytes);
}

/* Field 3 of an endpoint. */
static ALWAYS_INLINE uint8_t *put_mac(uint8_t *at, struct codec_syn_kept *kept, const uint8_t *mac)
{
    const uint64_t key =
        load_le32(mac) | (uint64_t)mac[4] << 32 | (uint64_t)mac[5] << 40 | UINT64_C(1) << 63;

    if (UNLIKELY(kept->key != key)) {
        keep_mac(kept, key, mac);
    }
    return put_kept(at, kept);
}

static ALWAYS_INLINE uint8_t *put_ipv4_endpoint(uint8_t *at, uint32_t field, uint32_t ip,
                                                uint16_t port, const uint8_t *mac,
                                                struct codec_syn_kept *kept, uint8_t scope)
{
    uint8_t *body = begin_message(at, field);
    uint8_t *end = put_tag(body, 1, WIRE_BYTES);

    *end = (uint8_t)address_ipv4_text(ip, (char *)end + 1);
    end += 1 + *end;
    end = put_numeral_if(end, 2, numeral_of_28(port), port != 0);
    if (LIKELY(mac != NULL)) {
        end = put_mac(end, kept, mac);
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
static NOINLINE void keep_header(struct codec_syn_kept *kept, uint64_t key,
                                 const struct syn_header *header)
{
    const unsigned options = header->options;
    const uint8_t scale = options >> SYN_SCALE_SHIFT & 15;
    uint8_t *body = begin_message(kept->bytes, 15);

    store_le64(body, WIRE_TAG(1, WIRE_VARINT) | (uint64_t)header->tcp_state << 8 |
                         WIRE_TAG(2, WIRE_BYTES) << 16 | 2U << 24 | (uint64_t)'S' << 32 |
                         (uint64_t)'0' << 40 | (uint64_t)WIRE_TAG(3, WIRE_BYTES) << 48 |
                         UINT64_C(1) << 56);
    store_le32(body + 8, 'S' | WIRE_TAG(4, WIRE_BYTES) << 8);
    uint8_t *side = body + 11;
    uint8_t *end = put_byte(side, 1, header->tcp_flags);
    end = put_small(end, 2, 1);
    end = put_numeral_if(end, 11, numeral_of_28(header->window), true);
    end = put_numeral_if(end, 12, numeral_of_28(header->mss), (options & SYN_HAS_MSS) != 0);
    end = put_numeral_if(end, 13, numeral_of_byte(scale), (options & SYN_HAS_WINDOW_SCALE) != 0);
    end = put_small(end, 21, (options & SYN_HAS_SACK_PERMITTED) != 0);
    end = put_small(end, 22, (options & SYN_HAS_TIMESTAMPS) != 0);
    side[-1] = (uint8_t)(end - side);
    body[-1] = (uint8_t)(end - body);
    kept->key = key;
    kept->length = (uint32_t)(end - kept->bytes);
}

static ALWAYS_INLINE uint8_t *put_header(uint8_t *at, struct codec_syn_kept *kept,
                                         const struct syn_record *syn)
{
    uint64_t key;

    static_assert(sizeof(syn->header) == sizeof(key), "and no gap in it");
    memcpy(&key, &syn->header, sizeof(key));
    if (UNLIKELY(kept->key != key)) {
        keep_header(kept, key, &syn->header);
    }
    return put_kept(at, kept);
}

/* Fields 20 to 24, and tag and length of field 25. */
static ALWAYS_INLINE uint8_t *put_end(uint8_t *at, const struct syn_record *syn)
{
    at = put_small(at, 20, syn->end_reason);
    at = put_small(at, 21, syn->end_detail);
    at = put_number(at, 22, syn->update_index);
    at = put_small(at, 23, syn->initiator);
    store_le64(at, TWO_BYTE_TAG(24, WIRE_VARINT) | 4U << 16 |
                       (uint64_t)TWO_BYTE_TAG(25, WIRE_BYTES) << 24 |
                       (uint64_t)CODEC_COMMUNITY_BYTES << 40);
    return at + 6;
}

size_t codec_encode_syn(const struct syn_record *syn, struct codec_syn_memory *memory, uint8_t *out,
                        size_t capacity, size_t *community_end)
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
                           &memory->client, syn->client_scope);
    at = put_ipv4_endpoint(at, 9, syn->server_ip, syn->server_port, syn->server_mac,
                           &memory->server, syn->server_scope);
    store_le32(at, WIRE_TAG(10, WIRE_VARINT) | 6U << 8); /* TCP */
    at = put_one_packet(at + 2, syn);
    at = put_time_fields(at, 13, &time);
    at = put_port_app(at, syn);
    at = put_header(at, &memory->header, syn);
    at = put_end(at, syn) + CODEC_COMMUNITY_BYTES;
    *community_end = (size_t)(at - out);
    at = put_short_text(at, 33, syn->interface);
    at = put_number(at, 34, syn->observation_point);
    at = put_small(at, 35, 1);
    return (size_t)(at - out);
}
