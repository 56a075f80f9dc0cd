/* What people have said of an alert, as the messages of netscope.v1 say it. */
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/api/api_private.h"
#include "netscope/v1/alert_service.pb-c.h"
#include "proto/serve/grpc_serve.h"

enum { NOTE_ID = 1, NOTE_ACKNOWLEDGEMENT, NOTE_IS_ACKNOWLEDGED, NOTE_SILENCE, NOTE_SILENCE_EXPIRE };
enum { ACKNOWLEDGED_WHO = 1, ACKNOWLEDGED_TIME, ACKNOWLEDGED_COMMENT, ACKNOWLEDGED_SEVERITY };

size_t api_note_encode(const struct triage_note *note, const char *alert_id,
                       uint8_t out[API_NOTE_BYTES])
{
    struct wire_writer w = wire_writer_over(out, API_NOTE_BYTES);

    wire_write_text(&w, NOTE_ID, alert_id);
    if (note->has_acknowledgement) {
        const struct wire_mark mark = wire_begin(&w, NOTE_ACKNOWLEDGEMENT, 2);

        wire_write_text(&w, ACKNOWLEDGED_WHO, note->who);
        grpc_write_time(&w, ACKNOWLEDGED_TIME, note->time_ns);
        wire_write_text(&w, ACKNOWLEDGED_COMMENT, note->comment);
        wire_write_varint(&w, ACKNOWLEDGED_SEVERITY, note->severity);
        wire_end(&w, mark);
        wire_write_bool(&w, NOTE_IS_ACKNOWLEDGED, note->is_acknowledged);
    }
    if (note->silence_id[0] != '\0') {
        wire_write_text(&w, NOTE_SILENCE, note->silence_id);
        grpc_write_time(&w, NOTE_SILENCE_EXPIRE, note->silence_expire_ns);
    }
    return wire_written(&w);
}

static bool is_included(int inclusion, bool is_so)
{
    return inclusion == NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_UNSPECIFIED ||
           is_so == (inclusion == NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_ONLY);
}

bool api_note_is_wanted(const struct triage_note *note, int acknowledged, int silenced)
{
    return is_included(acknowledged, note->is_acknowledged) &&
           is_included(silenced, note->silence_id[0] != '\0');
}

bool api_notes_add(struct api_notes *notes, uint32_t field, const uint8_t *note, size_t length)
{
    if (notes->length + length + 16 > notes->room) {
        const size_t room = notes->room * 2 + length + 1024;
        uint8_t *more = realloc(notes->bytes, room);

        if (more == NULL) {
            return false;
        }
        notes->bytes = more;
        notes->room = room;
    }
    struct wire_writer w =
        wire_writer_over(notes->bytes + notes->length, notes->room - notes->length);

    wire_write_bytes(&w, field, note, length);
    notes->length += wire_written(&w);
    return true;
}
