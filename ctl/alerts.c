/* `netscopectl alerts`: incidents as they stand, or as they come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/connection.h"
#include "ctl/json_list.h"
#include "ctl/loss.h"
#include "ctl/message.h"
#include "ctl/report.h"

#define OBSERVE      "/netscope.v1.AlertService/ObserveAlerts"
#define LIST         "/netscope.v1.AlertService/ListAlerts"
#define PAGE_MAX     1000
#define LAST_DEFAULT 20
#define ENDS_SHOWN   3 /* attackers and victims each */
/* Of -o csv. */
#define COLUMNS                                                                                    \
    "alert_id,state,severity,kind_name,first_time,last_time,sensor_id,sensor_ids,scope,"           \
    "attackers.ip,victims.ip,observed,threshold,unit,window,loss_during_window,description"

struct alerts {
    struct ctl *ctl;
    struct json_list json;
    uint64_t count, lost;
    bool is_damaged;
    struct view notes; /* the answer with what people have said; empty: none */
};

static enum show_colour colour_of(uint64_t severity)
{
    return severity >= SEVERITY_HIGH     ? SHOW_BAD
           : severity == SEVERITY_MEDIUM ? SHOW_WARN
                                         : SHOW_PLAIN;
}

/* "192.0.2.1, 192.0.2.2 and 7 more" */
static void put_ends(struct show *show, const struct view *alert, const char *field,
                     const char *total_field)
{
    const uint64_t total = view_number(alert, total_field);
    struct view_list list = view_list_of(alert, field);
    struct view each;
    uint64_t shown = 0;

    while (shown < ENDS_SHOWN && view_list_next(&list, &each)) {
        const uint64_t port = view_number(&each, "port");

        show_text(show, "%s", shown == 0 ? "" : ", ");
        show_name(show, view_text(&each, "ip"));
        if (port != 0) {
            show_text(show, ":%llu", (unsigned long long)port);
        }
        shown++;
    }
    if (shown == 0) {
        show_text(show, "-");
    } else if (total > shown) {
        show_text(show, " and %llu more", (unsigned long long)(total - shown));
    }
}

static void put_note(struct show *show, const struct view *answer, const struct view *alert)
{
    const struct record_text id = view_text(alert, "alert_id");
    struct view_list list = view_list_of(answer, "notes");
    struct view note;

    while (answer->message != NULL && view_list_next(&list, &note)) {
        const struct record_text of = view_text(&note, "alert_id");

        if (of.length != id.length || id.length == 0 || memcmp(of.data, id.data, id.length) != 0) {
            continue;
        }
        if (view_bool(&note, "is_acknowledged")) {
            const struct view seen = view_message(&note, "acknowledgement");

            show_text(show, " (acknowledged by ");
            show_name(show, view_text(&seen, "who"));
            show_text(show, ")");
        }
        if (view_text(&note, "silence_id").length > 0) {
            show_text(show, " (silenced)");
        }
    }
}

static void put_alert(struct alerts *alerts, const struct view *alert)
{
    const enum show_colour colour = colour_of(view_number(alert, "severity"));
    const uint64_t loss = view_number(alert, "loss_during_window");
    struct line line;
    struct show *show = &line.show;

    line_begin(&line, &alerts->ctl->out);
    show_colour(show, SHOW_DIM);
    show_time(show, view_ns(alert, "last_time"));
    show_colour(show, SHOW_PLAIN);
    line_cell(&line, 0);
    show_lower(show, view_choice(alert, "state", "ALERT_STATE_"));
    line_cell(&line, 7);
    show_colour(show, colour);
    show_lower(show, view_choice(alert, "severity", "SEVERITY_"));
    show_colour(show, SHOW_PLAIN);
    line_cell(&line, 9);
    show_colour(show, colour);
    show_name(show, view_text(alert, "kind_name"));
    show_colour(show, SHOW_PLAIN);
    show_text(show, " ");
    put_ends(show, alert, "attackers", "attackers_total_estimate");
    show_text(show, " -> ");
    put_ends(show, alert, "victims", "victims_total_estimate");
    show_text(show, ": ");
    show_name(show, view_text(alert, "description"));
    if (loss > 0) {
        show_text(show, " (%llu packets were lost meanwhile)", (unsigned long long)loss);
    }
    put_note(show, &alerts->notes, alert);
    show_colour(show, SHOW_DIM);
    show_text(show, " @");
    show_name(show, view_text(alert, "sensor_id"));
    show_text(show, " ");
    show_name(show, view_text(alert, "alert_id"));
    show_colour(show, SHOW_PLAIN);
    line_end(&line);
}

static void take_alert(struct alerts *alerts, const struct view *alert)
{
    if (form_is_data(alerts->ctl->options.form)) {
        alerts->is_damaged |= !json_list_put(&alerts->json, alert);
    } else {
        put_alert(alerts, alert);
    }
    alerts->count++;
}

/* ---- as they come ---- */

static void take_message(void *context, const uint8_t *bytes, size_t length)
{
    struct alerts *alerts = context;
    const struct view message = view_of("ObserveAlertsResponse", bytes, length);
    const struct view batch = view_message(&message, "alerts");
    struct view_list list = view_list_of(&batch, "alerts");
    struct view each;

    while (view_list_next(&list, &each)) {
        take_alert(alerts, &each);
    }
    output_flush(&alerts->ctl->out);
    if (view_has(&message, "loss_notice")) {
        const struct view loss = view_message(&message, "loss_notice");

        alerts->lost += loss_tell(&loss, "alerts");
    }
}

static int choose(const struct ctl *ctl, const char *message, struct request *request,
                  struct error *err)
{
    const struct ctl_options *o = &ctl->options;
    uint64_t since_ns = 0;

    if (o->since != NULL && !o->follow) {
        return error_set(err, EINVAL, "--since: goes with --follow; incidents are listed by -n");
    }
    if (o->follow && (o->acknowledged != NULL || o->silenced != NULL)) {
        return error_set(err, EINVAL, "--acknowledged and --silenced: not with --follow");
    }
    if (o->since != NULL && time_parse("--since", o->since, clock_wall_ns(), &since_ns, err) != 0) {
        return -err->code;
    }
    request_begin(request, message, err);
    request_set_choices(request, "kinds", "ALERT_KIND_", "--kind", o->kind);
    request_set_choices(request, "min_severity", "SEVERITY_", "--severity", o->severity);
    request_set_choices(request, "states", "ALERT_STATE_", "--state", o->state);
    request_set_each(request, "subject", o->subject);
    choice_sensors(request, o);
    request_set_time(request, "since", since_ns);
    return request_is_whole(request) ? 0 : -err->code;
}

static enum ctl_exit follow(struct alerts *alerts, struct connection *connection, struct error *err)
{
    const struct ctl_options *o = &alerts->ctl->options;
    struct request request;

    if (choose(alerts->ctl, "ObserveAlertsRequest", &request, err) != 0) {
        return CTL_USAGE;
    }
    request_set_true(&request, "follow", true);
    request_set_number(&request, "last",
                       o->last > 0                  ? o->last
                       : o->all || o->since != NULL ? 0
                                                    : LAST_DEFAULT);
    const enum ctl_exit status = each_message(connection, OBSERVE, &request, &alerts->ctl->out,
                                              true, take_message, alerts, err);

    if (stop_is_wanted() || alerts->lost > 0) {
        tell("%llu alerts of %s%s%s", (unsigned long long)alerts->count, connection->target,
             stop_is_wanted() ? ", stopped by a signal" : "",
             alerts->lost > 0 ? "; some are missing, see above" : "");
    }
    return status;
}

/* ---- as they stand ---- */

/* One page; the token of the next one in `token`. */
static enum ctl_exit list_page(struct alerts *alerts, struct connection *connection,
                               uint64_t wanted, char token[512], struct error *err)
{
    struct request request;
    struct answer answer = {0};
    struct view each;

    if (choose(alerts->ctl, "ListAlertsRequest", &request, err) != 0) {
        return CTL_USAGE;
    }
    request_set_choices(&request, "acknowledged", "ALERT_INCLUSION_", "--acknowledged",
                        alerts->ctl->options.acknowledged);
    request_set_choices(&request, "silenced", "ALERT_INCLUSION_", "--silenced",
                        alerts->ctl->options.silenced);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    request_set_number(&request, "page_size", wanted < PAGE_MAX ? wanted : PAGE_MAX);
    request_set(&request, "page_token", token[0] != '\0' ? token : NULL);
    const enum ctl_exit status = ask(connection, LIST, request.bytes, request.length, &answer, err);

    if (status == CTL_OK) {
        alerts->notes = view_of("ListAlertsResponse", answer.bytes, answer.length);
        const struct record_text next = view_text(&alerts->notes, "next_page_token");
        struct view_list list = view_list_of(&alerts->notes, "alerts");

        while (output_is_open(&alerts->ctl->out) && view_list_next(&list, &each)) {
            take_alert(alerts, &each);
        }
        (void)snprintf(token, 512, "%.*s", (int)next.length, next.data);
        alerts->notes = (struct view){0};
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit list(struct alerts *alerts, struct connection *connection, struct error *err)
{
    const struct ctl_options *o = &alerts->ctl->options;
    const uint64_t wanted = o->all ? UINT64_MAX : o->last > 0 ? o->last : LAST_DEFAULT;
    char token[512] = "";
    enum ctl_exit status;

    do {
        status = list_page(alerts, connection, wanted - alerts->count, token, err);
    } while (status == CTL_OK && token[0] != '\0' && alerts->count < wanted &&
             output_is_open(&alerts->ctl->out));
    if (status == CTL_OK && token[0] != '\0' && output_is_open(&alerts->ctl->out)) {
        tell("there are more: -n N or --all lists them");
    }
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct alerts alerts = {.ctl = ctl};
    struct connection connection;
    struct request request;
    const bool is_data = form_is_data(ctl->options.form);

    const char *message = ctl->options.follow ? "ObserveAlertsRequest" : "ListAlertsRequest";

    if (choose(ctl, message, &request, err) != 0) { /* before anybody is asked */
        return CTL_USAGE;
    }
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK && is_data &&
        json_list_begin_with(&alerts.json, &ctl->out, ctl->options.form, "AlertRecord", COLUMNS,
                             err) != 0) {
        status = CTL_FAILED;
    } else if (status == CTL_OK) {
        status = ctl->options.follow ? follow(&alerts, &connection, err)
                                     : list(&alerts, &connection, err);
        if (is_data) {
            json_list_end(&alerts.json);
        }
        status = alerts.is_damaged && status == CTL_OK ? CTL_FAILED : status;
    }
    connection_close(&connection);
    return status;
}

const struct ctl_command alerts_command = {
    .name = "alerts",
    .bit = FOR_ALERTS,
    .summary = "incidents as they stand, newest first; or alerts as they come",
    .examples = "  netscopectl alerts                                    the last 20 incidents\n"
                "  netscopectl alerts --follow --severity high           what happens now\n"
                "  netscopectl alerts --all --kind syn_flood,dga --subject 10.0.0.0/8 -o jsonl\n",
    .run = run,
};
