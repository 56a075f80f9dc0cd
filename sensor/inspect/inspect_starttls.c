#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/starttls.h"

/* How far the client's direction was read. */
struct starttls_state {
    bool is_begun;
};

static enum starttls_kind kind_of(uint8_t app)
{
    switch (app) {
    case APP_LDAP:
        return STARTTLS_LDAP;
    case APP_POSTGRESQL:
        return STARTTLS_POSTGRESQL;
    case APP_MYSQL:
        return STARTTLS_MYSQL;
    case APP_RDP:
        return STARTTLS_RDP;
    default:
        return STARTTLS_LINES;
    }
}

static struct inspect_step starttls_input(struct inspect *inspect, struct flow *flow,
                                          const struct inspect_input *input)
{
    struct starttls_state *state = inspect_part(inspect, flow, PART_STARTTLS);

    if (state == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->direction != 0) { /* the server's hello comes behind the client's */
        return inspect_more(input->bytes.length);
    }
    if (input->is_after_gap) {
        return inspect_stop(INSPECT_DONE);
    }
    const struct starttls_step step =
        starttls_step(kind_of(flow->app_handler), !state->is_begun, &input->bytes);
    state->is_begun |= step.consumed > 0;
    switch (step.verdict) {
    case STARTTLS_TLS:
        inspect_switch(flow, APP_TLS);
        return inspect_more(step.consumed);
    case STARTTLS_NONE:
        return inspect_stop(INSPECT_DONE);
    case STARTTLS_MORE:
    default:
        return inspect_more(step.consumed);
    }
}

/* What TLS tells is in its own part. */
static void starttls_fill(const struct inspect *inspect, const struct flow *flow,
                          struct flow_record *record)
{
    (void)inspect;
    (void)flow;
    (void)record;
}

const struct inspect_app_ops inspect_starttls = {
    .part = PART_STARTTLS,
    .is_handshake = true,
    .input = starttls_input,
    .fill = starttls_fill,
};
