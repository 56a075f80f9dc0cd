/* DNS transactions as plain C (netscope.v1.DnsRecord); for units, lifetimes and numbers of enums
 * see record.h.
 *
 * Depends on: base/address.h. */
#pragma once

#include "base/address.h"
#include "proto/record_identity.h"

#define DNS_ANSWERS_MAX 32

struct dns_transaction_answer {
    struct record_text name, data; /* owner; address, name or text */
    struct record_text type_name;
    uint16_t type;
    uint32_t ttl_seconds;
};

/* One question with its answer, or one of the two. */
struct dns_transaction {
    struct record_identity identity;
    uint64_t time_ns; /* of the query; of the answer where no query was seen */
    uint64_t flow_id;
    struct ip_address client_ip, server_ip;
    uint16_t client_port, server_port;
    uint8_t ip_protocol;
    uint8_t opcode;
    uint16_t id, type, class;
    uint16_t rcode; /* valid when has_response: 12 bits with EDNS */
    bool has_query, has_response;
    bool is_authoritative, is_truncated, is_recursion_desired, is_recursion_available;
    bool is_authentic, is_checking_disabled, is_dnssec_ok;
    bool has_latency; /* query and answer were seen */
    uint64_t latency_ns;
    uint32_t retries, answers_omitted, response_bytes;
    struct record_text name, type_name, rcode_name, protocol, community_id;
    uint8_t answers_count;
    struct dns_transaction_answer answers[DNS_ANSWERS_MAX];
};
