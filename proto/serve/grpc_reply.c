/* Requests in, replies and refusals out. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "netscope/v1/common.pb-c.h"
#include "proto/serve/grpc_serve.h"

static void *take(void *arena, size_t bytes)
{
    return arena_take(arena, bytes, _Alignof(max_align_t));
}

static void keep(void *arena, void *memory)
{
    (void)arena; /* emptied in one step */
    (void)memory;
}

ProtobufCMessage *grpc_unpack(struct grpc_ask *ask, const ProtobufCMessageDescriptor *descriptor,
                              const uint8_t *bytes, size_t length)
{
    struct grpc_server *server = ask->server;
    ProtobufCAllocator allocator = {.alloc = take, .free = keep, .allocator_data = server->arena};

    arena_reset(server->arena);
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, length, bytes);

    if (message == NULL) {
        grpc_refuse(
            ask, RPC_INVALID_ARGUMENT, "BAD_MESSAGE", -1,
            "the request is no %s, or larger than the server's limit of %zu bytes in memory",
            descriptor->name, GRPC_ARENA_BYTES);
    }
    return message;
}

void grpc_answer(struct grpc_ask *ask, struct rpc_buffer *buffer, size_t used)
{
    if (ask->http != NULL) {
        grpc_rest_answer(ask, buffer, used);
        return;
    }
    (void)rpc_send(ask->call, rpc_buffer_done(buffer, used));
    rpc_finish(ask->call, RPC_OK, NULL);
}

void grpc_answer_field(struct grpc_ask *ask, uint32_t number, const void *bytes, size_t length)
{
    struct rpc_buffer buffer = rpc_buffer_new(length + 16);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_bytes(&w, number, bytes, length);
    grpc_answer(ask, &buffer, wire_written(&w));
}

static bool read_span(struct grpc_ask *ask, int64_t seconds, int32_t nanos, const char *name,
                      uint64_t *ns)
{
    if (seconds < 0 || (uint64_t)seconds >= UINT64_MAX / NS_PER_SEC || nanos < 0 ||
        (uint64_t)nanos >= NS_PER_SEC) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1,
                          "%s: neither negative nor beyond the year 2554", name);
        return false;
    }
    *ns = (uint64_t)seconds * NS_PER_SEC + (uint64_t)nanos;
    return true;
}

bool grpc_read_time(struct grpc_ask *ask, const Google__Protobuf__Timestamp *time, const char *name,
                    uint64_t *ns)
{
    return time == NULL || read_span(ask, time->seconds, time->nanos, name, ns);
}

bool grpc_read_duration(struct grpc_ask *ask, const Google__Protobuf__Duration *time,
                        const char *name, uint64_t *ns)
{
    return time == NULL || read_span(ask, time->seconds, time->nanos, name, ns);
}

uint32_t grpc_read_page_size(struct grpc_ask *ask, const char *name, uint32_t size,
                             uint32_t otherwise)
{
    if (size > GRPC_PAGE_MAX) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s is %u: 1 to %d, or 0 for %u", name,
                          size, GRPC_PAGE_MAX, otherwise);
        return 0;
    }
    return size == 0 ? otherwise : size;
}

uint32_t grpc_read_max_batch(struct grpc_ask *ask, uint32_t max_batch)
{
    if (max_batch > GRPC_BATCH_MAX) {
        grpc_refuse_field(ask, "max_batch", "OUT_OF_BOUNDS", -1,
                          "max_batch is %u: 1 to %d, or 0 for %d", max_batch, GRPC_BATCH_MAX,
                          GRPC_BATCH_MAX);
        return 0;
    }
    return max_batch == 0 ? GRPC_BATCH_MAX : max_batch;
}

bool grpc_check_text(struct grpc_ask *ask, const char *name, const char *text, size_t bytes_max)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t rest = strlen(text);
    uint32_t code = 0;

    if (rest > bytes_max) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: at most %zu bytes", name, bytes_max);
        return false;
    }
    while (rest > 0) {
        const unsigned count = utf8_read(at, rest, &code);

        if (count == 0 || utf8_is_control(code)) {
            grpc_refuse_field(ask, name, "BAD_TEXT", -1,
                              "%s: UTF-8 in one line was expected, without control characters",
                              name);
            return false;
        }
        at += count;
        rest -= count;
    }
    return true;
}

bool grpc_check_flow_ids(struct grpc_ask *ask, const char *flow_id, const char *community_id)
{
    if ((flow_id[0] == '\0') == (community_id[0] == '\0')) {
        grpc_refuse_field(ask, "flow_id", "MISSING_FIELD", -1,
                          "give either flow_id or community_id");
        return false;
    }
    if (flow_id[0] != '\0' &&
        (strlen(flow_id) != 16 || strspn(flow_id, "0123456789abcdef") != 16)) {
        grpc_refuse_field(ask, "flow_id", "BAD_ID", -1,
                          "flow_id: 16 lower-case hex digits were expected");
        return false;
    }
    return true;
}

bool grpc_read_prefixes(struct grpc_ask *ask, const char *name, char *const *texts, size_t count,
                        struct ip_prefix **out, uint32_t *out_count)
{
    if (count == 0) {
        return true;
    }
    if (count > GRPC_CHOICES_MAX) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: at most %d", name, GRPC_CHOICES_MAX);
        return false;
    }
    *out = calloc(count, sizeof(**out));
    if (*out == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!prefix_parse(texts[i], strlen(texts[i]), &(*out)[i])) {
            grpc_refuse_field(
                ask, name, "INVALID_FILTER", -1,
                "%s[%zu]: '%.60s' is neither an address nor a prefix such as 10.0.0.0/8", name, i,
                texts[i]);
            return false;
        }
    }
    *out_count = (uint32_t)count;
    return true;
}

static struct filter_spec spec_of(const ProtobufCMessage *message)
{
    const Netscope__V1__FlowFilter *filter = (const Netscope__V1__FlowFilter *)message;

    return (struct filter_spec){
        .ip = (const char *const *)filter->ip,
        .ip_count = filter->n_ip,
        .client_ip = (const char *const *)filter->client_ip,
        .client_ip_count = filter->n_client_ip,
        .server_ip = (const char *const *)filter->server_ip,
        .server_ip_count = filter->n_server_ip,
        .port = filter->port,
        .port_count = filter->n_port,
        .server_port = filter->server_port,
        .server_port_count = filter->n_server_port,
        .protocol = (const char *const *)filter->protocol,
        .protocol_count = filter->n_protocol,
        .name = (const char *const *)filter->name,
        .name_count = filter->n_name,
        .app = (const char *const *)filter->app,
        .app_count = filter->n_app,
    };
}

bool grpc_read_filter(struct grpc_ask *ask, const ProtobufCMessage *const *include,
                      size_t include_count, const ProtobufCMessage *const *exclude,
                      size_t exclude_count, const char *text, struct filter **out)
{
    struct filter_spec included[GRPC_FILTERS_MAX];
    struct filter_spec excluded[GRPC_FILTERS_MAX];
    struct error err = {0};
    uint32_t position = 0;

    *out = NULL;
    if (include_count > GRPC_FILTERS_MAX || exclude_count > GRPC_FILTERS_MAX) {
        grpc_refuse_field(ask, include_count > GRPC_FILTERS_MAX ? "include" : "exclude",
                          "OUT_OF_BOUNDS", -1, "include and exclude take at most %d filters each",
                          GRPC_FILTERS_MAX);
        return false;
    }
    if (include_count == 0 && exclude_count == 0 && (text == NULL || text[0] == '\0')) {
        return true;
    }
    for (size_t i = 0; i < include_count; i++) {
        included[i] = spec_of(include[i]);
    }
    for (size_t i = 0; i < exclude_count; i++) {
        excluded[i] = spec_of(exclude[i]);
    }
    *out = filter_build(included, include_count, excluded, exclude_count, text,
                        text == NULL ? 0 : strlen(text), &err, &position);
    if (*out == NULL) {
        grpc_refuse_field(ask, "filter", "INVALID_FILTER", position, "filter: %s", err.message);
    }
    return *out != NULL;
}

void grpc_copy_fields(struct wire_writer *out, const uint8_t *bytes, size_t length, uint32_t from,
                      uint32_t to)
{
    struct wire_reader in = wire_reader_over(bytes, length);
    struct wire_field field;

    while (wire_next(&in, &field)) {
        if (field.number == from && field.type == WIRE_BYTES) {
            wire_write_bytes(out, to, field.bytes, field.length);
        }
    }
}

void grpc_write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    enum { TIME_SECONDS = 1, TIME_NANOS = 2 };
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_varint(w, TIME_SECONDS, ns / NS_PER_SEC);
    wire_write_varint(w, TIME_NANOS, ns % NS_PER_SEC);
    wire_end(w, mark);
}
