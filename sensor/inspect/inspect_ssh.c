#include "sensor/inspect/inspect_internal.h"

#define BANNER_BYTES 140

struct ssh_state {
    uint8_t lengths[2]; /* client, server */
    char banners[2][BANNER_BYTES];
};
static_assert(sizeof(struct ssh_state) <= INSPECT_PART_BYTES, "a part");

static struct inspect_step ssh_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    static const char start[] = "SSH-";
    const struct wire_span *bytes = &input->bytes;
    struct wire_span line = {.bytes = bytes->bytes};
    const bool is_done = ++flow->app_payloads >= INSPECT_PAYLOADS_MAX;

    if (bytes->length < sizeof(start) - 1 || memcmp(bytes->bytes, start, sizeof(start) - 1) != 0) {
        return is_done ? inspect_stop(INSPECT_DONE) : inspect_more(bytes->length);
    }
    struct ssh_state *ssh = inspect_part(inspect, flow, PART_SSH);
    if (ssh == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    while (line.length < bytes->length && bytes->bytes[line.length] != '\r' &&
           bytes->bytes[line.length] != '\n') {
        line.length++;
    }
    if (ssh->lengths[input->direction] == 0) {
        ssh->lengths[input->direction] =
            (uint8_t)inspect_copy(ssh->banners[input->direction], BANNER_BYTES, &line);
    }
    inspect_label(flow, APP_SSH, APP_CERTAIN);
    return is_done || ssh->lengths[!input->direction] != 0 ? inspect_stop(INSPECT_DONE)
                                                           : inspect_more(bytes->length);
}

static void ssh_fill(const struct inspect *inspect, const struct flow *flow,
                     struct flow_record *record)
{
    const struct ssh_state *ssh = inspect_find(inspect, flow, PART_SSH);

    record->has_ssh = true;
    record->ssh =
        (struct flow_ssh){.client_banner = inspect_text(ssh->banners[0], ssh->lengths[0]),
                          .server_banner = inspect_text(ssh->banners[1], ssh->lengths[1])};
}

const struct inspect_app_ops inspect_ssh = {
    .part = PART_SSH,
    .is_handshake = true,
    .input = ssh_input,
    .fill = ssh_fill,
};
