/* DNS, mDNS and LLMNR over UDP and TCP: counts, questions and their answers. */
#include "sensor/inspect/inspect_dns_internal.h"

#define TCP_LENGTH_BYTES 2 /* before each message over TCP (RFC 1035 4.2.2) */
#define MESSAGE_HELD_MAX                                                                           \
    16384                /* a longer message over TCP is read as far as its first segments         \
                          */
#define WAITING_MAX   48 /* questions that were told and still wait for their answer */
#define TELL_AT_LEAST (FLOW_QUERIES_MAX / 2) /* so that a burst costs no record each */
#define SEARCH_BYTES  4096                   /* looked through for a message behind a gap */

/* ---- questions ---- */

static bool is_over(const struct inspect *inspect, const struct flow *flow,
                    const struct dns_question *question)
{
    return flow->last_ns > question->asked_ns &&
           flow->last_ns - question->asked_ns > inspect->dns_timeout_ns;
}

/* Whether the next record tells this question: it is answered, or will not be, or room is wanted,
 * or it is the flow's last record. */
static bool is_due(const struct inspect *inspect, const struct flow *flow,
                   const struct dns_question *question, uint8_t event)
{
    return !question->is_told && (event == FLOW_END || question->is_answered ||
                                  question->is_pressed || is_over(inspect, flow, question));
}

/* A question as it stands in a message. */
struct asked {
    const struct dns_record *record;
    uint16_t id;
};

static bool is_same(const struct dns_question *a, const struct asked *b)
{
    return a->id == b->id && a->type == b->record->type &&
           a->name.length == b->record->name.length &&
           memcmp(a->name.bytes, b->record->name.bytes, a->name.length) == 0;
}

/* One that waits for its answer, else (`is_answered`) one that has it and is not told. */
static struct dns_question *find_question(const struct inspect *inspect,
                                          const struct dns_state *dns, const struct asked *like,
                                          bool is_answered)
{
    for (uint32_t at = dns->questions.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        struct dns_question *question = inspect_item(inspect, at);
        if (question->is_answered == is_answered && is_same(question, like)) {
            return question;
        }
    }
    return NULL;
}

/* As many as a record tells: those with their answer go first, then the oldest. */
static void press(struct inspect *inspect, struct flow *flow, struct dns_state *dns)
{
    uint32_t due = 0;

    for (uint32_t at = dns->questions.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        due += is_due(inspect, flow, inspect_item(inspect, at), FLOW_UPDATE);
    }
    for (uint32_t at = dns->questions.first; due < TELL_AT_LEAST && at != INSPECT_NONE;
         at = inspect_next(inspect, at)) {
        struct dns_question *question = inspect_item(inspect, at);
        if (!question->is_told && !is_due(inspect, flow, question, FLOW_UPDATE)) {
            question->is_pressed = true;
            due++;
        }
    }
    flow->bits |= FLOW_INSPECT_FULL;
}

struct leaving {
    struct inspect *inspect;
    struct flow *flow;
    uint32_t left; /* that may still leave */
};

/* Of those that were told and wait for their answer, the oldest leave. */
static bool is_worth_its_place(const void *item, void *context)
{
    struct leaving *leaving = context;
    const struct dns_question *question = item;

    if (!question->is_told || leaving->left == 0) {
        return true;
    }
    leaving->left--;
    inspect_dns_tell_unanswered(leaving->inspect, leaving->flow, question);
    return false;
}

/* Not filled; NULL where the question is left out. */
static struct dns_question *add_question(struct inspect *inspect, struct flow *flow,
                                         struct dns_state *dns)
{
    const bool is_full = dns->questions.count >= FLOW_QUERIES_MAX + WAITING_MAX;
    struct dns_question *added = is_full ? NULL : inspect_list_add_raw(inspect, &dns->questions);

    if (added == NULL) { /* the flow's own bound, or the pool's */
        struct leaving leaving = {inspect, flow, TELL_AT_LEAST};
        inspect_list_filter(inspect, &dns->questions, is_worth_its_place, &leaving);
        added =
            leaving.left < TELL_AT_LEAST ? inspect_list_add_raw(inspect, &dns->questions) : NULL;
    }
    if (added == NULL) {
        dns->omitted++;
        inspect->statistics.dns_questions_omitted++;
    }
    return added;
}

/* A question is new, or is told anew. */
static void note_untold(struct inspect *inspect, struct flow *flow, struct dns_state *dns)
{
    if (++dns->untold >= FLOW_QUERIES_MAX) {
        press(inspect, flow, dns);
    }
}

/* ---- messages ---- */

/* Writes all but the addresses, of which there are none, and of the name what is used. */
static void fill_question(const struct dns_message *message, const struct dns_record *record,
                          struct dns_question *out)
{
    out->asked_ns = message->time_ns;
    out->latency_ns = 0;
    out->type = record->type;
    out->class = record->class;
    out->id = message->header.id;
    out->rcode = 0;
    out->opcode = message->header.opcode;
    out->is_asked = out->is_answered = out->is_from_client = false;
    out->is_told = out->is_pressed = false;
    out->is_recursion_desired = message->header.is_recursion_desired;
    out->is_checking_disabled = message->header.is_checking_disabled;
    out->is_dnssec_ok = message->is_dnssec_ok;
    out->retries = 0;
    out->answers_count = 0;
    out->name.length = record->name.length;
    memcpy(out->name.bytes, record->name.bytes, record->name.length);
}

static void note_query(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                       const struct dns_message *message, const struct dns_record *record)
{
    const struct asked like = {record, message->header.id};
    struct dns_question *known = find_question(inspect, dns, &like, false);

    if (known != NULL) { /* asked again */
        known->retries = (uint8_t)(known->retries + (known->retries < UINT8_MAX));
        return;
    }
    struct dns_question *added = add_question(inspect, flow, dns);
    if (added != NULL) {
        fill_question(message, record, added);
        added->is_asked = true;
        added->is_from_client = message->direction == 0;
        note_untold(inspect, flow, dns);
    }
}

static void keep_addresses(const struct dns_message *message, struct dns_question *question)
{
    question->answers_count = message->answers_count;
    memcpy(question->answers, message->answers,
           message->answers_count * sizeof(message->answers[0]));
}

/* An answer to what was not asked, as far as was seen. */
static void note_unasked(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                         const struct dns_message *message, const struct dns_record *record,
                         bool is_first)
{
    struct dns_question question; /* told even where there is no room to keep it */

    fill_question(message, record, &question);
    question.is_answered = true;
    question.rcode = message->rcode;
    if (is_first) {
        keep_addresses(message, &question);
    }
    inspect_dns_tell_answer(inspect, message, &question, is_first);
    struct dns_question *added = add_question(inspect, flow, dns);
    if (added != NULL) {
        memcpy(added, &question, offsetof(struct dns_question, name.bytes) + question.name.length);
        note_untold(inspect, flow, dns);
    }
}

static void count_latency(struct inspect_dns_health *health, uint64_t latency_ns)
{
    unsigned bucket = 0;

    while (bucket < STATS_RTT_BOUNDS &&
           latency_ns > (uint64_t)(stats_rtt_bounds_seconds[bucket] * 1e9 + 0.5)) {
        bucket++;
    }
    health->response_counts[bucket]++;
    health->response_ns += latency_ns;
}

static void note_response(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                          const struct dns_message *message, const struct dns_record *record)
{
    const bool is_first = record == message->question;
    const struct asked like = {record, message->header.id};
    struct dns_question *question = find_question(inspect, dns, &like, false);

    if (question == NULL) {
        if (find_question(inspect, dns, &like, true) == NULL) { /* else the same once more */
            note_unasked(inspect, flow, dns, message, record, is_first);
        }
        return;
    }
    question->is_answered = true;
    question->rcode = message->rcode;
    if (message->time_ns >= question->asked_ns) {
        question->latency_ns = message->time_ns - question->asked_ns;
        dns->response_time_ns += question->latency_ns;
        dns->response_times++;
        count_latency(&inspect->dns_health, question->latency_ns);
    }
    if (is_first) {
        keep_addresses(message, question);
    }
    inspect_dns_tell_answer(inspect, message, question, is_first);
    if (question->is_told) { /* once more, with its answer */
        question->is_told = false;
        note_untold(inspect, flow, dns);
    }
}

static void count_message(struct inspect *inspect, struct dns_state *dns,
                          const struct dns_message *message)
{
    if (!message->header.is_response) {
        dns->query_count++;
        inspect->statistics.dns_queries++;
        return;
    }
    dns->response_count++;
    inspect->statistics.dns_responses++;
    if (message->rcode < STATS_RCODES) {
        inspect->dns_health.rcode_counts[message->rcode]++;
    }
    if (message->rcode < FLOW_RCODES && dns->rcode_counts[message->rcode] < UINT16_MAX) {
        dns->rcode_counts[message->rcode]++;
    }
}

static void take_record(const struct dns_record *record, struct dns_message *message)
{
    const bool is_a = record->type == DNS_TYPE_A && record->data.length == 4;
    const bool is_aaaa = record->type == DNS_TYPE_AAAA && record->data.length == 16;
    struct dns_edns edns;

    if (record->section != DNS_ANSWER) {
        if (dns_edns_read(record, &edns)) {
            message->rcode = (uint16_t)(edns.rcode_high << 4 | message->header.rcode);
            message->is_dnssec_ok = edns.is_dnssec_ok;
        }
        return;
    }
    message->has_alias |= record->type == DNS_TYPE_CNAME;
    if ((is_a || is_aaaa) && message->answers_count < FLOW_ANSWERS_MAX) {
        struct ip_address *address = &message->answers[message->answers_count++];

        *address = (struct ip_address){.version = is_a ? 4 : 6};
        memcpy(address->bytes, record->data.bytes, record->data.length);
    }
}

/* All records once: the OPT record stands near the end, and what it says belongs to the whole
 * message. The first question goes to `question`. */
static enum wire_status read_records(struct dns_reader *reader, struct dns_message *message,
                                     struct dns_record *question)
{
    struct dns_record record;

    if (message->header.counts[DNS_QUESTION] > 0 && dns_next(reader, question)) {
        message->question = question;
    }
    while (dns_next_nameless(reader, &record)) {
        take_record(&record, message);
    }
    return reader->status;
}

static void note_question(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                          const struct dns_message *message, const struct dns_record *record)
{
    if (message->header.is_response) {
        note_response(inspect, flow, dns, message, record);
    } else {
        note_query(inspect, flow, dns, message, record);
    }
}

/* Those behind the first: few messages have any. */
static void note_more_questions(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                                const struct dns_message *message)
{
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    (void)dns_parse(message->bytes, &header, &reader); /* it was read before */
    (void)dns_next(&reader, &record);
    while (dns_next(&reader, &record) && record.section == DNS_QUESTION) {
        note_question(inspect, flow, dns, message, &record);
    }
}

/* False: no DNS message. What the capture has of one counts. */
static bool read_message(struct inspect *inspect, struct flow *flow, struct dns_state *dns,
                         const struct inspect_input *input, const struct wire_span *bytes)
{
    struct dns_message message; /* its addresses are as many as it counts */
    struct dns_reader reader;
    struct dns_record question;

    if (dns_parse(bytes, &message.header, &reader) != WIRE_OK) {
        inspect->statistics.malformed++;
        return false;
    }
    message.bytes = bytes;
    message.rcode = message.header.rcode;
    message.is_dnssec_ok = message.has_alias = false;
    message.answers_count = 0;
    message.question = NULL;
    message.flow = flow;
    message.time_ns = input->packet->time_ns;
    message.direction = input->direction;
    if (read_records(&reader, &message, &question) == WIRE_MALFORMED) {
        inspect->statistics.malformed++;
    }
    count_message(inspect, dns, &message);
    if (message.question != NULL) {
        note_question(inspect, flow, dns, &message, &question);
    }
    if (message.question != NULL && message.header.counts[DNS_QUESTION] > 1) {
        note_more_questions(inspect, flow, dns, &message);
    }
    if (message.header.is_response && message.question == NULL) {
        inspect_dns_tell_answer(inspect, &message, NULL, true);
    }
    if (message.header.is_response) {
        inspect_dns_names(inspect, &message);
    }
    return true;
}

/* ---- streams ---- */

/* Offset of a message behind a gap, where its length and all of it stand in `bytes`; UINT32_MAX:
 * none. */
static uint32_t find_message(const struct wire_span *bytes)
{
    const uint32_t limit = bytes->length < SEARCH_BYTES ? bytes->length : SEARCH_BYTES;

    for (uint32_t at = 0; at + TCP_LENGTH_BYTES + DNS_HEADER_BYTES <= limit; at++) {
        const uint16_t length = wire_u16(bytes->bytes + at);
        const struct wire_span message = {.bytes = bytes->bytes + at + TCP_LENGTH_BYTES,
                                          .length = length};

        if (length >= DNS_HEADER_BYTES && length <= bytes->length - at - TCP_LENGTH_BYTES &&
            dns_is_whole(&message)) {
            return at;
        }
    }
    return UINT32_MAX;
}

static struct inspect_step stream_input(struct inspect *inspect, struct flow *flow,
                                        struct dns_state *dns, const struct inspect_input *input)
{
    const uint16_t bit = (uint16_t)(1U << input->direction);
    uint32_t used = 0;

    if (input->is_after_gap || (dns->lost_sync & bit) != 0) {
        const uint32_t at = find_message(&input->bytes);

        if (at == UINT32_MAX) { /* a whole message may come with more bytes */
            dns->lost_sync |= bit;
            return inspect_more(
                input->is_last || input->bytes.length > SEARCH_BYTES ? input->bytes.length : 0);
        }
        dns->lost_sync &= (uint16_t)~bit;
        used = at;
    }
    while (used + TCP_LENGTH_BYTES <= input->bytes.length) {
        const uint16_t length = wire_u16(input->bytes.bytes + used);
        const uint32_t left = input->bytes.length - used - TCP_LENGTH_BYTES;
        const bool is_whole = length <= left;
        const struct wire_span message = {.bytes = input->bytes.bytes + used + TCP_LENGTH_BYTES,
                                          .length = is_whole ? length : left};

        if (!is_whole && !input->is_last && left < MESSAGE_HELD_MAX) {
            break; /* offered again with its rest */
        }
        if (length < DNS_HEADER_BYTES || (message.length >= DNS_HEADER_BYTES &&
                                          !read_message(inspect, flow, dns, input, &message))) {
            if (dns->query_count + dns->response_count == 0 && dns->questions.count == 0) {
                return inspect_stop(INSPECT_REFUSED);
            }
            dns->lost_sync |= bit;
            return inspect_more(input->bytes.length);
        }
        used += TCP_LENGTH_BYTES + length; /* may lie behind what is there: passed over */
        if (!is_whole) {
            break;
        }
    }
    return inspect_more(used);
}

static struct inspect_step dns_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    struct dns_state *dns = inspect_part(inspect, flow, PART_DNS);

    if (dns == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->packet->protocol == IP_PROTOCOL_TCP) {
        const struct inspect_step step = stream_input(inspect, flow, dns, input);

        if (dns->query_count + dns->response_count > 0) {
            flow_set_app_confidence(flow, APP_CERTAIN);
        }
        return step;
    }
    if (read_message(inspect, flow, dns, input, &input->bytes)) {
        flow_set_app_confidence(flow, APP_CERTAIN);
    }
    return inspect_more(0);
}

/* ---- records ---- */

static void dns_fill(const struct inspect *inspect, const struct flow *flow,
                     struct flow_record *record)
{
    const struct dns_state *state = inspect_find(inspect, flow, PART_DNS);
    struct flow_dns *dns = &record->dns;

    record->has_dns = true;
    dns->query_count = state->query_count; /* queries[] stay as they are behind queries_count */
    dns->response_count = state->response_count;
    dns->queries_omitted = state->omitted;
    dns->has_response_time = state->response_times > 0;
    dns->response_time_ns =
        state->response_times > 0 ? state->response_time_ns / state->response_times : 0;
    dns->queries_count = 0;
    for (unsigned i = 0; i < FLOW_RCODES; i++) {
        dns->rcode_counts[i] = state->rcode_counts[i];
    }
    for (uint32_t at = state->questions.first;
         at != INSPECT_NONE && dns->queries_count < FLOW_QUERIES_MAX;
         at = inspect_next(inspect, at)) {
        const struct dns_question *question = inspect_item(inspect, at);
        if (!is_due(inspect, flow, question, record->event)) {
            continue; /* its answer may come: a later record tells both */
        }
        char *text = inspect->dns_names + (size_t)dns->queries_count * DNS_NAME_TEXT_BYTES;
        struct flow_dns_query *query = &dns->queries[dns->queries_count++];
        query->name = inspect_text(text, dns_name_text(&question->name, text));
        query->type = question->type;
        query->has_rcode = question->is_answered;
        query->has_latency = question->is_asked && question->is_answered;
        query->rcode = question->rcode;
        query->latency_ns = question->latency_ns;
        query->answers_count = question->answers_count; /* so many are read, as of queries[] */
        memcpy(query->answers, question->answers,
               question->answers_count * sizeof(question->answers[0]));
    }
}

/* Answered ones have been told in full. Others stay for their answer until it is late. */
static bool stays(const void *item, void *context)
{
    const struct leaving *leaving = context;
    const struct dns_question *question = item;

    if (!question->is_told) {
        return true;
    }
    if (question->is_answered) {
        return false;
    }
    if (is_over(leaving->inspect, leaving->flow, question)) {
        inspect_dns_tell_unanswered(leaving->inspect, leaving->flow, question);
        return false;
    }
    return true;
}

/* Counts are of one record. Questions are told once; those that wait for their answer stay. Runs
 * over them as dns_fill did.
 */
static void dns_reported(struct inspect *inspect, struct flow *flow)
{
    struct dns_state *dns = inspect_find(inspect, flow, PART_DNS);
    struct leaving leaving = {inspect, flow, 0};
    uint32_t told = 0;

    flow->bits &= ~(uint32_t)FLOW_INSPECT_FULL;
    for (uint32_t at = dns->questions.first; at != INSPECT_NONE && told < FLOW_QUERIES_MAX;
         at = inspect_next(inspect, at)) {
        struct dns_question *question = inspect_item(inspect, at);
        if (is_due(inspect, flow, question, FLOW_UPDATE)) {
            question->is_told = true;
            question->is_pressed = false;
            told++;
        }
    }
    dns->untold -= told;
    inspect_list_filter(inspect, &dns->questions, stays, &leaving);
    dns->query_count = dns->response_count = dns->omitted = 0;
    memset(dns->rcode_counts, 0, sizeof(dns->rcode_counts));
    dns->response_time_ns = 0;
    dns->response_times = 0;
    if (dns->untold >= FLOW_QUERIES_MAX) {
        press(inspect, flow, dns);
    }
}

static void dns_release(struct inspect *inspect, struct flow *flow)
{
    struct dns_state *dns = inspect_find(inspect, flow, PART_DNS);

    for (uint32_t at = dns->questions.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct dns_question *question = inspect_item(inspect, at);
        if (!question->is_answered) {
            inspect_dns_tell_unanswered(inspect, flow, question);
        }
    }
    inspect_list_free(inspect, &dns->questions);
    flow->bits &= ~(uint32_t)FLOW_INSPECT_FULL;
}

const struct inspect_app_ops inspect_dns = {
    .part = PART_DNS,
    .input = dns_input,
    .fill = dns_fill,
    .reported = dns_reported,
    .release = dns_release,
};
