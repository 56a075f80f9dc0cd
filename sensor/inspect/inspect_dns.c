#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/dns.h"

#define TCP_LENGTH_BYTES 2 /* before each message over TCP (RFC 1035 4.2.2) */

bool inspect_dns_is_settled(const struct inspect *inspect, const struct flow *flow,
                            const struct dns_question *question)
{
    return question->is_answered || (flow->last_ns > question->asked_ns &&
                                     flow->last_ns - question->asked_ns > inspect->dns_timeout_ns);
}

static struct dns_question *find_question(struct inspect *inspect, const struct dns_head *head,
                                          const struct dns_question *like)
{
    uint32_t handle = head->first_question;

    while (handle != INSPECT_NONE) {
        struct inspect_block *block = inspect_block(inspect, handle);
        struct dns_question *question = &block->of.question;
        if (!question->is_answered && question->id == like->id && question->type == like->type &&
            question->name_length == like->name_length &&
            memcmp(question->name, like->name, like->name_length) == 0) {
            return question;
        }
        handle = block->next;
    }
    return NULL;
}

static void add_question(struct inspect *inspect, struct dns_head *head,
                         const struct dns_question *question)
{
    const uint32_t handle =
        head->question_count < FLOW_QUERIES_MAX ? inspect_take(inspect) : INSPECT_NONE;

    if (handle == INSPECT_NONE) {
        head->omitted++;
        inspect->statistics.dns_questions_omitted++;
        return;
    }
    inspect_block(inspect, handle)->of.question = *question;
    if (head->last_question != INSPECT_NONE) {
        inspect_block(inspect, head->last_question)->next = handle;
    } else {
        head->first_question = handle;
    }
    head->last_question = handle;
    head->question_count++;
}

static void note_response(struct inspect *inspect, struct dns_head *head, struct dns_question *like,
                          const struct dns *header, uint64_t now_ns)
{
    struct dns_question *question = find_question(inspect, head, like);

    if (question == NULL || now_ns < question->asked_ns) {
        return;
    }
    question->is_answered = true;
    question->rcode = header->rcode;
    question->latency_ns = now_ns - question->asked_ns;
    head->response_time_ns += question->latency_ns;
    head->response_times++;
}

static void read_message(struct inspect *inspect, const struct wire_span *message,
                         struct dns_head *head, uint64_t now_ns)
{
    struct dns_reader reader;
    struct dns header;
    struct dns_record record;

    if (dns_parse(message, &header, &reader) != WIRE_OK) {
        inspect->statistics.malformed++;
        return;
    }
    if (header.is_response) {
        head->response_count++;
        inspect->statistics.dns_responses++;
        if (header.rcode < FLOW_RCODES && head->rcode_counts[header.rcode] < UINT16_MAX) {
            head->rcode_counts[header.rcode]++;
        }
    } else {
        head->query_count++;
        inspect->statistics.dns_queries++;
    }
    while (dns_next(&reader, &record) && record.section == DNS_QUESTION) {
        struct dns_question question = {.asked_ns = now_ns, .type = record.type, .id = header.id};
        char text[DNS_NAME_TEXT_BYTES];
        const unsigned length = dns_name_text(&record.name, text);
        question.name_length =
            (uint16_t)(length < INSPECT_NAME_BYTES ? length : INSPECT_NAME_BYTES);
        memcpy(question.name, text, question.name_length);
        if (header.is_response) {
            note_response(inspect, head, &question, &header, now_ns);
        } else if (find_question(inspect, head, &question) == NULL) { /* else asked again */
            add_question(inspect, head, &question);
        }
    }
    if (reader.status == WIRE_MALFORMED) {
        inspect->statistics.malformed++;
    }
}

void inspect_dns_packet(struct inspect *inspect, const struct packet *packet,
                        const struct wire_span *payload, struct flow *flow)
{
    struct inspect_block *head = inspect_head(inspect, flow);

    if (head == NULL) {
        return;
    }
    flow->app_confidence = APP_CERTAIN;
    if (packet->protocol != IP_PROTOCOL_TCP) {
        read_message(inspect, payload, &head->of.dns, packet->time_ns);
        return;
    }
    /* Messages that stand whole in this segment, from its first byte on. */
    struct cursor in = cursor_over(payload->bytes, payload->length);
    while (cursor_left(&in) > TCP_LENGTH_BYTES) {
        const uint16_t length = cursor_u16(&in);
        const struct wire_span message = cursor_span(&in, length);
        if (!in.ok || length < DNS_HEADER_BYTES) {
            return;
        }
        read_message(inspect, &message, &head->of.dns, packet->time_ns);
    }
}

void inspect_dns_reported(struct inspect *inspect, struct flow *flow)
{
    struct dns_head *head = &inspect_block(inspect, flow->app)->of.dns;
    uint32_t handle = head->first_question;
    struct dns_head kept = {0}; /* questions that still wait for their answer */

    while (handle != INSPECT_NONE) {
        struct inspect_block *block = inspect_block(inspect, handle);
        const uint32_t next = block->next;
        if (inspect_dns_is_settled(inspect, flow, &block->of.question)) {
            inspect_give(inspect, handle);
        } else {
            block->next = INSPECT_NONE;
            if (kept.last_question != INSPECT_NONE) {
                inspect_block(inspect, kept.last_question)->next = handle;
            } else {
                kept.first_question = handle;
            }
            kept.last_question = handle;
            kept.question_count++;
        }
        handle = next;
    }
    *head = kept;
}
