#include "base/byte_order.h"
#include "sensor/inspect/inspect_internal.h"

static struct record_text static_text(const char *text)
{
    return inspect_text(text, (uint32_t)strlen(text));
}

void inspect_make_labels(struct inspect *inspect)
{
    for (unsigned app = 0; app < APP_COUNT; app++) {
        inspect->labels[app] =
            (struct inspect_label){.name = static_text(app_name((enum app)app)),
                                   .method = static_text(inspect_method((uint8_t)app))};
    }
}

static struct app_by_port guess_by_port(const struct flow *flow)
{
    if ((flow->bits & FLOW_HAS_KEY_PORTS) == 0) {
        return (struct app_by_port){0};
    }
    return flow_initiator(flow) == INITIATOR_SYN
               ? app_by_sure_server(flow->key.protocol, flow_client_port(flow),
                                    flow_server_port(flow))
               : app_by_server(flow->key.protocol, flow_client_port(flow), flow_server_port(flow));
}

unsigned inspect_app(const struct flow *flow)
{
    const enum app app = (enum app)flow->app_protocol;

    return app != APP_UNKNOWN ? app : guess_by_port(flow).app;
}

struct record_text inspect_app_name(const struct inspect *inspect, const struct flow *flow)
{
    return inspect->labels[inspect_app(flow)].name;
}

/* Of the first handler that knows one. */
static struct record_text name_of(const struct inspect *inspect, const struct flow *flow,
                                  uint32_t parts, uint8_t *source)
{
    for (uint32_t left = parts & INSPECT_HANDLED; left != 0; left &= left - 1) {
        const struct inspect_app_ops *ops = inspect_first_handler(left);

        if (ops->server_name != NULL) {
            const struct record_text name = ops->server_name(inspect, flow, source);
            if (name.length > 0) {
                return name;
            }
        }
    }
    *source = NAME_NONE;
    return inspect_text(NULL, 0);
}

struct record_text inspect_server_name(const struct inspect *inspect, const struct flow *flow)
{
    uint8_t source;

    return name_of(inspect, flow, inspect_parts(inspect, flow), &source);
}

/* "port 443" in `out` (16 bytes); its length. All digits at once, without jumps: how many there are
 * cannot be foretold. */
static uint32_t port_text(char *out, uint16_t port)
{
    static const char prefix[] = "port ";
    const uint32_t at = sizeof(prefix) - 1;
    const uint32_t thousands = port / 1000;
    const uint32_t rest = port % 1000;
    const uint64_t digits = thousands / 10 | (uint64_t)(thousands % 10) << 8 |
                            (uint64_t)(rest / 100) << 16 | (uint64_t)(rest / 10 % 10) << 24 |
                            (uint64_t)(rest % 10) << 32;
    /* Zeros in front, of which one stays where all are zero. */
    const unsigned left_out = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 32) / 8;

    memcpy(out, prefix, at);
    store_le64(out + at, (digits | UINT64_C(0x3030303030)) >> 8 * left_out);
    return at + 5 - left_out;
}

static unsigned fill_label(const struct inspect *inspect, const struct flow *flow,
                           struct flow_record *record)
{
    if (flow->app_protocol != APP_UNKNOWN) {
        record->app = inspect->labels[flow->app_protocol].name;
        record->app_confidence = (uint8_t)flow_app_confidence(flow);
        record->app_method = inspect->labels[flow->app_protocol].method;
        return flow->app_protocol;
    }
    const struct app_by_port guess = guess_by_port(flow);
    if (guess.app != APP_UNKNOWN) {
        record->app = inspect->labels[guess.app].name;
        record->app_confidence = APP_PORT;
        record->app_method =
            inspect_text(inspect->port_text, port_text(inspect->port_text, guess.port));
    }
    return guess.app;
}

bool inspect_fill_syn(const struct inspect *inspect, const struct flow *flow,
                      struct syn_record *record, unsigned *app)
{
    if (flow->app != INSPECT_NONE || flow->app_protocol != APP_UNKNOWN ||
        (flow->bits & INSPECT_SAW_CONFLICT) != 0) {
        return false;
    }
    const struct app_by_port guess =
        app_by_sure_server(flow->key.protocol, record->client_port, record->server_port);

    *app = guess.app;
    if (guess.app != APP_UNKNOWN) {
        record->app = inspect->labels[guess.app].name;
        record->app_method =
            inspect_text(inspect->port_text, port_text(inspect->port_text, guess.port));
    }
    return true;
}

unsigned inspect_fill_record(const struct inspect *inspect, const struct flow *flow,
                             struct flow_record *record)
{
    const uint32_t parts = inspect_parts(inspect, flow);
    const unsigned app = fill_label(inspect, flow, record);
    uint8_t source;

    if ((flow->bits & INSPECT_SAW_CONFLICT) != 0) {
        record->flags |= FLOW_FLAG_DATA_CONFLICT;
    }
    if (parts == 0) {
        return app;
    }
    for (uint32_t left = parts & INSPECT_HANDLED; left != 0; left &= left - 1) {
        inspect_first_handler(left)->fill(inspect, flow, record);
    }
    const struct record_text name = name_of(inspect, flow, parts, &source);
    if (source != NAME_NONE) {
        record->server.name = name;
        record->server.name_source = source;
    }
    return app;
}
