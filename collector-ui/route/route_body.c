/* How an alert is said: to a program (the record as proto3 JSON), to a chat, to Alertmanager, and
 * by syslog as a sentence, as JSON or as CEF. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "collector-ui/route/route_internal.h"
#include "proto/json/transcoder.h"

#define PROGRAM "netscope-collector"
/* Without a repeat_interval nothing renews an alert before it closes. */
#define FIRING_NS_DEFAULT (UINT64_C(86400) * NS_PER_SEC)

/* ---- text that grows in a bounded buffer ---- */

struct text {
    char *out;
    size_t capacity, length;
    bool is_full;
};

static void put_bytes(struct text *text, const void *bytes, size_t length)
{
    if (text->is_full || length >= text->capacity - text->length) {
        text->is_full = true;
        return;
    }
    memcpy(text->out + text->length, bytes, length);
    text->length += length;
    text->out[text->length] = '\0';
}

static void put(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct text *text, const char *format, ...)
{
    char piece[1024];
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(piece, sizeof(piece), format, arguments);

    va_end(arguments);
    text->is_full |= length < 0 || (size_t)length >= sizeof(piece);
    put_bytes(text, piece, strlen(piece));
}

/* What others chose, on one line: controls become spaces, what is no UTF-8 a question mark, and
 * each of `escaped` gets a backslash before it. */
static void put_foreign(struct text *text, const char *foreign, const char *escaped)
{
    const uint8_t *at = (const uint8_t *)foreign;
    size_t left = strlen(foreign);

    while (left > 0) {
        uint32_t code = 0;
        const unsigned length = utf8_read(at, left, &code);

        if (length == 0) {
            put_bytes(text, "?", 1);
        } else if (utf8_is_control(code)) {
            put_bytes(text, " ", 1);
        } else {
            if (code < 0x80 && strchr(escaped, (int)code) != NULL) {
                put_bytes(text, "\\", 1);
            }
            put_bytes(text, at, length);
        }
        at += length == 0 ? 1 : length;
        left -= length == 0 ? 1 : length;
    }
}

/* ---- what all forms say ---- */

static const char *kind_of(const struct alert_record *alert)
{
    return alert->kind == ALERT_NONE ? "test" : alert_kind_name((enum alert_kind)alert->kind);
}

static const char *severity_text(const struct alert_record *alert)
{
    return severity_name((enum severity)alert->severity);
}

/* The sensors, with commas. */
static void sensors_text(const struct alert_record *alert, char *out, size_t capacity)
{
    const struct record_text *own = &alert->identity.sensor_id;
    size_t length = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < alert->sensor_ids_count; i++) {
        const int more = snprintf(out + length, capacity - length, "%s%s", i > 0 ? "," : "",
                                  alert->sensor_ids[i]);

        if (more < 0 || (size_t)more >= capacity - length) {
            return;
        }
        length += (size_t)more;
    }
    if (alert->sensor_ids_count == 0 && own->length > 0 && own->length < capacity) {
        memcpy(out, own->data, own->length);
        out[own->length] = '\0';
    }
}

static void address_of(const struct alert_endpoint *ends, unsigned count,
                       char out[ADDRESS_TEXT_BYTES])
{
    out[0] = '\0';
    if (count > 0) {
        (void)address_text(&ends[0].ip, out);
    }
}

/* NULL: there is none, or it is no URL that may be shown as a link: what came from afar is not
 * trusted to have been checked there. */
static const char *runbook_of(const struct alert_record *alert)
{
    const char *url = alert->runbook_url;

    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) {
        return NULL;
    }
    for (const char *at = url; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || strchr("<>|\"\\^`{}", *at) != NULL) {
            return NULL;
        }
    }
    return url;
}

/* ---- JSON, to programs ---- */

static bool write_record(const struct route_saying *saying, struct json_writer *out)
{
    const struct json_message *message = json_message_find("netscope.v1.AlertRecord");

    return message != NULL && json_from_wire(message, saying->record, saying->length, out);
}

static size_t json_body(const struct route_saying *saying, char *out, size_t capacity)
{
    struct json_writer writer;

    json_init(&writer, out, capacity);
    return write_record(saying, &writer) && !writer.overflow ? writer.length : 0;
}

/* ---- Slack, and who takes its form (Mattermost, Rocket.Chat, Discord behind /slack) ---- */

/* Slack's own three escapes, with its markup taken out of what others chose: seven bytes for one at
 * the worst. */
static void put_chat(struct text *text, const char *foreign)
{
    char clean[640]; /* the longest of them are sensors_text's */
    struct text line = {.out = clean, .capacity = sizeof(clean)};

    clean[0] = '\0';
    put_foreign(&line, foreign, "");
    for (const char *at = clean; *at != '\0'; at++) {
        switch (*at) {
        case '&':
            put_bytes(text, "&amp;", 5);
            break;
        case '<':
            put_bytes(text, "&lt;", 4);
            break;
        case '>':
            put_bytes(text, "&gt;", 4);
            break;
        case '*':
        case '_':
        case '~':
        case '`':
        case '@': /* a mention: set apart by a word joiner */
            put_bytes(text, "\xe2\x81\xa0", 3);
            put_bytes(text, at, 1);
            put_bytes(text, "\xe2\x81\xa0", 3);
            break;
        default:
            put_bytes(text, at, 1);
        }
    }
}

/* Within < and >, where markup does not count; see runbook_of. */
static void put_link(struct text *text, const char *url)
{
    for (; *url != '\0'; url++) {
        if (*url == '&') {
            put_bytes(text, "&amp;", 5);
        } else {
            put_bytes(text, url, 1);
        }
    }
}

static size_t slack_body(const struct route_saying *saying, char *out, size_t capacity)
{
    static const char *const marks[] = {"",
                                        "\xe2\x84\xb9",
                                        "\xf0\x9f\x94\xb5",
                                        "\xf0\x9f\x9f\xa1",
                                        "\xf0\x9f\x9f\xa0",
                                        "\xf0\x9f\x94\xb4"};
    static const char *const states[] = {"", "opened", "goes on", "closed"};
    const struct alert_record *alert = saying->alert;
    char buffer[8192], sensors[512] = "", first[CLOCK_TEXT_BYTES];
    struct text text = {.out = buffer, .capacity = sizeof(buffer)};
    struct json_writer writer;

    put(&text, "%s *%s %s* %s\n",
        alert->state == ALERT_CLOSE ? "\xe2\x9c\x85" : marks[alert->severity % ARRAY_COUNT(marks)],
        severity_text(alert), kind_of(alert), states[alert->state % ARRAY_COUNT(states)]);
    put_chat(&text, alert->description);
    sensors_text(alert, sensors, sizeof(sensors));
    put_bytes(&text, "\nsensor ", 8);
    put_chat(&text, sensors);
    (void)clock_text(alert->first_ns, 0, first);
    put(&text, " \xc2\xb7 since %s \xc2\xb7 alert ", first);
    put_chat(&text, alert->alert_id);
    if (runbook_of(alert) != NULL) {
        put_bytes(&text, "\n<", 2);
        put_link(&text, runbook_of(alert));
        put_bytes(&text, "|what to do>", 12);
    }
    json_init(&writer, out, capacity);
    json_object_begin(&writer);
    json_key(&writer, "text");
    json_text_bytes(&writer, buffer, text.length);
    json_object_end(&writer);
    return text.is_full || writer.overflow ? 0 : writer.length;
}

/* ---- Prometheus Alertmanager, POST /api/v2/alerts ---- */

static void member(struct json_writer *out, const char *key, const char *text)
{
    if (text[0] != '\0') {
        json_key(out, key);
        json_text(out, text);
    }
}

/* Of the operator's own labels: what Alertmanager takes as a name, and none of those above. */
static bool is_label_name(const char *key)
{
    static const char *const taken[] = {"alertname", "alert_id", "severity", "scope", "sensor"};

    for (size_t i = 0; i < ARRAY_COUNT(taken); i++) {
        if (strcmp(key, taken[i]) == 0) {
            return false;
        }
    }
    return key[0] >= 'a' && key[0] <= 'z' &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* Labels tell one alert from another there, so they hold only what stays while the incident lives,
 * and the severity, by which people route. */
static void write_labels(const struct alert_record *alert, enum severity severity,
                         struct json_writer *out)
{
    char sensors[512] = "";

    json_key(out, "labels");
    json_object_begin(out);
    member(out, "alertname", kind_of(alert));
    member(out, "alert_id", alert->alert_id);
    member(out, "severity", severity_name(severity));
    member(out, "scope", alert->scope == ALERT_FLEET_SCOPE ? "fleet" : "sensor");
    if (alert->scope != ALERT_FLEET_SCOPE) {
        sensors_text(alert, sensors, sizeof(sensors));
        member(out, "sensor", sensors);
    }
    for (unsigned i = 0; i < alert->labels_count; i++) {
        if (is_label_name(alert->labels[i].key)) {
            member(out, alert->labels[i].key, alert->labels[i].value);
        }
    }
    json_object_end(out);
}

static void write_annotations(const struct alert_record *alert, struct json_writer *out)
{
    char address[ADDRESS_TEXT_BYTES];
    char number[32];
    char sensors[512] = "";

    json_key(out, "annotations");
    json_object_begin(out);
    member(out, "summary", alert->description);
    sensors_text(alert, sensors, sizeof(sensors));
    member(out, "sensors", sensors);
    address_of(alert->attackers, alert->attackers_count, address);
    member(out, "attacker", address);
    address_of(alert->victims, alert->victims_count, address);
    member(out, "victim", address);
    (void)snprintf(number, sizeof(number), "%g", alert->observed);
    member(out, "observed", number);
    (void)snprintf(number, sizeof(number), "%g", alert->threshold);
    member(out, "threshold", number);
    member(out, "unit", alert->unit);
    member(out, "config_key", alert->config_key);
    if (runbook_of(alert) != NULL) {
        member(out, "runbook_url", alert->runbook_url);
    }
    if (alert->mitre_count > 0) {
        member(out, "mitre_technique", alert->mitre[0].technique_id);
    }
    json_object_end(out);
}

static void write_firing(const struct route_saying *saying, enum severity severity, bool is_over,
                         struct json_writer *out)
{
    const struct alert_record *alert = saying->alert;
    /* Firing until the message after the next would be due. */
    const uint64_t firing_ns =
        saying->repeat_ns > 0 ? 2 * saying->repeat_ns + 60 * NS_PER_SEC : FIRING_NS_DEFAULT;
    char time[CLOCK_TEXT_BYTES];

    json_object_begin(out);
    write_labels(alert, severity, out);
    write_annotations(alert, out);
    (void)clock_text(alert->first_ns, 3, time);
    member(out, "startsAt", time);
    (void)clock_text(is_over ? alert->last_ns : saying->wall_ns + firing_ns, 3, time);
    member(out, "endsAt", time);
    json_object_end(out);
}

/* Where an incident became worse, what it was ends: the severity is a label. It does not become
 * better there before it closes. */
static size_t alertmanager_body(const struct route_saying *saying, char *out, size_t capacity)
{
    const struct alert_record *alert = saying->alert;
    const uint8_t before = saying->told_severity;
    const uint8_t now = alert->severity > before ? alert->severity : before;
    struct json_writer writer;

    json_init(&writer, out, capacity);
    json_array_begin(&writer);
    write_firing(saying, (enum severity)now, alert->state == ALERT_CLOSE, &writer);
    if (before != SEVERITY_NONE && before < now) {
        write_firing(saying, (enum severity)before, true, &writer);
    }
    json_array_end(&writer);
    return writer.overflow ? 0 : writer.length;
}

/* ---- syslog (RFC 5424) ---- */

/* PRI, VERSION, TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID, no STRUCTURED-DATA. The daemons of
 * this machine read by their local socket what the C library's syslog(3) writes: PRI, the local
 * time without a year, TAG[PID] (RFC 3164 4.1). */
static void put_header(struct text *text, const struct route_saying *saying)
{
    static const uint8_t levels[] = {6, 6, 5, 4, 3, 2}; /* informational ... critical */
    const struct alert_record *alert = saying->alert;
    const unsigned priority = saying->facility * 8 + levels[alert->severity % ARRAY_COUNT(levels)];
    char time[CLOCK_TEXT_BYTES];

    if (saying->is_local) {
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        const time_t seconds = (time_t)(alert->last_ns / NS_PER_SEC);
        struct tm local = {0};

        (void)localtime_r(&seconds, &local);
        put(text, "<%u>%s %2d %02d:%02d:%02d %s[%" PRIu32 "]: ", priority,
            months[local.tm_mon % 12], local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
            PROGRAM, saying->process_id);
        return;
    }
    (void)clock_text(alert->last_ns, 6, time);
    put(text, "<%u>1 %s %s %s %" PRIu32 " %s - ", priority, time,
        saying->host[0] != '\0' ? saying->host : "-", PROGRAM, saying->process_id, kind_of(alert));
}

static void put_text(struct text *text, const struct alert_record *alert)
{
    char sensors[512] = "";

    put(text, "%s %s %s: ", severity_text(alert), kind_of(alert),
        alert_state_name((enum alert_state)alert->state));
    put_foreign(text, alert->description, "");
    sensors_text(alert, sensors, sizeof(sensors));
    put(text, " sensor=\"");
    put_foreign(text, sensors, "\"\\");
    put(text, "\" alert_id=");
    put_foreign(text, alert->alert_id, "");
    put(text, " observed=%g threshold=%g", alert->observed, alert->threshold);
    if (alert->config_key[0] != '\0') {
        put(text, " config_key=");
        put_foreign(text, alert->config_key, "");
    }
    if (runbook_of(alert) != NULL) {
        put(text, " runbook_url=%s", runbook_of(alert));
    }
}

/* src and dst are for IPv4 there; IPv6 has custom fields with labels. */
static void put_cef_address(struct text *text, const struct alert_endpoint *ends, unsigned count,
                            const char *v4, const char *v6, const char *whose)
{
    char address[ADDRESS_TEXT_BYTES];

    address_of(ends, count, address);
    if (address[0] != '\0' && ends[0].ip.version == 6) {
        put(text, " %s=%s %sLabel=%s IPv6 Address", v6, address, v6, whose);
    } else if (address[0] != '\0') {
        put(text, " %s=%s", v4, address);
    }
}

/* ArcSight Common Event Format, version 0. */
static void put_cef(struct text *text, const struct alert_record *alert)
{
    static const uint8_t levels[] = {0, 1, 3, 5, 8, 10};
    char sensors[512] = "";

    put(text, "CEF:0|NetScope|%s|%s|%s|%s|%u|", PROGRAM, NETSCOPE_VERSION, kind_of(alert),
        kind_of(alert), (unsigned)levels[alert->severity % ARRAY_COUNT(levels)]);
    put(text, "externalId=");
    put_foreign(text, alert->alert_id, "\\=");
    put(text, " act=%s start=%" PRIu64 " end=%" PRIu64,
        alert_state_name((enum alert_state)alert->state), alert->first_ns / NS_PER_MS,
        alert->last_ns / NS_PER_MS);
    put_cef_address(text, alert->attackers, alert->attackers_count, "src", "c6a2", "Source");
    put_cef_address(text, alert->victims, alert->victims_count, "dst", "c6a3", "Destination");
    sensors_text(alert, sensors, sizeof(sensors));
    put(text, " deviceExternalId=");
    put_foreign(text, sensors, "\\=");
    put(text, " cfp1=%g cfp1Label=observed cfp2=%g cfp2Label=threshold", alert->observed,
        alert->threshold);
    if (runbook_of(alert) != NULL) {
        put(text, " cs1=");
        put_foreign(text, runbook_of(alert), "\\=");
        put(text, " cs1Label=runbook_url");
    }
    put(text, " msg=");
    put_foreign(text, alert->description, "\\=");
}

static size_t syslog_body(enum route_form form, const struct route_saying *saying, char *out,
                          size_t capacity)
{
    struct text text = {.out = out, .capacity = capacity};

    put_header(&text, saying);
    if (form == ROUTE_JSON) {
        const size_t more = json_body(saying, out + text.length, capacity - text.length);

        return text.is_full || more == 0 ? 0 : text.length + more;
    }
    if (form == ROUTE_CEF) {
        put_cef(&text, saying->alert);
    } else {
        put_text(&text, saying->alert);
    }
    return text.is_full ? 0 : text.length;
}

/* As it is. */
static size_t protobuf_body(const struct route_saying *saying, char *out, size_t capacity)
{
    if (saying->length > capacity) {
        return 0;
    }
    memcpy(out, saying->record, saying->length);
    return saying->length;
}

size_t route_body(enum route_form form, bool is_syslog, const struct route_saying *saying,
                  char *out, size_t capacity)
{
    if (is_syslog) {
        return syslog_body(form, saying, out, capacity);
    }
    switch (form) {
    case ROUTE_PROTOBUF:
        return protobuf_body(saying, out, capacity);
    case ROUTE_SLACK:
        return slack_body(saying, out, capacity);
    case ROUTE_ALERTMANAGER:
        return alertmanager_body(saying, out, capacity);
    default:
        return json_body(saying, out, capacity);
    }
}
