/* DNS transactions for whoever wants each of them. */
#include <stddef.h>
#include <stdlib.h>

#include "base/zero.h"
#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect_dns_internal.h"

#define TYPE_TEXT_BYTES 16

struct dns_scratch {
    struct dns_transaction transaction;
    char name[DNS_NAME_TEXT_BYTES];
    char type[TYPE_TEXT_BYTES];
    char names[DNS_ANSWERS_MAX][DNS_NAME_TEXT_BYTES];
    char data[DNS_ANSWERS_MAX][DNS_NAME_TEXT_BYTES];
    char types[DNS_ANSWERS_MAX][TYPE_TEXT_BYTES];
};

struct dns_scratch *inspect_dns_scratch_new(void)
{
    return calloc(1, sizeof(struct dns_scratch));
}

void inspect_dns_scratch_free(struct dns_scratch *scratch)
{
    free(scratch);
}

static struct record_text static_text(const char *text)
{
    return text != NULL ? inspect_text(text, (uint32_t)strlen(text)) : inspect_text(NULL, 0);
}

/* What question and flow tell. The flow's server may be who asked: its first packet seen may have
 * been an answer. */
static struct dns_transaction *begin(struct inspect *inspect, const struct flow *flow,
                                     bool is_client)
{
    struct dns_transaction *out = &inspect->dns_scratch->transaction;

    /* Not the answers: as many as answers_count says are there. */
    zero_bytes(out, offsetof(struct dns_transaction, answers));
    if (!inspect->observer.dns_is_brief) {
        out->flow_id = flow_id(inspect->table, flow);
        out->protocol = static_text(app_name((enum app)flow->app_protocol));
    }
    out->client_ip = is_client ? flow_client_address(flow) : flow_server_address(flow);
    out->server_ip = is_client ? flow_server_address(flow) : flow_client_address(flow);
    out->client_port = is_client ? flow_client_port(flow) : flow_server_port(flow);
    out->server_port = is_client ? flow_server_port(flow) : flow_client_port(flow);
    out->ip_protocol = flow->key.protocol;
    return out;
}

static void set_question(struct inspect *inspect, const struct dns_question *question,
                         struct dns_transaction *out)
{
    out->time_ns = question->asked_ns;
    out->name = inspect_text(inspect->dns_scratch->name,
                             dns_name_text(&question->name, inspect->dns_scratch->name));
    out->type = question->type;
    if (!inspect->observer.dns_is_brief) {
        out->type_name = static_text(dns_type_text(question->type, inspect->dns_scratch->type));
    }
    out->class = question->class;
    out->id = question->id;
    out->opcode = question->opcode;
    out->has_query = question->is_asked;
    out->is_recursion_desired = question->is_recursion_desired;
    out->is_checking_disabled = question->is_checking_disabled;
    out->is_dnssec_ok = question->is_dnssec_ok;
    out->retries = question->retries;
}

static void add_answers(struct inspect *inspect, const struct dns_message *message,
                        struct dns_transaction *out)
{
    struct dns_scratch *scratch = inspect->dns_scratch;
    struct dns_reader reader;
    struct dns header;
    struct dns_record record;
    uint32_t seen = 0;

    if (dns_parse(message->bytes, &header, &reader) != WIRE_OK) {
        return;
    }
    while (dns_next(&reader, &record) && record.section <= DNS_ANSWER) {
        const unsigned i = out->answers_count;

        if (record.section != DNS_ANSWER) {
            continue;
        }
        seen++;
        if (i == DNS_ANSWERS_MAX) {
            continue;
        }
        const unsigned name_length = dns_name_text(&record.name, scratch->names[i]);
        const unsigned data_length =
            dns_data_text(&reader, &record, scratch->data[i], sizeof(scratch->data[i]));
        out->answers[i] = (struct dns_transaction_answer){
            .name = inspect_text(scratch->names[i], name_length),
            .data = inspect_text(scratch->data[i], data_length),
            .type_name = static_text(dns_type_text(record.type, scratch->types[i])),
            .type = record.type,
            .ttl_seconds = record.ttl_seconds};
        out->answers_count++;
    }
    seen = header.counts[DNS_ANSWER] > seen ? header.counts[DNS_ANSWER] : seen;
    out->answers_omitted = seen - out->answers_count;
}

void inspect_dns_tell_answer(struct inspect *inspect, const struct dns_message *message,
                             const struct dns_question *question, bool is_first)
{
    if (inspect->observer.on_dns == NULL) {
        return;
    }
    struct dns_transaction *out =
        begin(inspect, message->flow, dns_client_is_flow_client(true, message->direction));
    const struct dns *header = &message->header;

    if (question != NULL) {
        set_question(inspect, question, out);
        out->has_latency = question->is_asked;
        out->latency_ns = question->latency_ns;
    } else {
        out->time_ns = message->time_ns;
        out->id = header->id;
        out->opcode = header->opcode;
    }
    out->has_response = true;
    out->rcode = message->rcode;
    if (!inspect->observer.dns_is_brief) {
        out->rcode_name = static_text(dns_rcode_name(message->rcode));
    }
    out->is_authoritative = header->is_authoritative;
    out->is_truncated = header->is_cut;
    out->is_recursion_available = header->is_recursion_available;
    out->is_authentic = header->is_authentic;
    out->response_bytes = message->bytes->length;
    /* Of several questions in one message, the first has the answers. */
    if (is_first && (question == NULL || !inspect->observer.dns_is_brief)) {
        add_answers(inspect, message, out);
    }
    if (question == NULL && out->answers_count > 0) { /* mDNS: named after what it is about */
        out->name = out->answers[0].name;
        out->type = out->answers[0].type;
        out->type_name = out->answers[0].type_name;
    }
    inspect->observer.on_dns(inspect->observer.context, message->flow, out);
}

void inspect_dns_tell_unanswered(struct inspect *inspect, const struct flow *flow,
                                 const struct dns_question *question)
{
    if (inspect->observer.on_dns == NULL) {
        return;
    }
    struct dns_transaction *out = begin(inspect, flow, question->is_from_client);

    set_question(inspect, question, out);
    inspect->observer.on_dns(inspect->observer.context, flow, out);
}
