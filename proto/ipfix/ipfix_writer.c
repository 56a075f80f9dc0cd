/* Messages of one Transport Session: header, Sets, and what a collector must be told first. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/ipfix/ipfix_private.h"

#define VERSION          10
#define HEADER_BYTES     16
#define SEQUENCE_AT      8
#define SET_HEADER_BYTES 4
#define SET_TEMPLATES    2
#define SET_OPTIONS      3
#define INTERFACES_MAX   256
#define INTERFACE_BYTES  64
#define INTERFACE_NO_IF  0x10000 /* numbers of what is no interface of the system begin here */

/* Options Templates, behind those of flows. */
enum {
    OPTIONS_SAMPLING = 512, /* every packet is looked at */
    OPTIONS_INTERFACE,      /* number -> name */
    OPTIONS_TYPE,           /* of the enterprise's elements (RFC 5610) */
    OPTIONS_PROCESS,        /* what was exported (RFC 7011 4.3) */
    OPTIONS_END
};

struct interface {
    char name[INTERFACE_BYTES];
    uint32_t number;
};

struct ipfix_writer {
    struct ipfix_settings settings;
    struct ipfix_template templates[IPFIX_TEMPLATES];
    struct interface interfaces[INTERFACES_MAX];
    uint32_t interfaces_count;
    /* What is due next of each kind: counts up to how many there are. */
    uint32_t templates_told, options_told, sampling_told, types_told, interfaces_told;
    bool is_process_told;
    uint32_t sequence;     /* Data Records of messages before this one, modulo 2^32 (3.1) */
    uint32_t data_records; /* in this message */
    uint32_t flows, flow_records;
    struct ipfix_totals totals;
    struct ipfix_out out;
    uint8_t *set; /* the open Set's header; NULL: none */
    uint16_t set_id;
    uint8_t bytes[];
};

static void begin_message(struct ipfix_writer *writer)
{
    writer->out = (struct ipfix_out){writer->bytes + HEADER_BYTES,
                                     writer->bytes + writer->settings.message_bytes_max, true};
    writer->set = NULL;
    writer->data_records = writer->flows = writer->flow_records = 0;
}

struct ipfix_writer *ipfix_writer_new(const struct ipfix_settings *settings, struct error *err)
{
    if (settings->message_bytes_max < IPFIX_MESSAGE_MIN ||
        settings->message_bytes_max > IPFIX_MESSAGE_MAX) {
        (void)error_set(err, EINVAL, "IPFIX: messages of %u bytes: allowed are %d to %d",
                        settings->message_bytes_max, IPFIX_MESSAGE_MIN, IPFIX_MESSAGE_MAX);
        return NULL;
    }
    struct ipfix_writer *writer = calloc(1, sizeof(*writer) + settings->message_bytes_max);

    if (writer == NULL) {
        (void)error_set(err, ENOMEM, "IPFIX: no memory for a message");
        return NULL;
    }
    writer->settings = *settings;
    ipfix_templates_fill(settings, writer->templates);
    ipfix_writer_begin(writer);
    return writer;
}

void ipfix_writer_free(struct ipfix_writer *writer)
{
    free(writer);
}

void ipfix_writer_begin(struct ipfix_writer *writer)
{
    writer->sequence = 0;
    writer->totals = (struct ipfix_totals){0};
    ipfix_writer_repeat(writer);
    begin_message(writer);
}

void ipfix_writer_repeat(struct ipfix_writer *writer)
{
    writer->templates_told = writer->options_told = writer->sampling_told = 0;
    writer->types_told = writer->interfaces_told = 0;
    writer->is_process_told = false;
}

void ipfix_writer_report(struct ipfix_writer *writer)
{
    writer->is_process_told = false;
}

/* ---- Sets ---- */

/* A place to come back to. */
struct mark {
    uint8_t *at, *set;
    uint16_t set_id;
    uint32_t data_records;
};

static struct mark mark_of(const struct ipfix_writer *writer)
{
    return (struct mark){writer->out.at, writer->set, writer->set_id, writer->data_records};
}

static void close_set(struct ipfix_writer *writer)
{
    if (writer->set != NULL) {
        struct ipfix_out head = {writer->set + 2, writer->set + SET_HEADER_BYTES, true};

        ipfix_put_number(&head, (uint64_t)(writer->out.at - writer->set), 2);
        writer->set = NULL;
    }
}

static void open_set(struct ipfix_writer *writer, uint16_t id)
{
    if (writer->set != NULL && writer->set_id == id) {
        return;
    }
    close_set(writer);
    uint8_t *at = writer->out.at;

    ipfix_put_number(&writer->out, id, 2);
    ipfix_put_number(&writer->out, 0, 2);
    writer->set = writer->out.ok ? at : NULL;
    writer->set_id = id;
}

/* Whether what was written since the mark had room; else it is as if it had not been. */
static bool settle(struct ipfix_writer *writer, const struct mark *mark)
{
    if (writer->out.ok) {
        return true;
    }
    writer->out.at = mark->at;
    writer->out.ok = true;
    writer->set = mark->set;
    writer->set_id = mark->set_id;
    writer->data_records = mark->data_records;
    return false;
}

/* ---- what must be known first ---- */

static void put_specifier(struct ipfix_writer *writer, unsigned id, unsigned length,
                          uint32_t enterprise)
{
    ipfix_put_number(&writer->out, enterprise != 0 ? id | IPFIX_ENTERPRISE_BIT : id, 2);
    ipfix_put_number(&writer->out, length, 2);
    if (enterprise != 0) {
        ipfix_put_number(&writer->out, enterprise, 4);
    }
}

static void put_field(struct ipfix_writer *writer, const struct ipfix_field *field)
{
    const struct ipfix_element *element = field->element;
    const unsigned reverse = field->is_reverse && element->is_private ? IPFIX_REVERSE_BIT : 0;

    put_specifier(writer, element->id | reverse, ipfix_type_length(element->type),
                  element->is_private ? writer->settings.enterprise
                  : field->is_reverse ? IPFIX_REVERSE_PEN
                                      : 0);
}

static void put_template(struct ipfix_writer *writer, uint32_t index)
{
    const struct ipfix_template *template = &writer->templates[index];

    open_set(writer, SET_TEMPLATES);
    ipfix_put_number(&writer->out, template->id, 2);
    ipfix_put_number(&writer->out, template->count, 2);
    for (unsigned i = 0; i < template->count; i++) {
        put_field(writer, &template->fields[i]);
    }
}

/* Elements of options: IANA's numbers and lengths, scopes first (RFC 7011 3.4.2). */
static const struct {
    uint16_t id;
    uint8_t scopes, count;
    struct {
        uint16_t id, length;
    } fields[5];
} options[OPTIONS_END - OPTIONS_SAMPLING] = {
    /* observationDomainId: samplingInterval, samplingAlgorithm */
    {OPTIONS_SAMPLING, 1, 3, {{149, 4}, {34, 4}, {35, 1}}},
    /* ingressInterface: interfaceName */
    {OPTIONS_INTERFACE, 1, 2, {{10, 4}, {82, IPFIX_VARIABLE}}},
    /* privateEnterpriseNumber, informationElementId: type, semantics, name */
    {OPTIONS_TYPE, 2, 5, {{346, 4}, {303, 2}, {339, 1}, {344, 1}, {341, IPFIX_VARIABLE}}},
    /* exportingProcessId: exportedMessageTotalCount, -FlowRecord-, -Octet- */
    {OPTIONS_PROCESS, 1, 4, {{144, 4}, {41, 8}, {42, 8}, {40, 8}}},
};

static void put_options_template(struct ipfix_writer *writer, uint32_t index)
{
    open_set(writer, SET_OPTIONS);
    ipfix_put_number(&writer->out, options[index].id, 2);
    ipfix_put_number(&writer->out, options[index].count, 2);
    ipfix_put_number(&writer->out, options[index].scopes, 2);
    for (unsigned i = 0; i < options[index].count; i++) {
        put_specifier(writer, options[index].fields[i].id, options[index].fields[i].length, 0);
    }
}

static void begin_data(struct ipfix_writer *writer, uint16_t id)
{
    open_set(writer, id);
    writer->data_records++;
}

static void put_sampling(struct ipfix_writer *writer, uint32_t index)
{
    (void)index;
    begin_data(writer, OPTIONS_SAMPLING);
    ipfix_put_number(&writer->out, writer->settings.domain, 4);
    ipfix_put_number(&writer->out, 1, 4); /* one of one packet */
    ipfix_put_number(&writer->out, 1, 1); /* deterministic */
}

static void put_interface(struct ipfix_writer *writer, uint32_t index)
{
    const struct interface *interface = &writer->interfaces[index];
    const struct record_text name = {interface->name, (uint32_t)strlen(interface->name)};

    begin_data(writer, OPTIONS_INTERFACE);
    ipfix_put_number(&writer->out, interface->number, 4);
    ipfix_put_text(&writer->out, name);
}

/* Both directions of an element of ours, one record each. */
static void put_type(struct ipfix_writer *writer, uint32_t index)
{
    const struct ipfix_element *element = &ipfix_elements[index];
    char name[80];

    for (unsigned reverse = 0;
         element->is_private && reverse <= (writer->settings.is_biflow ? 1U : 0U); reverse++) {
        const int length =
            snprintf(name, sizeof(name), "%s%s", reverse != 0 ? "reverse" : "", element->name);

        if (reverse != 0) { /* reverseMissedOctetTotalCount */
            name[strlen("reverse")] = (char)(element->name[0] - 'a' + 'A');
        }
        begin_data(writer, OPTIONS_TYPE);
        ipfix_put_number(&writer->out, writer->settings.enterprise, 4);
        ipfix_put_number(&writer->out, element->id | (reverse != 0 ? IPFIX_REVERSE_BIT : 0), 2);
        ipfix_put_number(&writer->out, element->type, 1);
        ipfix_put_number(&writer->out, element->semantics, 1);
        ipfix_put_text(&writer->out, (struct record_text){name, (uint32_t)length});
    }
}

static void put_process(struct ipfix_writer *writer)
{
    begin_data(writer, OPTIONS_PROCESS);
    ipfix_put_number(&writer->out, 1, 4); /* one process a session */
    ipfix_put_number(&writer->out, writer->totals.messages, 8);
    ipfix_put_number(&writer->out, writer->totals.flow_records, 8);
    ipfix_put_number(&writer->out, writer->totals.octets, 8);
}

/* Calls `put` for `*told` up to `count` while there is room. */
static bool tell_each(struct ipfix_writer *writer, uint32_t *told, uint32_t count,
                      void (*put)(struct ipfix_writer *, uint32_t))
{
    while (*told < count) {
        const struct mark mark = mark_of(writer);

        put(writer, *told);
        if (!settle(writer, &mark)) {
            return false;
        }
        (*told)++;
    }
    return true;
}

bool ipfix_writer_tell(struct ipfix_writer *writer)
{
    const uint32_t types = writer->settings.enterprise != 0 ? ipfix_elements_count : 0;

    if (!tell_each(writer, &writer->templates_told, IPFIX_TEMPLATES, put_template) ||
        !tell_each(writer, &writer->options_told, OPTIONS_END - OPTIONS_SAMPLING,
                   put_options_template) ||
        !tell_each(writer, &writer->sampling_told, 1, put_sampling) ||
        !tell_each(writer, &writer->types_told, types, put_type) ||
        !tell_each(writer, &writer->interfaces_told, writer->interfaces_count, put_interface)) {
        return false;
    }
    if (!writer->is_process_told) {
        const struct mark mark = mark_of(writer);

        put_process(writer);
        writer->is_process_told = settle(writer, &mark);
    }
    return writer->is_process_told;
}

/* ---- flows ---- */

/* More interfaces than are told: number 0, which no interface has. */
static uint32_t interface_number(struct ipfix_writer *writer, struct record_text name)
{
    struct interface *interface = NULL;
    const size_t length = name.length < INTERFACE_BYTES - 1 ? name.length : INTERFACE_BYTES - 1;

    for (uint32_t i = 0; i < writer->interfaces_count; i++) {
        interface = &writer->interfaces[i];
        if (strlen(interface->name) == length && memcmp(interface->name, name.data, length) == 0) {
            return interface->number;
        }
    }
    if (length == 0 || memchr(name.data, '\0', length) != NULL ||
        writer->interfaces_count == INTERFACES_MAX) {
        return 0;
    }
    interface = &writer->interfaces[writer->interfaces_count];
    memcpy(interface->name, name.data, length);
    interface->name[length] = '\0';
    interface->number = writer->settings.interface_index(interface->name);
    if (interface->number == 0) {
        interface->number = INTERFACE_NO_IF + writer->interfaces_count;
    }
    writer->interfaces_count++;
    return interface->number;
}

static void put_data(struct ipfix_writer *writer, const struct ipfix_template *template,
                     const struct ipfix_view views[2])
{
    begin_data(writer, template->id);
    for (unsigned i = 0; i < template->count; i++) {
        template->fields[i].element->put(&writer->out, &views[template->fields[i].is_reverse]);
    }
}

/* Data Records of the record: one for each direction with packets, or one for both. */
static unsigned put_record(struct ipfix_writer *writer, const struct flow_record *record,
                           uint32_t interface)
{
    const struct ipfix_template *template =
        &writer->templates[ipfix_kind_of(record) + (record->ip_version == 6 ? IPFIX_KINDS : 0)];
    const struct ipfix_view views[2] = {{record, &record->client, &record->server, &record->forward,
                                         &record->tcp.forward, false, interface},
                                        {record, &record->server, &record->client, &record->reverse,
                                         &record->tcp.reverse, true, interface}};

    if (writer->settings.is_biflow) {
        put_data(writer, template, views);
        return 1;
    }
    unsigned count = 0;

    for (int i = 0; i < 2; i++) {
        if (views[i].counters->delta_packets > 0) {
            put_data(writer, template, &views[i]);
            count++;
        }
    }
    return count;
}

enum ipfix_added ipfix_writer_add(struct ipfix_writer *writer, const struct flow_record *record)
{
    if ((record->ip_version != 4 && record->ip_version != 6) ||
        record->forward.delta_packets + record->reverse.delta_packets == 0) {
        return IPFIX_LEFT_OUT;
    }
    const uint32_t interface = interface_number(writer, record->interface);

    if (!ipfix_writer_tell(writer)) {
        return IPFIX_FULL;
    }
    const struct mark mark = mark_of(writer);
    const unsigned count = put_record(writer, record, interface);

    if (!settle(writer, &mark)) {
        return IPFIX_FULL;
    }
    writer->flow_records += count;
    writer->flows++;
    return IPFIX_ADDED;
}

bool ipfix_writer_finish(struct ipfix_writer *writer, uint64_t export_ns, struct ipfix_message *out)
{
    struct ipfix_out head = {writer->bytes, writer->bytes + HEADER_BYTES, true};

    close_set(writer);
    out->bytes = writer->bytes;
    out->length = (size_t)(writer->out.at - writer->bytes);
    out->flows = writer->flows;
    out->flow_records = writer->flow_records;
    out->data_records = writer->data_records;
    if (out->length == HEADER_BYTES) {
        return false;
    }
    ipfix_put_number(&head, VERSION, 2);
    ipfix_put_number(&head, out->length, 2);
    ipfix_put_number(&head, export_ns / NS_PER_SEC, 4);
    ipfix_put_number(&head, writer->sequence, 4);
    ipfix_put_number(&head, writer->settings.domain, 4);
    assert(head.ok);
    writer->sequence += writer->data_records;
    writer->totals.messages++;
    writer->totals.octets += out->length;
    writer->totals.flow_records += writer->flow_records;
    begin_message(writer);
    return true;
}

void ipfix_writer_renumber(struct ipfix_writer *writer, const struct ipfix_message *message,
                           uint8_t *bytes)
{
    struct ipfix_out at = {bytes + SEQUENCE_AT, bytes + message->length, true};

    ipfix_put_number(&at, writer->sequence, 4);
    writer->sequence += message->data_records;
    writer->totals.messages++;
    writer->totals.octets += message->length;
    writer->totals.flow_records += message->flow_records;
}

void ipfix_writer_totals(const struct ipfix_writer *writer, struct ipfix_totals *out)
{
    *out = writer->totals;
}
