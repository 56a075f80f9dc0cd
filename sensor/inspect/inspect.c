#include "sensor/inspect/inspect.h"

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
    memset(inspect->blocks, 0, blocks * sizeof(struct inspect_block)); /* touched now */
    inspect->blocks_max = (uint32_t)blocks;
    inspect->dns_timeout_ns =
        settings->dns_timeout_ns != 0 ? settings->dns_timeout_ns : INSPECT_DNS_TIMEOUT_NS;
    inspect->statistics.states_max = (uint32_t)blocks;
    inspect->statistics.memory_bytes =
        sizeof(*inspect) + PORT_TEXT_BYTES + blocks * sizeof(struct inspect_block);
    return inspect;
}

void inspect_free(struct inspect *inspect)
{
    if (inspect == NULL) {
        return;
    }
    free(inspect->blocks);
    free(inspect->port_text);
    free(inspect);
}

uint32_t inspect_take(struct inspect *inspect)
{
    uint32_t handle = inspect->free_head;

    if (handle != INSPECT_NONE) {
        inspect->free_head = inspect_block(inspect, handle)->next;
    } else if (inspect->fresh < inspect->blocks_max) {
        handle = ++inspect->fresh;
    } else {
        return INSPECT_NONE;
    }
    memset(inspect_block(inspect, handle), 0, sizeof(struct inspect_block));
    inspect->statistics.states_used++;
    return handle;
}

void inspect_give(struct inspect *inspect, uint32_t handle)
{
    inspect_block(inspect, handle)->next = inspect->free_head;
    inspect->free_head = handle;
    inspect->statistics.states_used--;
}

struct inspect_block *inspect_head(struct inspect *inspect, struct flow *flow)
{
    if (flow->app == INSPECT_NONE) {
        flow->app = inspect_take(inspect);
        if (flow->app == INSPECT_NONE) {
            inspect->statistics.pool_full++;
            flow->bits |= FLOW_INSPECT_DONE; /* it keeps its label */
            return NULL;
        }
    }
    return inspect_block(inspect, flow->app);
}

uint16_t inspect_copy(char *out, size_t capacity, const struct wire_span *bytes)
{
    struct text text = text_over(out, capacity);

    text_escaped(&text, bytes->bytes, bytes->length);
    return (uint16_t)text.length;
}

/* The label, by the first payload that shows one. */
static void recognise(struct inspect *inspect, const struct packet *packet,
                      const struct wire_span *payload, struct flow *flow)
{
    const struct app_guess guess =
        app_recognise(packet->protocol, payload, packet->source_port, packet->target_port);

    (void)inspect;
    if (guess.method == APP_BY_CONTENT) {
        flow->app_protocol = guess.app;
        flow->app_confidence = APP_DPI;
    } else if (++flow->app_payloads >= INSPECT_PAYLOADS_MAX) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

void inspect_payload(struct inspect *inspect, const struct packet *packet, const uint8_t *frame,
                     struct flow *flow, int direction)
{
    const struct wire_span payload = {.bytes = frame + packet->payload_offset,
                                      .length = packet->payload_captured_bytes};
    bool is_done = true;

    if (frame == NULL || (packet->facts & PACKET_HAS_PORTS) == 0 ||
        (packet->facts & PACKET_IS_LATER_FRAGMENT) != 0) {
        return;
    }
    if (flow->app_protocol == APP_UNKNOWN) {
        recognise(inspect, packet, &payload, flow);
        if (flow->app_protocol == APP_UNKNOWN) {
            return;
        }
    }
    switch (flow->app_protocol) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        inspect_dns_packet(inspect, packet, &payload, flow);
        is_done = false;
        break;
    case APP_TLS:
        is_done = inspect_tls_packet(inspect, &payload, flow);
        break;
    case APP_HTTP:
        is_done = inspect_http_packet(inspect, &payload, flow, direction);
        break;
    case APP_SSH:
        is_done = inspect_ssh_packet(inspect, &payload, flow, direction);
        break;
    default:
        break; /* a label is all there is */
    }
    if (is_done) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

static void give_chain(struct inspect *inspect, uint32_t handle)
{
    while (handle != INSPECT_NONE) {
        const uint32_t next = inspect_block(inspect, handle)->next;
        inspect_give(inspect, handle);
        handle = next;
    }
}

void inspect_release(struct inspect *inspect, struct flow *flow)
{
    if (flow->app == INSPECT_NONE) {
        return;
    }
    const struct inspect_block *head = inspect_block(inspect, flow->app);
    if (inspect_is_dns(flow->app_protocol)) {
        give_chain(inspect, head->of.dns.first_question);
    } else if (flow->app_protocol == APP_HTTP) {
        give_chain(inspect, head->of.http.first_host);
    }
    inspect_give(inspect, flow->app);
    flow->app = INSPECT_NONE;
    flow->bits |= FLOW_INSPECT_DONE;
}

void inspect_reported(struct inspect *inspect, struct flow *flow)
{
    if (flow->app != INSPECT_NONE && inspect_is_dns(flow->app_protocol)) {
        inspect_dns_reported(inspect, flow);
    }
}

struct inspect_statistics inspect_statistics(const struct inspect *inspect)
{
    return inspect->statistics;
}
