/* notice.log (Zeek: base/frameworks/notice). */
#include <stdio.h>

#include "proto/zeek/zeek_private.h"

static const struct alert_record *alert_of(const void *record)
{
    return record;
}

static void put_time(struct zeek_line *line, const void *record)
{
    zeek_time(line, alert_of(record)->first_ns);
}

/* "NetScope::syn_flood". */
static void put_note(struct zeek_line *line, const void *record)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "NetScope::%s",
                   alert_kind_name((enum alert_kind)alert_of(record)->kind));
    zeek_cell(line, text);
}

static void put_message(struct zeek_line *line, const void *record)
{
    zeek_cell(line, alert_of(record)->description);
}

static void put_sub(struct zeek_line *line, const void *record)
{
    const struct alert_record *alert = record;
    char text[160];

    (void)snprintf(text, sizeof(text), "severity=%s alert_id=%s",
                   severity_name((enum severity)alert->severity), alert->alert_id);
    zeek_cell(line, text);
}

static void put_source(struct zeek_line *line, const void *record)
{
    if (alert_of(record)->attackers_count > 0) {
        zeek_address(line, &alert_of(record)->attackers[0].ip);
    } else {
        zeek_unset(line);
    }
}

static void put_target(struct zeek_line *line, const void *record)
{
    if (alert_of(record)->victims_count > 0) {
        zeek_address(line, &alert_of(record)->victims[0].ip);
    } else {
        zeek_unset(line);
    }
}

static void put_port(struct zeek_line *line, const void *record)
{
    const struct alert_record *alert = record;

    if (alert->victims_count > 0 && alert->victims[0].port != 0) {
        zeek_count(line, alert->victims[0].port);
    } else {
        zeek_unset(line);
    }
}

static void put_peer(struct zeek_line *line, const void *record)
{
    zeek_text(line, alert_of(record)->identity.sensor_id);
}

static void put_actions(struct zeek_line *line, const void *record)
{
    static const struct record_text log = {"Notice::ACTION_LOG", 18};

    (void)record;
    zeek_list_begin(line);
    zeek_list_text(line, log, true);
    zeek_list_end(line);
}

static const struct zeek_column notice[] = {{"ts", "time", put_time},
                                            {"note", "enum", put_note},
                                            {"msg", "string", put_message},
                                            {"sub", "string", put_sub},
                                            {"src", "addr", put_source},
                                            {"dst", "addr", put_target},
                                            {"p", "port", put_port},
                                            {"peer_descr", "string", put_peer},
                                            {"actions", "set[enum]", put_actions}};
const struct zeek_columns zeek_notice_columns = {notice, sizeof(notice) / sizeof(notice[0])};

size_t zeek_notice_line(const struct alert_record *alert, enum zeek_form form,
                        char out[ZEEK_LINE_BYTES])
{
    return alert->state == ALERT_OPEN ? zeek_write(&zeek_notice_columns, alert, form, out) : 0;
}
