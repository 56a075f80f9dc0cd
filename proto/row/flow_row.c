#include "proto/row/flow_row.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/wire_format.h"
#include "proto/json/descriptor_index.h"
#include "proto/json/transcoder.h"

#define BASE         32
#define SLOTS_MAX    64 /* fields of one repeated message, at any depth */
#define DEPTH_MAX    8
#define TAG_BYTES    4 /* numbers below 2^25 */
#define NAME_BYTES   160
#define NS_IN_SECOND UINT64_C(1000000000)

enum action {
    ACTION_NONE, /* FlowRow has no such field */
    ACTION_COPY, /* number, text or packed list: the same bytes behind another tag */
    ACTION_ADDRESS,
    ACTION_TIMESTAMP,
    ACTION_DURATION,
    ACTION_ENTER, /* a message */
    ACTION_LIST,  /* a repeated message, or a map */
};

/* What becomes of one field of one message. */
struct step {
    uint8_t action;
    uint8_t wire_type;  /* of the value that is read */
    bool may_be_packed; /* repeated numbers come one by one or packed */
    bool is_joined;     /* a text of a list inside a list */
    bool is_signed;     /* a number of a list that may be absent: zigzag, -1 = absent */
    uint8_t slot;       /* inside a list: its column */
    uint8_t tag_length;
    uint8_t tag[TAG_BYTES]; /* of the row's field, with wire type 0 */
    uint32_t number;        /* of the field that is read */
    struct layout *inside;  /* ENTER, LIST */
};

struct layout {
    struct step steps[JSON_DIRECT_NUMBERS]; /* by number */
    struct step *columns[SLOTS_MAX];        /* LIST: all columns in order of number */
    uint32_t columns_count;
};

static struct layout *flow_layout;
static unsigned missing_count;
static char missing_name[NAME_BYTES];

/* ---- the way, from the descriptors ---- */

static void note_missing(const char *name)
{
    if (missing_count++ == 0) {
        (void)snprintf(missing_name, sizeof missing_name, "%s", name);
    }
}

static enum action action_of(const struct json_field *field, const struct json_field *row)
{
    if (field->type == TYPE_MESSAGE) {
        switch (field->message->form) {
        case FORM_TIMESTAMP:
            return ACTION_TIMESTAMP;
        case FORM_DURATION:
            return ACTION_DURATION;
        default:
            return field->is_repeated ? ACTION_LIST : ACTION_ENTER;
        }
    }
    return field->type == TYPE_STRING && row->type == TYPE_BYTES ? ACTION_ADDRESS : ACTION_COPY;
}

static bool is_leaf(const struct json_field *field)
{
    return field->type != TYPE_MESSAGE || field->message->form == FORM_TIMESTAMP ||
           field->message->form == FORM_DURATION;
}

static void set_tag(struct step *step, uint32_t number)
{
    const uint8_t *end = wire_put_varint(step->tag, (uint64_t)number << 3);

    step->tag_length = (uint8_t)(end - step->tag);
    assert(step->tag_length <= TAG_BYTES);
}

static struct layout *layout_of(const struct json_message *message, const struct json_message *row,
                                const char *prefix, uint32_t base, bool is_in_list, unsigned depth)
{
    struct layout *layout = calloc(1, sizeof *layout);

    if (layout == NULL) {
        abort(); /* at the first use, with less than 100 KiB left */
    }
    assert(depth < DEPTH_MAX);
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        const uint32_t number = base * BASE + field->number;
        const struct json_field *target = message_field(row, number);
        char name[NAME_BYTES];

        (void)snprintf(name, sizeof name, "%s%s", prefix, field->name);
        if (field->number >= JSON_DIRECT_NUMBERS || (is_leaf(field) && target == NULL) ||
            (target != NULL && strncmp(target->name, name, strlen(name)) != 0)) {
            note_missing(name);
            continue;
        }
        struct step *step = &layout->steps[field->number];

        step->action = (uint8_t)action_of(field, target == NULL ? field : target);
        step->wire_type = field->wire_type;
        step->number = field->number;
        if (step->action == ACTION_ENTER || step->action == ACTION_LIST) {
            char inner[NAME_BYTES + 1];

            (void)snprintf(inner, sizeof inner, "%s_", name);
            step->inside = layout_of(field->message, row, inner, number,
                                     is_in_list || step->action == ACTION_LIST, depth + 1);
            continue;
        }
        if (target == NULL) {
            continue; /* a list or a message has no field of its own; a leaf is noted above */
        }
        set_tag(step, number);
        step->may_be_packed = !is_in_list && field->is_repeated && type_is_packable(field->type);
        step->is_signed = target->type == TYPE_SINT32 || target->type == TYPE_SINT64;
        step->is_joined = is_in_list && field->is_repeated;
    }
    return layout;
}

/* Gives each leaf below `layout` its column in `list`. */
static void number_columns(struct layout *layout, struct layout *list)
{
    for (uint32_t number = 0; number < JSON_DIRECT_NUMBERS; number++) {
        struct step *step = &layout->steps[number];

        if (step->action == ACTION_ENTER) {
            number_columns(step->inside, list);
        } else if (step->action != ACTION_NONE) {
            assert(step->action != ACTION_LIST && list->columns_count < SLOTS_MAX);
            step->slot = (uint8_t)list->columns_count;
            list->columns[list->columns_count++] = step;
        }
    }
}

static void number_lists(struct layout *layout)
{
    for (uint32_t number = 0; number < JSON_DIRECT_NUMBERS; number++) {
        struct step *step = &layout->steps[number];

        if (step->action == ACTION_LIST) {
            number_columns(step->inside, step->inside);
        } else if (step->action == ACTION_ENTER) {
            number_lists(step->inside);
        }
    }
}

static void build(void)
{
    const struct json_message *record = json_message_find("netscope.v1.FlowRecord");
    const struct json_message *row = json_message_find("netscope.v1.FlowRow");

    if (record == NULL || row == NULL) {
        abort(); /* the set is ours and was made with the program */
    }
    flow_layout = layout_of(record, row, "", 0, false, 0);
    number_lists(flow_layout);
}

static const struct layout *layout(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, build);
    return flow_layout;
}

unsigned flow_row_missing(const char **name)
{
    (void)layout();
    *name = missing_name;
    return missing_count;
}

/* ---- the bytes ---- */

struct output {
    uint8_t *at;
    const uint8_t *end;
    bool ok;
};

static bool put_tag(struct output *out, const struct step *step, enum wire_type type, size_t value)
{
    if (UNLIKELY((size_t)(out->end - out->at) < TAG_BYTES + value)) {
        out->ok = false;
        return false;
    }
    memcpy(out->at, step->tag, TAG_BYTES);
    out->at[0] |= (uint8_t)type;
    out->at += step->tag_length;
    return true;
}

static void put_varint(struct output *out, const struct step *step, uint64_t value)
{
    if (put_tag(out, step, WIRE_VARINT, WIRE_VARINT_BYTES_MAX)) {
        out->at = wire_put_varint(out->at, value);
    }
}

static void put_fixed64(struct output *out, const struct step *step, uint64_t value)
{
    if (put_tag(out, step, WIRE_FIXED64, 8)) {
        out->at = wire_put_fixed64(out->at, value);
    }
}

static void put_bytes(struct output *out, const struct step *step, const void *bytes, size_t length)
{
    if (put_tag(out, step, WIRE_BYTES, WIRE_VARINT_BYTES_MAX + length)) {
        out->at = wire_put_bytes(out->at, bytes, length);
    }
}

/* IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2); empty: unknown. */
static void put_address(struct output *out, const struct step *step, const struct wire_field *field)
{
    struct ip_address address;
    uint8_t bytes[16] = {[10] = 0xff, [11] = 0xff};

    if (!address_parse((const char *)field->bytes, field->length, &address)) {
        put_bytes(out, step, NULL, 0);
        return;
    }
    if (address.version == 4) {
        memcpy(bytes + 12, address.bytes, 4);
    } else {
        memcpy(bytes, address.bytes, 16);
    }
    put_bytes(out, step, bytes, sizeof bytes);
}

/* Timestamp and Duration: seconds = 1, nanos = 2. */
static uint64_t nanoseconds(const struct wire_field *message)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t ns = 0;

    while (wire_next(&r, &f)) {
        ns += f.number == 1 ? f.value * NS_IN_SECOND : f.number == 2 ? f.value : 0;
    }
    return ns;
}

static uint64_t zigzag(uint64_t value)
{
    return (value << 1) ^ (uint64_t) - (int64_t)(value >> 63);
}

/* The texts of field `number` of a message, with commas between. */
static void put_joined(struct output *out, const struct step *step, struct wire_reader all)
{
    struct wire_reader r = all;
    struct wire_field f;
    size_t length = 0;

    while (wire_next(&r, &f)) {
        length += f.number == step->number && f.type == WIRE_BYTES ? f.length + 1 : 0;
    }
    length = length > 0 ? length - 1 : 0;
    if (!put_tag(out, step, WIRE_BYTES, WIRE_VARINT_BYTES_MAX + length)) {
        return;
    }
    out->at = wire_put_varint(out->at, length);
    for (bool is_first = true; wire_next(&all, &f);) {
        if (f.number != step->number || f.type != WIRE_BYTES) {
            continue;
        }
        if (!is_first) {
            *out->at++ = ',';
        }
        is_first = false;
        if (f.length > 0) {
            memcpy(out->at, f.bytes, f.length);
            out->at += f.length;
        }
    }
}

/* One element of a repeated message: what is met of each column. */
struct slot {
    bool is_set;
    struct wire_field field;
    struct wire_reader whole; /* the message around it; for a joined text */
};

static bool fill_slots(const struct layout *from, struct wire_reader r, struct slot *slots)
{
    const struct wire_reader whole = r;
    struct wire_field f;

    while (wire_next(&r, &f)) {
        const struct step *step =
            f.number < JSON_DIRECT_NUMBERS ? &from->steps[f.number] : &from->steps[0];

        if (step->action == ACTION_NONE || f.type != step->wire_type) {
            continue;
        }
        if (step->action == ACTION_ENTER) {
            if (!fill_slots(step->inside, wire_reader_over(f.bytes, f.length), slots)) {
                return false;
            }
            continue;
        }
        slots[step->slot] = (struct slot){true, f, whole};
    }
    return r.ok;
}

static void put_column(struct output *out, const struct step *step, const struct slot *slot)
{
    const struct wire_field *field = &slot->field;

    if (step->action == ACTION_ADDRESS) {
        put_address(out, step, field);
    } else if (step->action == ACTION_TIMESTAMP) {
        put_fixed64(out, step, nanoseconds(field));
    } else if (step->action == ACTION_DURATION) {
        put_varint(out, step, zigzag(slot->is_set ? nanoseconds(field) : UINT64_MAX));
    } else if (step->is_joined && slot->is_set) {
        put_joined(out, step, slot->whole);
    } else if (step->wire_type == WIRE_BYTES) {
        put_bytes(out, step, field->bytes, field->length);
    } else if (step->wire_type == WIRE_FIXED64) {
        put_fixed64(out, step, field->value);
    } else if (step->wire_type == WIRE_FIXED32) {
        if (put_tag(out, step, WIRE_FIXED32, 4)) {
            out->at = wire_put_fixed32(out->at, (uint32_t)field->value);
        }
    } else {
        put_varint(out, step,
                   !step->is_signed ? field->value
                                    : zigzag(slot->is_set ? field->value : UINT64_MAX));
    }
}

/* All columns get a value, so that the lists stay side by side. */
static bool put_element(struct output *out, const struct layout *list,
                        const struct wire_field *element)
{
    struct slot slots[SLOTS_MAX];

    memset(slots, 0, list->columns_count * sizeof slots[0]);
    if (!fill_slots(list, wire_reader_over(element->bytes, element->length), slots)) {
        return false;
    }
    for (uint32_t i = 0; i < list->columns_count; i++) {
        put_column(out, list->columns[i], &slots[i]);
    }
    return true;
}

static size_t wire_left_of(const uint8_t *at, const struct wire_reader *r)
{
    return (size_t)(r->end - at);
}

static bool put_message(struct output *out, const struct layout *from, struct wire_reader r)
{
    struct wire_field f;

    for (;;) {
        const uint32_t tag = wire_read_tag(&r);
        const uint8_t *value = r.at;

        if (tag == 0 || !wire_read_value(&r, tag, &f)) {
            return r.ok && out->ok;
        }
        const struct step *step =
            f.number < JSON_DIRECT_NUMBERS ? &from->steps[f.number] : &from->steps[0];

        if (f.type != step->wire_type && !(step->may_be_packed && f.type == WIRE_BYTES)) {
            continue; /* counts as unknown */
        }
        bool ok = true;

        switch (step->action) {
        case ACTION_COPY: {
            const size_t length = (size_t)(r.at - value);

            if (put_tag(out, step, f.type, length < 8 ? 8 : length)) {
                if (length <= 8 && wire_left_of(value, &r) >= 8) {
                    memcpy(out->at, value, 8); /* one store: most values are short */
                } else {
                    memcpy(out->at, value, length);
                }
                out->at += length;
            }
            break;
        }
        case ACTION_ADDRESS:
            put_address(out, step, &f);
            break;
        case ACTION_TIMESTAMP:
            put_fixed64(out, step, nanoseconds(&f));
            break;
        case ACTION_DURATION:
            put_varint(out, step, nanoseconds(&f));
            break;
        case ACTION_ENTER:
            ok = put_message(out, step->inside, wire_reader_over(f.bytes, f.length));
            break;
        case ACTION_LIST:
            ok = put_element(out, step->inside, &f);
            break;
        default:
            break;
        }
        if (!ok) {
            return false;
        }
    }
}

size_t flow_row_from_flow(const uint8_t *flow, size_t length, uint8_t *out, size_t capacity)
{
    struct output output = {.at = out, .end = out + capacity, .ok = true};

    return put_message(&output, layout(), wire_reader_over(flow, length))
               ? (size_t)(output.at - out)
               : 0;
}
