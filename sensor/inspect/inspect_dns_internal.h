/* What the files of the DNS handler share. Depends on: handler.h, wire/dns.h. Private to
 * inspect_dns*.c. */
#pragma once

#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/dns.h"

/* A question that waits for its answer, or for a record that tells both. */
struct dns_question {
    uint64_t asked_ns; /* of the answer where no question was seen */
    uint64_t latency_ns;
    uint16_t type, class, id;
    uint16_t rcode;
    uint8_t opcode;
    bool is_asked, is_answered;
    bool is_from_client; /* of the flow */
    bool is_told;        /* in a record of the flow: it stays for its answer alone */
    bool is_pressed;     /* to be told in the next record, answered or not */
    bool is_recursion_desired, is_checking_disabled, is_dnssec_ok;
    uint8_t retries;
    uint8_t answers_count;
    struct ip_address answers[FLOW_ANSWERS_MAX];
    struct dns_name name;
};
static_assert(sizeof(struct dns_question) <= INSPECT_PART_BYTES, "a block of a list");

struct dns_state {
    struct inspect_list questions; /* of struct dns_question, as they came */
    uint32_t untold;               /* of them */
    uint32_t query_count, response_count, omitted;
    uint16_t rcode_counts[FLOW_RCODES];
    uint64_t response_time_ns; /* sum */
    uint32_t response_times;
    uint16_t lost_sync; /* bit a direction: in the middle of the stream, no message found yet */
};
static_assert(sizeof(struct dns_state) <= INSPECT_PART_BYTES, "a part");

/* A message and what the handler needs to know about it. */
struct dns_message {
    const struct wire_span *bytes;
    struct dns header;
    uint16_t rcode; /* with EDNS */
    bool is_dnssec_ok;
    bool has_alias; /* a CNAME record among the answers */
    uint8_t answers_count;
    struct ip_address answers[FLOW_ANSWERS_MAX]; /* the first addresses of the answer */
    const struct dns_record *question;           /* the first; NULL: none, or not to be read */
    const struct flow *flow;
    uint64_t time_ns;
    int direction;
};

/* Who asked: the receiver of a response, the sender of a query. */
static inline bool dns_client_is_flow_client(bool is_response, int direction)
{
    return (direction == 0) != is_response;
}

/* inspect_dns_report.c: tells the observer, where one asks. */

/* A transaction with its answer; `question` NULL: an answer without a question (mDNS). */
void inspect_dns_tell_answer(struct inspect *inspect, const struct dns_message *message,
                             const struct dns_question *question, bool is_first);
/* One whose answer did not come. */
void inspect_dns_tell_unanswered(struct inspect *inspect, const struct flow *flow,
                                 const struct dns_question *question);

/* inspect_dns_names.c: the addresses that a response names. */
void inspect_dns_names(struct inspect *inspect, const struct dns_message *message);
