#include "sensor/inspect/inspect.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/wire_format.h"
#include "sensor/inspect/assembly.h"
#include "sensor/inspect/datagrams.h"
#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/tls_state.h"
#include "sensor/wire/crypto.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/quic.h"
#include "sensor/wire/sctp.h"
#include "sensor/wire/text.h"
#include "sensor/wire/tls_stream.h"

#define PORT_TEXT_BYTES 16
#define DNS_NAMES_BYTES ((size_t)FLOW_QUERIES_MAX * DNS_NAME_TEXT_BYTES)
/* A state is one of either; there is room for all to be of one sort. */
#define STATE_BYTES (sizeof(struct inspect_block) + sizeof(struct inspect_stream))
/* With room for one more message behind it. */
#define SCRATCH_BYTES_ALL (INSPECT_SCRATCH_BYTES + INSPECT_STREAM_BYTES)

/* What handlers of TLS and QUIC work with. */
static bool take_tools(struct inspect *inspect, struct error *err)
{
    inspect->scratch = malloc(SCRATCH_BYTES_ALL);
    inspect->tls_texts = malloc(sizeof(struct tls_texts));
    inspect->quic_text = malloc(QUIC_VERSION_TEXT_BYTES);
    inspect->seen_hello = calloc(1, sizeof(struct tls_hello));
    if (inspect->seen_hello == NULL || inspect->scratch == NULL || inspect->tls_texts == NULL ||
        inspect->quic_text == NULL) {
        error_set(err, ENOMEM, "inspection: no memory for %d bytes", SCRATCH_BYTES_ALL);
        return false;
    }
    memset(inspect->scratch, 0, SCRATCH_BYTES_ALL); /* touched now */
    inspect->fingerprints = fingerprints_new(err);
    if (inspect->fingerprints == NULL) {
        return false;
    }
    inspect->crypto = crypto_new(err);
    return inspect->crypto != NULL;
}

/* The first line of memory at or behind `memory`; NULL stays. */
static void *align_up(void *memory)
{
    const size_t over = (uintptr_t)memory % CACHE_LINE;

    return memory == NULL || over == 0 ? memory : (uint8_t *)memory + (CACHE_LINE - over);
}

/* States that memory and flows allow; 0 with `err`: not one. */
static uint64_t states_of(const struct inspect_settings *settings, struct error *err)
{
    uint64_t states = settings->flows_max;

    if (settings->memory_bytes != 0 && settings->memory_bytes / STATE_BYTES < states) {
        states = settings->memory_bytes / STATE_BYTES;
    }
    if (states == 0) {
        error_set(err, EINVAL,
                  "inspection: %" PRIu64 " bytes for %" PRIu32
                  " flows hold not one state of %zu bytes: raise the limit",
                  settings->memory_bytes, settings->flows_max, STATE_BYTES);
    }
    return states;
}

static bool take_states(struct inspect *inspect, uint64_t states, struct error *err)
{
    const bool wants_dns = inspect->observer.on_dns != NULL;

    /* One more, so that they can begin at a line of memory. */
    inspect->blocks_memory = calloc(states + 1, sizeof(struct inspect_block));
    inspect->blocks = align_up(inspect->blocks_memory);
    inspect->streams_memory = calloc(states + 1, sizeof(struct inspect_stream));
    inspect->streams = align_up(inspect->streams_memory);
    inspect->port_text = malloc(PORT_TEXT_BYTES);
    inspect->dns_names = malloc(DNS_NAMES_BYTES);
    inspect->dns_scratch = wants_dns ? inspect_dns_scratch_new() : NULL;
    inspect->blocks_max = (uint32_t)states;
    if (inspect->blocks_memory == NULL || inspect->streams_memory == NULL ||
        inspect->port_text == NULL || inspect->dns_names == NULL ||
        (wants_dns && inspect->dns_scratch == NULL)) {
        error_set(err, ENOMEM, "inspection: no memory for %" PRIu64 " states (%" PRIu64 " MiB)",
                  states, states * STATE_BYTES >> 20);
        return false;
    }
    return true;
}

/* What is 0 in the settings has its default. */
static void settle(struct inspect *inspect, const struct inspect_settings *settings)
{
    inspect->table = settings->table;
    inspect->rules = settings->rules;
    inspect->stream_bytes =
        settings->stream_bytes != 0 ? settings->stream_bytes : INSPECT_STREAM_BYTES;
    assert(inspect->stream_bytes <= BYTE_POOL_BLOCK_MAX);
    inspect->datagrams_max =
        settings->datagrams_max != 0 ? settings->datagrams_max : INSPECT_DATAGRAMS;
    inspect->datagram_timeout_ns =
        settings->datagram_timeout_ns != 0 ? settings->datagram_timeout_ns : INSPECT_DATAGRAM_NS;
    inspect->dns_timeout_ns =
        settings->dns_timeout_ns != 0 ? settings->dns_timeout_ns : INSPECT_DNS_TIMEOUT_NS;
}

struct inspect *inspect_new(const struct inspect_settings *settings, struct error *err)
{
    const uint64_t states = states_of(settings, err);
    AUTO(inspect) inspect = NULL;

    if (states == 0) {
        return NULL;
    }
    inspect = calloc(1, sizeof(*inspect));
    if (inspect == NULL) {
        error_set(err, ENOMEM, "inspection: no memory");
        return NULL;
    }
    inspect->observer = settings->observer;
    if (!take_states(inspect, states, err) || !take_tools(inspect, err) ||
        !byte_pool_init(&inspect->held,
                        settings->held_bytes != 0 ? settings->held_bytes : INSPECT_HELD_BYTES,
                        err)) {
        return NULL;
    }
    if (settings->is_touched) {
        memset(inspect->blocks, 0, states * sizeof(struct inspect_block));
        memset(inspect->streams, 0, states * sizeof(struct inspect_stream));
    }
    inspect_make_labels(inspect);
    settle(inspect, settings);
    inspect->statistics.states_max = (uint32_t)states;
    inspect->statistics.memory_bytes =
        sizeof(*inspect) + PORT_TEXT_BYTES + DNS_NAMES_BYTES + SCRATCH_BYTES_ALL +
        fingerprints_memory_bytes() + states * STATE_BYTES + byte_pool_memory_bytes(&inspect->held);
    inspect->statistics.held_bytes_max = (uint64_t)inspect->held.units_max * BYTE_POOL_UNIT_BYTES;
    return TAKE(inspect);
}

void inspect_free(struct inspect *inspect)
{
    if (inspect == NULL) {
        return;
    }
    byte_pool_fini(&inspect->held);
    crypto_free(inspect->crypto);
    fingerprints_free(inspect->fingerprints);
    free(inspect->scratch);
    free(inspect->tls_texts);
    free(inspect->quic_text);
    free(inspect->seen_hello);
    free(inspect->blocks_memory);
    free(inspect->streams_memory);
    free(inspect->port_text);
    free(inspect->dns_names);
    inspect_dns_scratch_free(inspect->dns_scratch);
    free(inspect);
}

uint16_t inspect_copy(char *out, size_t capacity, const struct wire_span *bytes)
{
    if (bytes->length < capacity && /* most: as it is */
        text_plain_bytes(bytes->bytes, bytes->length) == bytes->length) {
        wire_copy((uint8_t *)out, bytes->bytes, bytes->length);
        out[bytes->length] = '\0';
        return (uint16_t)bytes->length;
    }
    struct text text = text_over(out, capacity);

    text_escaped(&text, bytes->bytes, bytes->length);
    return (uint16_t)text.length;
}

void inspect_tell_login(struct inspect *inspect, const struct flow *flow,
                        const struct inspect_login *login)
{
    if (inspect->observer.on_login != NULL) {
        inspect->observer.on_login(inspect->observer.context, flow, login);
    }
}

void inspect_switch(struct flow *flow, enum app app)
{
    flow->app_handler = (uint8_t)app;
}

/* What the flow speaks, by the bytes that show it first. */
static struct app_guess recognise(struct inspect *inspect, const struct packet *packet,
                                  const struct wire_span *bytes, struct flow *flow)
{
    const struct app_guess guess = app_recognise_hello(packet->protocol, bytes, packet->source_port,
                                                       packet->target_port, inspect->seen_hello);

    if (guess.method == APP_BY_CONTENT) {
        if (guess.app == APP_TLS && inspect->seen_hello->is_complete) {
            inspect->seen_body = bytes->bytes + TLS_HELLO_BODY_AT;
        }
        flow->app_handler = guess.app;
        if (flow->app_protocol == APP_UNKNOWN) { /* else another protocol led to this one */
            inspect_label(flow, (enum app)guess.app, APP_DPI);
        }
    }
    return guess;
}

/* A payload that says nothing is counted; one in which nothing can begin, on a port that says
 * nothing either or TLS, which begins with its first byte, counts twice. True: the flow is left
 * alone. */
static bool is_enough(struct flow *flow, const struct app_guess *guess)
{
    const bool is_hopeless =
        !guess->may_come && (guess->app == APP_UNKNOWN || guess->app == APP_TLS);
    const bool is_trickle =
        flow->key.protocol == IP_PROTOCOL_TCP && guess->may_come &&
        flow_payload_of(flow, 0) + flow_payload_of(flow, 1) < INSPECT_TRICKLE_BYTES;
    const unsigned payloads = flow_app_payloads(flow) + (is_hopeless ? 2 : 1);

    flow_set_app_payloads(flow, payloads);
    return payloads >= (is_trickle ? INSPECT_TRICKLE_MAX : INSPECT_PAYLOADS_MAX);
}

/* Unknown so far: the bytes, or the newest segment alone; how many are passed over. */
static struct inspect_step look(struct inspect *inspect, const struct inspect_input *input,
                                struct flow *flow, uint32_t fresh)
{
    const struct wire_span newest = {input->bytes.bytes + fresh, input->bytes.length - fresh};
    const struct app_guess guess = recognise(inspect, input->packet, &input->bytes, flow);
    bool may_begin = guess.may_come;

    if (guess.method == APP_BY_CONTENT) {
        return inspect_more(0);
    }
    if (fresh > 0) {
        const struct app_guess of_newest = recognise(inspect, input->packet, &newest, flow);

        if (of_newest.method == APP_BY_CONTENT) {
            return inspect_more(fresh);
        }
        may_begin = of_newest.may_come;
    }
    if (is_enough(flow, &guess)) {
        return inspect_stop(INSPECT_DONE);
    }
    if (!guess.may_come && input->bytes.length < INSPECT_UNKNOWN_BYTES) {
        return (struct inspect_step){.verdict = INSPECT_MORE,
                                     .consumed_bytes = may_begin ? fresh : input->bytes.length,
                                     .is_passed_over = true};
    }
    return inspect_more(input->bytes.length < INSPECT_UNKNOWN_BYTES ? 0 : input->bytes.length);
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
    const unsigned refusals = (flow->bits >> FLOW_REFUSALS_SHIFT & 3) + 1;

    flow_set_field(flow, FLOW_REFUSALS_SHIFT, 2, refusals < 3 ? refusals : 3);
    if (refusals >= INSPECT_REFUSALS_MAX) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

static struct inspect_input without(const struct inspect_input *input, uint32_t consumed_bytes)
{
    struct inspect_input rest = *input;

    rest.bytes.bytes += consumed_bytes;
    rest.bytes.length -= consumed_bytes;
    return rest;
}

struct inspect_step inspect_dispatch(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input, uint32_t fresh)
{
    struct inspect_input rest; /* of the input, once a handler has taken a part of it */
    uint32_t consumed = 0;

    inspect->seen_body = NULL;
    for (unsigned i = 0; i < INSPECT_SWITCHES_MAX; i++) {
        if (flow->app_handler == APP_UNKNOWN) {
            struct inspect_step step = look(inspect, input, flow, fresh);
            consumed += step.consumed_bytes;
            if (flow->app_handler == APP_UNKNOWN) {
                step.consumed_bytes = consumed;
                return step;
            }
            if (step.consumed_bytes > 0) {
                rest = without(input, step.consumed_bytes);
                input = &rest;
            }
        }
        const uint8_t handler = flow->app_handler;
        const struct inspect_app_ops *ops = inspect_ops(handler);
        if (ops == NULL) { /* a label is all there is */
            return inspect_stop(INSPECT_DONE);
        }
        const struct inspect_step step = ops->input(inspect, flow, input);
        if (step.verdict == INSPECT_REFUSED) {
            refuse(inspect, flow, ops);
            return inspect_more(consumed + input->bytes.length);
        }
        consumed += step.consumed_bytes;
        if (step.verdict != INSPECT_MORE || flow->app_handler == handler ||
            step.consumed_bytes >= input->bytes.length) {
            return (struct inspect_step){
                .verdict = step.verdict, .consumed_bytes = consumed, .is_lost = step.is_lost};
        }
        rest = without(input, step.consumed_bytes); /* it is the next handler's */
        input = &rest;
        fresh = 0;
    }
    return inspect_stop(INSPECT_DONE); /* handlers that hand over in a circle */
}

/* A whole datagram, for its handler. */
static void take_datagram(struct inspect *inspect, const struct packet *packet,
                          const struct wire_span *bytes, struct flow *flow, int direction)
{
    const struct inspect_input input = {
        .packet = packet, .bytes = *bytes, .direction = direction, .is_last = true};

    if ((flow->bits & (INSPECT_DONE_CLIENT << direction)) != 0) {
        return;
    }
    const struct inspect_step step = inspect_dispatch(inspect, flow, &input, 0);
    if (step.verdict == INSPECT_DIRECTION_DONE) {
        flow->bits |= INSPECT_DONE_CLIENT << direction;
    }
    if (step.verdict == INSPECT_DONE || (flow->bits & INSPECT_DONE_BOTH) == INSPECT_DONE_BOTH) {
        flow->bits |= FLOW_INSPECT_DONE;
    }
}

void inspect_transport(struct inspect *inspect, struct flow *flow, const struct packet *packet,
                       const struct wire_span *bytes, int direction)
{
    if ((packet->facts & PACKET_HAS_TCP) != 0) {
        assembly_segment(inspect, flow, packet, bytes, direction);
    } else if (bytes->length > 0) {
        take_datagram(inspect, packet, bytes, flow, direction);
    }
}

/* The user messages of an SCTP packet that stand in one chunk each; those in several are not put
 * together. */
static void take_messages(struct inspect *inspect, const struct packet *packet,
                          const uint8_t *frame, struct flow *flow, int direction)
{
    struct cursor in = cursor_over(frame + packet->payload_offset, packet->payload_captured_bytes);
    struct sctp_chunk chunk;

    cursor_skip(&in, SCTP_HEADER_BYTES);
    while ((flow->bits & FLOW_INSPECT_DONE) == 0 && in.ok && sctp_next(&in, &chunk)) {
        if (chunk.is_whole_message && chunk.user_data.length > 0) {
            take_datagram(inspect, packet, &chunk.user_data, flow, direction);
        }
    }
}

/* One of several pieces whose flow speaks something that is inspected. */
static bool is_fragment_to_join(const struct packet *packet, const struct flow *flow)
{
    const unsigned is_part =
        PACKET_IS_LATER_FRAGMENT | PACKET_HAS_MORE_FRAGMENTS | PACKET_OUTER_FRAGMENT;

    return (packet->facts & is_part) != 0 && (flow->bits & FLOW_HAS_KEY_PORTS) != 0 &&
           (flow->key.protocol == IP_PROTOCOL_TCP || flow->key.protocol == IP_PROTOCOL_UDP ||
            flow->key.protocol == IP_PROTOCOL_SCTP);
}

void inspect_payload(struct inspect *inspect, const struct packet *packet, const uint8_t *frame,
                     struct flow *flow, int direction)
{
    if (frame == NULL || (packet->facts & PACKET_HAS_PORTS) == 0) {
        return;
    }
    if (is_fragment_to_join(packet, flow)) {
        datagrams_add(inspect, flow, packet, frame, direction);
    } else if (packet->protocol == IP_PROTOCOL_SCTP) {
        if ((packet->facts & PACKET_IS_FRAGMENT) == 0) {
            take_messages(inspect, packet, frame, flow, direction);
        }
    } else if ((packet->facts & PACKET_IS_LATER_FRAGMENT) == 0) {
        const struct wire_span bytes = {.bytes = frame + packet->payload_offset,
                                        .length = packet->payload_captured_bytes};
        inspect_transport(inspect, flow, packet, &bytes, direction);
    }
    if ((flow->bits & FLOW_INSPECT_DONE) != 0 && flow->app != INSPECT_NONE) {
        assembly_drop(inspect, flow);
        datagrams_drop(inspect, flow);
    }
}

void inspect_finish(struct inspect *inspect, struct flow *flow)
{
    const uint32_t parts = inspect_parts(inspect, flow);

    const bool has_datagrams = inspect_has(parts, PART_DATAGRAMS);

    if (!has_datagrams && !inspect_has(parts, PART_STREAM)) {
        return; /* nothing waits */
    }
    const struct packet last = {.source_port = flow_client_port(flow),
                                .target_port = flow_server_port(flow),
                                .ip_version = flow->key.ip_version,
                                .protocol = flow->key.protocol,
                                .facts = PACKET_HAS_PORTS,
                                .time_ns = flow->last_ns};

    if (has_datagrams) {
        datagrams_finish(inspect, flow, &last); /* their bytes may begin a stream */
    }
    assembly_finish(inspect, flow, &last);
}

void inspect_release(struct inspect *inspect, struct flow *flow)
{
    flow->bits |= FLOW_INSPECT_DONE;
    if (flow->app == INSPECT_NONE) {
        return;
    }
    const uint32_t parts = inspect_parts(inspect, flow);

    if (inspect_has(parts, PART_STREAM)) {
        assembly_drop(inspect, flow);
    }
    if (inspect_has(parts, PART_DATAGRAMS)) {
        datagrams_drop(inspect, flow);
    }
    for (uint32_t left = parts & INSPECT_HANDLED; left != 0; left &= left - 1) {
        const struct inspect_app_ops *ops = inspect_first_handler(left);

        if (ops->release != NULL) {
            ops->release(inspect, flow);
        }
    }
    inspect_drop_all(inspect, flow);
}

void inspect_reported(struct inspect *inspect, struct flow *flow)
{
    const uint32_t parts = inspect_parts(inspect, flow);

    for (uint32_t left = parts & INSPECT_HANDLED; left != 0; left &= left - 1) {
        const struct inspect_app_ops *ops = inspect_first_handler(left);

        if (ops->reported != NULL) {
            ops->reported(inspect, flow);
        }
    }
}

const struct inspect_dns_health *inspect_dns_health(const struct inspect *inspect)
{
    return &inspect->dns_health;
}

struct inspect_statistics inspect_statistics(const struct inspect *inspect)
{
    struct inspect_statistics statistics = inspect->statistics;

    statistics.held_bytes = inspect->held.used_bytes;
    statistics.held_bytes_peak = inspect->held.used_bytes_peak;
    statistics.held_full = inspect->held.refused;
    return statistics;
}
