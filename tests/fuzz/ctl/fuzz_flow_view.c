/* An answer of a server that may say anything: whatever is shown of it is printable text. */
#include <stdlib.h>

#include "base/utf8.h"
#include "ctl/flow_view.h"
#include "ctl/message.h"
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct show *show)
{
    const uint8_t *at = (const uint8_t *)show->out;
    const uint8_t *const end = at + show->length;

    while (at < end) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, (size_t)(end - at), &code);

        if (count == 0 || utf8_is_control(code)) {
            abort();
        }
        at += count;
    }
}

static void show_flow(const struct view *record)
{
    static struct flow_record flow;
    static char text[FLOW_LINE_BYTES];

    if (!codec_decode_flow(record->bytes, record->length, &flow)) {
        return;
    }
    for (enum ctl_form form = FORM_COMPACT; form <= FORM_WIDE; form++) {
        struct show show = SHOW_OVER(text);

        text[0] = '\0';
        flow_view_line(form, &flow, &show);
        check(&show);
    }
}

static void show_loss(const struct view *loss)
{
    char text[512] = "";
    struct show show = SHOW_OVER(text);

    show_name(&show, view_text(loss, "reason"));
    show_count(&show, view_number(loss, "count") + view_number(loss, "from_seq"));
    check(&show);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view message = view_of("ObserveFlowsResponse", data, size);
    const struct view batch = view_message(&message, "flows");
    const struct view loss = view_message(&message, "loss_notice");
    const struct view heartbeat = view_message(&message, "heartbeat");
    struct view_list list = view_list_of(&batch, "flows");
    struct view each;

    while (view_list_next(&list, &each)) {
        show_flow(&each);
    }
    show_loss(&loss);
    (void)view_ns(&heartbeat, "time");
    return 0;
}
