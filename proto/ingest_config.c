/* Settings on their way: what a collector offers, and what became of it. */
#include <string.h>

#include "base/wire_format.h"
#include "proto/ingest_message.h"

/* Text of a peer: what does not fit is cut, what is no text is left out. */
static void read_text(const struct wire_field *field, char *out, size_t room)
{
    size_t length = field->length < room ? field->length : room - 1;

    while (length < field->length && length > 0 && (field->bytes[length] & 0xc0) == 0x80) {
        length--; /* not amid a letter */
    }
    if (length > 0 && memchr(field->bytes, '\0', length) == NULL) {
        memcpy(out, field->bytes, length);
        out[length] = '\0';
    } else {
        out[0] = '\0';
    }
}

bool ingest_decode_offer(const uint8_t *bytes, size_t length, struct ingest_config_offer *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct ingest_config_offer){.yaml = ""};
    while (wire_next(&r, &f)) {
        if (f.type != WIRE_BYTES) {
            continue;
        }
        if (f.number == 1) {
            read_text(&f, out->config_hash, sizeof(out->config_hash));
        } else if (f.number == 2) {
            out->yaml = f.length > 0 ? (const char *)f.bytes : "";
            out->yaml_bytes = f.length;
        } else if (f.number == 3) {
            read_text(&f, out->offer_id, sizeof(out->offer_id));
        }
    }
    return r.ok;
}

/* One more of a list; what has no room is left out. */
static void add_item(const struct wire_field *field, char *list, size_t room)
{
    const size_t used = strlen(list);
    const size_t comma = used > 0 ? 1 : 0;

    if (field->length == 0 || field->length >= room - used - comma ||
        memchr(field->bytes, '\0', field->length) != NULL) {
        return;
    }
    list[used] = ','; /* or the first letter takes its place */
    memcpy(list + used + comma, field->bytes, field->length);
    list[used + comma + field->length] = '\0';
}

static void take_field(const struct wire_field *f, struct ingest_config_status *out)
{
    if (f->type == WIRE_VARINT && f->number == 2) {
        out->state = f->value < INGEST_CONFIG_STATE_COUNT ? (enum ingest_config_state)f->value
                                                          : INGEST_CONFIG_UNSPECIFIED;
    } else if (f->type == WIRE_VARINT && f->number == 6) {
        out->line = f->value < UINT32_MAX ? (uint32_t)f->value : UINT32_MAX;
    } else if (f->type != WIRE_BYTES) {
        return;
    } else if (f->number == 1) {
        read_text(f, out->offer_id, sizeof(out->offer_id));
    } else if (f->number == 3) {
        read_text(f, out->config_hash, sizeof(out->config_hash));
    } else if (f->number == 4) {
        read_text(f, out->reason, sizeof(out->reason));
    } else if (f->number == 5) {
        read_text(f, out->path, sizeof(out->path));
    } else if (f->number == 7) {
        add_item(f, out->needs_restart, sizeof(out->needs_restart));
    }
}

bool ingest_decode_config_status(const uint8_t *bytes, size_t length,
                                 struct ingest_config_status *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;

    *out = (struct ingest_config_status){0};
    while (wire_next(&r, &f)) {
        take_field(&f, out);
    }
    return r.ok;
}

size_t ingest_encode_offer(const struct ingest_config_offer *offer, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_CONFIG_OFFER, 2);

    wire_write_text_if_any(&w, 1, offer->config_hash);
    if (offer->yaml_bytes > 0) {
        wire_write_bytes(&w, 2, offer->yaml, offer->yaml_bytes);
    }
    wire_write_text_if_any(&w, 3, offer->offer_id);
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}

size_t ingest_encode_config_status(const struct ingest_config_status *status, uint8_t *out,
                                   size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    const struct wire_mark mark = wire_begin(&w, INGEST_CONFIG_STATUS, 2);

    wire_write_text_if_any(&w, 1, status->offer_id);
    wire_write_varint(&w, 2, status->state);
    wire_write_text_if_any(&w, 3, status->config_hash);
    wire_write_text_if_any(&w, 4, status->reason);
    wire_write_text_if_any(&w, 5, status->path);
    if (status->line > 0) {
        wire_write_varint(&w, 6, status->line);
    }
    for (const char *at = status->needs_restart; *at != '\0';) {
        const size_t length = strcspn(at, ",");

        wire_write_bytes(&w, 7, at, length);
        at += length + (at[length] == ',');
    }
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}
