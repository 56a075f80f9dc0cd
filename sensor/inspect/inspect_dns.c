#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/dns.h"

#define TCP_LENGTH_BYTES 2 /* before each message over TCP (RFC 1035 4.2.2) */
#define NAME_BYTES       272

struct dns_state {
    struct inspect_list questions; /* of struct dns_question */
    uint32_t query_count, response_count, omitted;
    uint16_t rcode_counts[FLOW_RCODES];
    uint64_t response_time_ns; /* sum */
    uint32_t response_times;
};
static_assert(sizeof(struct dns_state) <= INSPECT_PART_BYTES, "a part");

struct dns_question {
    uint64_t asked_ns;
    uint64_t latency_ns;
    uint16_t type;
    uint16_t id;
    uint16_t name_length;
    uint8_t rcode;
    bool is_answered;
    char name[NAME_BYTES];
};
static_assert(sizeof(struct dns_question) <= INSPECT_PART_BYTES, "a block of a list");

/* Whether a record before the end tells this question: it is answered, or will not be. */
static bool is_settled(const struct inspect *inspect, const struct flow *flow,
                       const struct dns_question *question)
{
    return question->is_answered || (flow->last_ns > question->asked_ns &&
                                     flow->last_ns - question->asked_ns > inspect->dns_timeout_ns);
}

static struct dns_question *find_question(const struct inspect *inspect,
                                          const struct dns_state *dns,
                                          const struct dns_question *like)
{
    for (uint32_t at = dns->questions.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        struct dns_question *question = inspect_item(inspect, at);
        if (!question->is_answered && question->id == like->id && question->type == like->type &&
            question->name_length == like->name_length &&
            memcmp(question->name, like->name, like->name_length) == 0) {
            return question;
        }
    }
    return NULL;
}

static void add_question(struct inspect *inspect, struct dns_state *dns,
                         const struct dns_question *question)
{
    struct dns_question *added =
        dns->questions.count < FLOW_QUERIES_MAX ? inspect_list_add(inspect, &dns->questions) : NULL;

    if (added == NULL) {
        dns->omitted++;
        inspect->statistics.dns_questions_omitted++;
        return;
    }
    *added = *question;
}

static void note_response(struct inspect *inspect, struct dns_state *dns, struct dns_question *like,
                          const struct dns *header, uint64_t now_ns)
{
    struct dns_question *question = find_question(inspect, dns, like);

    if (question == NULL || now_ns < question->asked_ns) {
        return;
    }
    question->is_answered = true;
    question->rcode = header->rcode;
    question->latency_ns = now_ns - question->asked_ns;
    dns->response_time_ns += question->latency_ns;
    dns->response_times++;
}

static void read_message(struct inspect *inspect, const struct wire_span *message,
                         struct dns_state *dns, uint64_t now_ns)
{
    struct dns_reader reader;
    struct dns header;
    struct dns_record record;

    if (dns_parse(message, &header, &reader) != WIRE_OK) {
        inspect->statistics.malformed++;
        return;
    }
    if (header.is_response) {
        dns->response_count++;
        inspect->statistics.dns_responses++;
        if (header.rcode < FLOW_RCODES && dns->rcode_counts[header.rcode] < UINT16_MAX) {
            dns->rcode_counts[header.rcode]++;
        }
    } else {
        dns->query_count++;
        inspect->statistics.dns_queries++;
    }
    while (dns_next(&reader, &record) && record.section == DNS_QUESTION) {
        struct dns_question question = {.asked_ns = now_ns, .type = record.type, .id = header.id};
        char text[DNS_NAME_TEXT_BYTES];
        const unsigned length = dns_name_text(&record.name, text);
        question.name_length = (uint16_t)(length < NAME_BYTES ? length : NAME_BYTES);
        memcpy(question.name, text, question.name_length);
        if (header.is_response) {
            note_response(inspect, dns, &question, &header, now_ns);
        } else if (find_question(inspect, dns, &question) == NULL) { /* else asked again */
            add_question(inspect, dns, &question);
        }
    }
    if (reader.status == WIRE_MALFORMED) {
        inspect->statistics.malformed++;
    }
}

static struct inspect_step dns_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    struct dns_state *dns = inspect_part(inspect, flow, PART_DNS);

    if (dns == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    flow->app_confidence = APP_CERTAIN;
    if (input->packet->protocol != IP_PROTOCOL_TCP) {
        read_message(inspect, &input->bytes, dns, input->packet->time_ns);
        return inspect_more(0);
    }
    /* Messages that stand whole in this segment, from its first byte on. */
    struct cursor in = cursor_over(input->bytes.bytes, input->bytes.length);
    while (cursor_left(&in) > TCP_LENGTH_BYTES) {
        const uint16_t length = cursor_u16(&in);
        const struct wire_span message = cursor_span(&in, length);
        if (!in.ok || length < DNS_HEADER_BYTES) {
            break;
        }
        read_message(inspect, &message, dns, input->packet->time_ns);
    }
    return inspect_more(input->bytes.length);
}

static void dns_fill(const struct inspect *inspect, const struct flow *flow,
                     struct flow_record *record)
{
    const struct dns_state *state = inspect_find(inspect, flow, PART_DNS);
    struct flow_dns *dns = &record->dns;

    record->has_dns = true;
    *dns = (struct flow_dns){.query_count = state->query_count,
                             .response_count = state->response_count,
                             .queries_omitted = state->omitted,
                             .has_response_time = state->response_times > 0};
    for (unsigned i = 0; i < FLOW_RCODES; i++) {
        dns->rcode_counts[i] = state->rcode_counts[i];
    }
    if (state->response_times > 0) {
        dns->response_time_ns = state->response_time_ns / state->response_times;
    }
    for (uint32_t at = state->questions.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct dns_question *question = inspect_item(inspect, at);
        if (record->event != FLOW_END && !is_settled(inspect, flow, question)) {
            continue; /* its answer may come: a later record tells both */
        }
        dns->queries[dns->queries_count++] =
            (struct flow_dns_query){.name = inspect_text(question->name, question->name_length),
                                    .type = question->type,
                                    .has_rcode = question->is_answered,
                                    .rcode = question->rcode,
                                    .latency_ns = question->latency_ns};
    }
}

struct waiting {
    const struct inspect *inspect;
    const struct flow *flow;
};

static bool still_waits(const void *item, const void *context)
{
    const struct waiting *waiting = context;

    return !is_settled(waiting->inspect, waiting->flow, item);
}

/* Questions are told once; those that wait for their answer stay. */
static void dns_reported(struct inspect *inspect, struct flow *flow)
{
    struct dns_state *dns = inspect_find(inspect, flow, PART_DNS);
    const struct waiting waiting = {inspect, flow};

    inspect_list_filter(inspect, &dns->questions, still_waits, &waiting);
    *dns = (struct dns_state){.questions = dns->questions};
}

static void dns_release(struct inspect *inspect, struct flow *flow)
{
    struct dns_state *dns = inspect_find(inspect, flow, PART_DNS);

    inspect_list_free(inspect, &dns->questions);
}

const struct inspect_app_ops inspect_dns = {
    .part = PART_DNS,
    .input = dns_input,
    .fill = dns_fill,
    .reported = dns_reported,
    .release = dns_release,
};
