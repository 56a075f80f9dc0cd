/* Telnet: whether somebody answers a prompt for a password, in the clear. */
#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/login.h"

#define TELNET_IAC 0xff

struct telnet_state {
    struct login_prompt prompt;
    bool is_asked;
};

static struct inspect_step telnet_input(struct inspect *inspect, struct flow *flow,
                                        const struct inspect_input *input)
{
    struct telnet_state *state = inspect_part(inspect, flow, PART_TELNET);

    if (state == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->direction == 1) {
        state->is_asked = login_prompt(&state->prompt, &input->bytes);
    } else if (state->is_asked && input->bytes.bytes[0] != TELNET_IAC) {
        inspect_tell_login(inspect, flow, &(struct inspect_login){"telnet", true, false, 0});
        return inspect_stop(INSPECT_DONE);
    }
    return inspect_more(input->bytes.length);
}

/* There is nothing to tell in a record. */
static void telnet_fill(const struct inspect *inspect, const struct flow *flow,
                        struct flow_record *record)
{
    (void)inspect;
    (void)flow;
    (void)record;
}

const struct inspect_app_ops inspect_telnet = {
    .part = PART_TELNET,
    .is_handshake = true,
    .input = telnet_input,
    .fill = telnet_fill,
};
