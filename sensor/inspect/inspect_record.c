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

static enum app guess_by_port(const struct flow *flow)
{
    return (flow->bits & FLOW_HAS_KEY_PORTS) == 0
               ? APP_UNKNOWN
               : app_by_ports(flow->key.protocol, flow->key.low_port, flow->key.high_port);
}

/* The port that the guess came from: the server's, unless that alone says nothing. */
static uint16_t guessing_port(const struct flow *flow, enum app app)
{
    const uint16_t server_port = flow_server_port(flow);

    return app_by_ports(flow->key.protocol, UINT16_MAX, server_port) == app
               ? server_port
               : flow_client_port(flow);
}

unsigned inspect_app(const struct flow *flow)
{
    const enum app app = (enum app)flow->app_protocol;

    return app != APP_UNKNOWN ? app : guess_by_port(flow);
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

/* "port 443" in `out` (16 bytes); its length. */
static uint32_t port_text(char *out, uint16_t port)
{
    static const char prefix[] = "port ";
    const uint32_t at = sizeof(prefix) - 1;
    uint32_t digits = 1;

    for (unsigned rest = port; rest >= 10; rest /= 10) {
        digits++;
    }
    memcpy(out, prefix, at);
    for (uint32_t i = digits; i > 0; i--) {
        out[at + i - 1] = (char)('0' + port % 10);
        port /= 10;
    }
    return at + digits;
}

static void fill_label(const struct inspect *inspect, const struct flow *flow,
                       struct flow_record *record)
{
    if (flow->app_protocol != APP_UNKNOWN) {
        record->app = inspect->labels[flow->app_protocol].name;
        record->app_confidence = (uint8_t)flow_app_confidence(flow);
        record->app_method = inspect->labels[flow->app_protocol].method;
        return;
    }
    const enum app guess = guess_by_port(flow);
    if (guess != APP_UNKNOWN) {
        const uint32_t length = port_text(inspect->port_text, guessing_port(flow, guess));
        record->app = inspect->labels[guess].name;
        record->app_confidence = APP_PORT;
        record->app_method = inspect_text(inspect->port_text, length);
    }
}

void inspect_fill_record(const struct inspect *inspect, const struct flow *flow,
                         struct flow_record *record)
{
    const uint32_t parts = inspect_parts(inspect, flow);
    uint8_t source;

    fill_label(inspect, flow, record);
    if ((flow->bits & INSPECT_SAW_CONFLICT) != 0) {
        record->flags |= FLOW_FLAG_DATA_CONFLICT;
    }
    if (parts == 0) {
        return;
    }
    for (uint32_t left = parts & INSPECT_HANDLED; left != 0; left &= left - 1) {
        inspect_first_handler(left)->fill(inspect, flow, record);
    }
    const struct record_text name = name_of(inspect, flow, parts, &source);
    if (source != NAME_NONE) {
        record->server.name = name;
        record->server.name_source = source;
    }
}
