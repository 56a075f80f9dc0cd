#include "sensor/inspect/inspect.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/text.h"

#define PORT_TEXT_BYTES 16

struct inspect *inspect_new(const struct inspect_settings *settings, struct error *err)
{
    uint64_t blocks = settings->flows_max;

    if (settings->memory_bytes != 0 &&
        settings->memory_bytes / sizeof(struct inspect_block) < blocks) {
        blocks = settings->memory_bytes / sizeof(struct inspect_block);
    }
    if (blocks == 0) {
        error_set(err, EINVAL,
                  "inspection: %" PRIu64 " bytes for %" PRIu32
                  " flows hold not one state of %zu bytes: raise the limit",
                  settings->memory_bytes, settings->flows_max, sizeof(struct inspect_block));
        return NULL;
    }
    struct inspect *inspect = calloc(1, sizeof(*inspect));
    if (inspect != NULL) {
        inspect->blocks = malloc(blocks * sizeof(struct inspect_block));
        inspect->port_text = malloc(PORT_TEXT_BYTES);
    }
    if (inspect == NULL || inspect->blocks == NULL || inspect->port_text == NULL) {
        error_set(err, ENOMEM, "inspection: no memory for %" PRIu64 " states (%" PRIu64 " MiB)",
                  blocks, blocks * sizeof(struct inspect_block) >> 20);
        inspect_free(inspect);
        return NULL;
    }
    if (!byte_pool_init(&inspect->held,
                        settings->held_bytes != 0 ? settings->held_bytes : INSPECT_HELD_BYTES,
                        err)) {
        inspect_free(inspect);
        return NULL;
    }
    memset(inspect->blocks, 0, blocks * sizeof(struct inspect_block)); /* touched now */
    inspect->blocks_max = (uint32_t)blocks;
    inspect->stream_bytes =
        settings->stream_bytes != 0 ? settings->stream_bytes : INSPECT_STREAM_BYTES;
    assert(inspect->stream_bytes <= BYTE_POOL_BLOCK_MAX);
    inspect->dns_timeout_ns =
        settings->dns_timeout_ns != 0 ? settings->dns_timeout_ns : INSPECT_DNS_TIMEOUT_NS;
    inspect->statistics.states_max = (uint32_t)blocks;
    inspect->statistics.memory_bytes = sizeof(*inspect) + PORT_TEXT_BYTES +
                                       blocks * sizeof(struct inspect_block) +
                                       byte_pool_memory_bytes(&inspect->held);
    inspect->statistics.held_bytes_max = (uint64_t)inspect->held.units_max * BYTE_POOL_UNIT_BYTES;
    return inspect;
}

void inspect_free(struct inspect *inspect)
{
    if (inspect == NULL) {
        return;
    }
    byte_pool_fini(&inspect->held);
    free(inspect->blocks);
    free(inspect->port_text);
    free(inspect);
}

uint16_t inspect_copy(char *out, size_t capacity, const struct wire_span *bytes)
{
    struct text text = text_over(out, capacity);

    text_escaped(&text, bytes->bytes, bytes->length);
    return (uint16_t)text.length;
}

void inspect_switch(struct flow *flow, enum app app)
{
    flow->app_handler = (uint8_t)app;
}

/* What the flow speaks, by the bytes that show it first. False: not known so far. */
static bool recognise(const struct inspect_input *input, struct flow *flow)
{
    const struct packet *packet = input->packet;
    const struct app_guess guess =
        app_recognise(packet->protocol, &input->bytes, packet->source_port, packet->target_port);

    if (guess.method != APP_BY_CONTENT) {
        return false;
    }
    flow->app_handler = guess.app;
    if (flow->app_protocol == APP_UNKNOWN) { /* else another protocol led to this one */
        inspect_label(flow, (enum app)guess.app, APP_DPI);
    }
    return true;
}

/* The handler took the flow for something that it is not. */
static void refuse(struct inspect *inspect, struct flow *flow, const struct inspect_app_ops *ops)
{
    if (inspect_find(inspect, flow, ops->part) != NULL) {
        if (ops->release != NULL) {
            ops->release(inspect, flow);
        }
        inspect_drop(inspect, flow, ops->part);
    }
    if (flow->app_protocol == flow->app_handler) {
        inspect_label(flow, APP_UNKNOWN, 0);
    }
    flow->app_handler = APP_UNKNOWN;
    if (++flow->app_refusals >= INSPECT_REFUSALS_MAX) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

static void offer(struct inspect *inspect, struct flow *flow, struct inspect_input input)
{
    for (;;) {
        if (flow->app_handler == APP_UNKNOWN && !recognise(&input, flow)) {
            if (++flow->app_payloads >= INSPECT_PAYLOADS_MAX) {
                flow->bits |= FLOW_INSPECT_DONE;
            }
            return;
        }
        const uint8_t handler = flow->app_handler;
        const struct inspect_app_ops *ops = inspect_ops(handler);
        if (ops == NULL) { /* a label is all there is */
            flow->bits |= FLOW_INSPECT_DONE;
            return;
        }
        const struct inspect_step step = ops->input(inspect, flow, &input);
        if (step.verdict == INSPECT_REFUSED) {
            refuse(inspect, flow, ops);
            return;
        }
        if (step.verdict != INSPECT_MORE) {
            flow->bits |= FLOW_INSPECT_DONE;
            return;
        }
        if (flow->app_handler == handler || step.consumed_bytes >= input.bytes.length) {
            return;
        }
        input.bytes.bytes += step.consumed_bytes; /* the rest is the next handler's */
        input.bytes.length -= step.consumed_bytes;
    }
}

void inspect_payload(struct inspect *inspect, const struct packet *packet, const uint8_t *frame,
                     struct flow *flow, int direction)
{
    if (frame == NULL || (packet->facts & PACKET_HAS_PORTS) == 0 ||
        (packet->facts & PACKET_IS_LATER_FRAGMENT) != 0) {
        return;
    }
    offer(inspect, flow,
          (struct inspect_input){.packet = packet,
                                 .bytes = {.bytes = frame + packet->payload_offset,
                                           .length = packet->payload_captured_bytes},
                                 .direction = direction,
                                 .is_last = packet->protocol != IP_PROTOCOL_TCP});
}

void inspect_release(struct inspect *inspect, struct flow *flow)
{
    const struct inspect_app_ops *ops;

    for (unsigned i = 0; flow->app != INSPECT_NONE && (ops = inspect_handler_at(i)) != NULL; i++) {
        if (ops->release != NULL && inspect_find(inspect, flow, ops->part) != NULL) {
            ops->release(inspect, flow);
        }
    }
    inspect_drop_all(inspect, flow);
    flow->bits |= FLOW_INSPECT_DONE;
}

void inspect_reported(struct inspect *inspect, struct flow *flow)
{
    const struct inspect_app_ops *ops;

    for (unsigned i = 0; flow->app != INSPECT_NONE && (ops = inspect_handler_at(i)) != NULL; i++) {
        if (ops->reported != NULL && inspect_find(inspect, flow, ops->part) != NULL) {
            ops->reported(inspect, flow);
        }
    }
}

struct inspect_statistics inspect_statistics(const struct inspect *inspect)
{
    struct inspect_statistics statistics = inspect->statistics;

    statistics.held_bytes = inspect->held.used_bytes;
    statistics.held_bytes_peak = inspect->held.used_bytes_peak;
    statistics.held_full = inspect->held.refused;
    return statistics;
}
