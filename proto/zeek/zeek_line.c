/* Values as Zeek's ASCII and JSON writers tell them. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "proto/zeek/zeek_private.h"

static const char *const names[] = {[ZEEK_CONN] = "conn",
                                    [ZEEK_DNS] = "dns",
                                    [ZEEK_SSL] = "ssl",
                                    [ZEEK_SSH] = "ssh",
                                    [ZEEK_NOTICE] = "notice"};

const char *zeek_log_name(enum zeek_log log)
{
    return names[log];
}

/* ---- tab separated ---- */

static void put(struct zeek_line *line, const char *bytes, size_t length)
{
    struct json_writer *w = &line->json;

    if (w->overflow || w->capacity - w->length < length) {
        w->overflow = true;
        return;
    }
    memcpy(w->out + w->length, bytes, length);
    w->length += length;
}

static void put_escape(struct zeek_line *line, uint8_t byte)
{
    char text[5];

    put(line, text, (size_t)snprintf(text, sizeof(text), "\\x%02x", byte));
}

/* What would be read as a separator, another character or an escape is told as one (\x09). */
static void put_escaped(struct zeek_line *line, struct record_text text, bool is_in_list)
{
    for (uint32_t i = 0; i < text.length;) {
        const uint8_t *at = (const uint8_t *)text.data + i;
        uint32_t code = 0;
        const unsigned bytes = utf8_read(at, text.length - i, &code);

        if (bytes == 0 || utf8_is_control(code) || code == '\\' || (is_in_list && code == ',')) {
            for (unsigned k = 0; k < (bytes > 0 ? bytes : 1); k++) {
                put_escape(line, at[k]);
            }
        } else {
            put(line, (const char *)at, bytes);
        }
        i += bytes > 0 ? bytes : 1;
    }
}

static bool is_text(struct record_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* Words that mean something else begin with an escape. */
static void put_word(struct zeek_line *line, struct record_text text, bool is_in_list)
{
    if (text.length == 0) {
        put(line, "(empty)", strlen("(empty)"));
        return;
    }
    if (is_text(text, "-") || is_text(text, "(empty)")) {
        put_escape(line, (uint8_t)text.data[0]);
        text.data++;
        text.length--;
    }
    put_escaped(line, text, is_in_list);
}

/* ---- either ---- */

/* Before a value: its tab, or its key. */
static bool begin(struct zeek_line *line)
{
    if (line->form == ZEEK_JSON) {
        json_key(&line->json, line->name);
        return true;
    }
    if (!line->is_first) {
        put(line, "\t", 1);
    }
    return false;
}

void zeek_unset(struct zeek_line *line)
{
    if (line->form == ZEEK_TSV && !begin(line)) {
        put(line, "-", 1);
    }
}

void zeek_text(struct zeek_line *line, struct record_text text)
{
    if (text.length == 0) {
        zeek_unset(line);
    } else if (begin(line)) {
        json_text_bytes(&line->json, text.data, text.length);
    } else {
        put_word(line, text, false);
    }
}

void zeek_cell(struct zeek_line *line, const char *text)
{
    zeek_text(line, (struct record_text){text, (uint32_t)strlen(text)});
}

void zeek_count(struct zeek_line *line, uint64_t value)
{
    char text[24];
    const int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

    if (begin(line)) {
        json_raw(&line->json, text, (size_t)length);
    } else {
        put(line, text, (size_t)length);
    }
}

void zeek_bool(struct zeek_line *line, bool value)
{
    if (begin(line)) {
        json_bool(&line->json, value);
    } else {
        put(line, value ? "T" : "F", 1);
    }
}

static size_t seconds(uint64_t ns, char out[40])
{
    return (size_t)snprintf(out, 40, "%llu.%06llu", (unsigned long long)(ns / NS_PER_SEC),
                            (unsigned long long)(ns % NS_PER_SEC / NS_PER_US));
}

void zeek_time(struct zeek_line *line, uint64_t ns)
{
    char text[40];
    const size_t length = seconds(ns, text);

    if (begin(line)) {
        json_raw(&line->json, text, length);
    } else {
        put(line, text, length);
    }
}

void zeek_address(struct zeek_line *line, const struct ip_address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    const unsigned length = address_text(address, text);

    zeek_text(line, (struct record_text){text, length});
}

void zeek_mac(struct zeek_line *line, const struct flow_endpoint *end)
{
    char text[MAC_TEXT_BYTES];

    if (!end->has_mac) {
        zeek_unset(line);
        return;
    }
    zeek_text(line, (struct record_text){text, mac_text(end->mac, text)});
}

void zeek_uid(struct zeek_line *line, uint64_t flow_id)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char text[12] = "C";

    for (int i = 11; i >= 1; i--, flow_id /= 62) {
        text[i] = digits[flow_id % 62];
    }
    zeek_text(line, (struct record_text){text, sizeof(text)});
}

void zeek_list_begin(struct zeek_line *line)
{
    if (begin(line)) {
        json_array_begin(&line->json);
    }
}

void zeek_list_text(struct zeek_line *line, struct record_text text, bool is_first)
{
    if (line->form == ZEEK_JSON) {
        json_text_bytes(&line->json, text.data, text.length);
        return;
    }
    if (!is_first) {
        put(line, ",", 1);
    }
    put_word(line, text, true);
}

void zeek_list_time(struct zeek_line *line, uint64_t ns, bool is_first)
{
    char text[40];
    const size_t length = seconds(ns, text);

    if (line->form == ZEEK_JSON) {
        json_raw(&line->json, text, length);
        return;
    }
    if (!is_first) {
        put(line, ",", 1);
    }
    put(line, text, length);
}

void zeek_list_end(struct zeek_line *line)
{
    if (line->form == ZEEK_JSON) {
        json_array_end(&line->json);
    }
}

size_t zeek_write(const struct zeek_columns *columns, const void *record, enum zeek_form form,
                  char out[ZEEK_LINE_BYTES])
{
    struct zeek_line line = {.form = form, .is_first = true};

    json_init(&line.json, out, ZEEK_LINE_BYTES - 1);
    if (form == ZEEK_JSON) {
        json_object_begin(&line.json);
    }
    for (unsigned i = 0; i < columns->count; i++) {
        line.name = columns->at[i].name;
        columns->at[i].put(&line, record);
        line.is_first = false;
    }
    if (form == ZEEK_JSON) {
        json_object_end(&line.json);
    }
    if (line.json.overflow) {
        return 0;
    }
    out[line.json.length] = '\n';
    return line.json.length + 1;
}

/* ---- heads ---- */

static void put_moment(struct zeek_line *line, const char *word, uint64_t ns)
{
    const time_t at = (time_t)(ns / NS_PER_SEC);
    struct tm parts;
    char text[64];

    (void)gmtime_r(&at, &parts);
    put(line, word, strlen(word));
    put(line, text, strftime(text, sizeof(text), "\t%Y-%m-%d-%H-%M-%S\n", &parts));
}

static const struct zeek_columns *columns_of(enum zeek_log log)
{
    static const struct zeek_columns *const all[] = {[ZEEK_CONN] = &zeek_conn_columns,
                                                     [ZEEK_DNS] = &zeek_dns_columns,
                                                     [ZEEK_SSL] = &zeek_ssl_columns,
                                                     [ZEEK_SSH] = &zeek_ssh_columns,
                                                     [ZEEK_NOTICE] = &zeek_notice_columns};

    return all[log];
}

size_t zeek_head(enum zeek_log log, uint64_t open_ns, char out[ZEEK_LINE_BYTES])
{
    static const char begin_of_head[] =
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t";
    const struct zeek_columns *columns = columns_of(log);
    struct zeek_line line = {.form = ZEEK_TSV};

    json_init(&line.json, out, ZEEK_LINE_BYTES);
    put(&line, begin_of_head, sizeof(begin_of_head) - 1);
    put(&line, names[log], strlen(names[log]));
    put(&line, "\n", 1);
    put_moment(&line, "#open", open_ns);
    for (int row = 0; row < 2; row++) {
        put(&line, row == 0 ? "#fields" : "#types", row == 0 ? 7 : 6);
        for (unsigned i = 0; i < columns->count; i++) {
            const char *word = row == 0 ? columns->at[i].name : columns->at[i].type;

            put(&line, "\t", 1);
            put(&line, word, strlen(word));
        }
        put(&line, "\n", 1);
    }
    return line.json.length;
}

size_t zeek_foot(uint64_t close_ns, char out[ZEEK_LINE_BYTES])
{
    struct zeek_line line = {.form = ZEEK_TSV};

    json_init(&line.json, out, ZEEK_LINE_BYTES);
    put_moment(&line, "#close", close_ns);
    return line.json.length;
}
