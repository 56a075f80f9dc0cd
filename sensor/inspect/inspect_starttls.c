#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/login.h"
#include "sensor/wire/starttls.h"

/* How far the client's direction was read. */
struct starttls_state {
    bool is_begun;
    struct login_state login;
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

/* ---- log-ins in the clear, in what was read of the client's lines and messages ---- */

static void tell(struct inspect *inspect, const struct flow *flow)
{
    inspect_tell_login(inspect, flow,
                       &(struct inspect_login){.protocol = app_name((enum app)flow->app_handler),
                                               .is_clear = true});
}

static void look_at_lines(struct inspect *inspect, const struct flow *flow,
                          struct starttls_state *state, enum login_kind kind,
                          struct wire_span bytes)
{
    while (bytes.length > 0 && !state->login.is_over) {
        const uint8_t *end = memchr(bytes.bytes, '\n', bytes.length);
        const uint32_t length = end != NULL ? (uint32_t)(end - bytes.bytes) + 1 : bytes.length;
        const struct wire_span line = {.bytes = bytes.bytes, .length = length};

        if (login_line(kind, &state->login, &line)) {
            tell(inspect, flow);
        }
        bytes.bytes += length;
        bytes.length -= length;
    }
}

static void look_for_login(struct inspect *inspect, const struct flow *flow,
                           struct starttls_state *state, const struct wire_span *bytes)
{
    switch (flow->app_handler) {
    case APP_FTP:
        look_at_lines(inspect, flow, state, LOGIN_FTP, *bytes);
        break;
    case APP_POP3:
        look_at_lines(inspect, flow, state, LOGIN_POP3, *bytes);
        break;
    case APP_IMAP:
        look_at_lines(inspect, flow, state, LOGIN_IMAP, *bytes);
        break;
    case APP_SMTP:
        look_at_lines(inspect, flow, state, LOGIN_SMTP, *bytes);
        break;
    case APP_LDAP:
        if (login_ldap(bytes)) {
            tell(inspect, flow);
        }
        break;
    default:
        break;
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
    const struct wire_span read = {
        .bytes = input->bytes.bytes,
        .length = step.consumed < input->bytes.length ? step.consumed : input->bytes.length};

    state->is_begun |= step.consumed > 0;
    look_for_login(inspect, flow, state, &read);
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
