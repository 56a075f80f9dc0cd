/* `netscopectl silences` and `netscopectl silences remove`. */
#include "ctl/triage/silences.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/collector.h"
#include "ctl/json_list.h"
#include "ctl/output.h"
#include "ctl/table.h"

#define LIST   "/netscope.v1.AlertService/ListSilences"
#define DELETE "/netscope.v1.AlertService/DeleteSilence"

static const struct table_column columns[] = {{"SILENCE", TABLE_WORD}, {"STATE", TABLE_WORD},
                                              {"UNTIL", TABLE_WORD},   {"BY", TABLE_WORD},
                                              {"HIDES", TABLE_TEXT},   {"REASON", TABLE_TEXT}};

/* "before a,b" with its words; nothing for an empty list. */
static void put_texts(struct show *show, const struct view *silence, const char *field,
                      const char *before)
{
    struct view_list list = view_list_of(silence, field);
    struct record_text text;

    for (bool is_first = true; view_list_text(&list, &text); is_first = false) {
        show_text(show, "%s%s", is_first && show->length > 0 ? " " : "", is_first ? before : ",");
        show_name(show, text);
    }
}

void silence_show_choice(struct show *show, const struct view *silence)
{
    const char *kinds[CHOICES_MAX];
    const unsigned count = view_choices(silence, "kinds", "ALERT_KIND_", kinds, CHOICES_MAX);

    for (unsigned i = 0; i < count; i++) {
        show_text(show, "%s", i == 0 ? "" : ",");
        show_lower(show, kinds[i]);
    }
    put_texts(show, silence, "subjects", "of ");
    put_texts(show, silence, "attackers", "from ");
    put_texts(show, silence, "victims", "against ");
    put_texts(show, silence, "sensor_ids", "at ");
    if (view_number(silence, "max_severity") > 0) {
        show_text(show, "%sno worse than ", show->length > 0 ? ", " : "");
        show_lower(show, view_choice(silence, "max_severity", "SEVERITY_"));
    }
    show_text(show, "%s", show->length == 0 ? "anything" : "");
}

static void put_row(struct table *table, const struct view *silence)
{
    const char *state = view_choice(silence, "state", "SILENCE_STATE_");
    const bool is_deleted = strcmp(state, "DELETED") == 0;

    table_put_name(table, SHOW_NAME, view_text(silence, "silence_id"));
    show_lower(table_cell(table), state);
    table_keep(table, strcmp(state, "ACTIVE") == 0 ? SHOW_WARN : SHOW_DIM);
    table_put_time(table, view_ns(silence, is_deleted ? "deleted_time" : "expire_time"));
    table_put_name(table, SHOW_PLAIN, view_text(silence, "created_by"));
    silence_show_choice(table_cell(table), silence);
    table_keep(table, SHOW_PLAIN);
    table_put_name(table, SHOW_PLAIN, view_text(silence, "reason"));
}

static bool put_list(struct ctl *ctl, const struct view *answer, struct error *err)
{
    AUTO(table) table = table_new(columns, ARRAY_COUNT(columns), err);
    struct view_list list = view_list_of(answer, "silences");
    struct view each;

    if (table == NULL) {
        return false;
    }
    while (view_list_next(&list, &each)) {
        put_row(table, &each);
    }
    return table_write(table, &ctl->out, err);
}

static enum ctl_exit list(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct answer answer = {0};
    struct request request;

    request_begin(&request, "ListSilencesRequest", err);
    request_set_true(&request, "include_ended", ctl->options.all);
    enum ctl_exit status = ask(connection, LIST, request.bytes, request.length, &answer, err);
    const struct view view = view_of("ListSilencesResponse", answer.bytes, answer.length);

    if (status == CTL_OK) {
        const bool is_put =
            form_is_json(ctl->options.form)
                ? json_list_put_all(&ctl->out, ctl->options.form, &view, "silences", err)
                : put_list(ctl, &view, err);

        status = is_put ? CTL_OK : CTL_FAILED;
    }
    free(answer.bytes);
    return status;
}

static enum ctl_exit run_list(struct ctl *ctl, struct error *err)
{
    return collector_run(ctl, "silences", list, err);
}

static enum ctl_exit remove_one(struct ctl *ctl, struct connection *connection, const char *id,
                                struct error *err)
{
    struct answer answer = {0};
    struct request request;

    (void)ctl;
    request_begin(&request, "DeleteSilenceRequest", err);
    request_set(&request, "silence_id", id);
    const enum ctl_exit status = request_is_whole(&request) ? ask(connection, DELETE, request.bytes,
                                                                  request.length, &answer, err)
                                                            : CTL_USAGE;

    free(answer.bytes);
    if (status == CTL_OK) {
        tell("%s hides nothing any more; it stays in netscopectl silences --all", id);
    }
    return status;
}

static enum ctl_exit run_remove(struct ctl *ctl, struct error *err)
{
    return collector_each(ctl, "silences", remove_one, err);
}

const struct ctl_command silences_command = {
    .name = "silences",
    .bit = FOR_SILENCES,
    .summary = "what hides incidents for a while, the newest first",
    .examples =
        "  netscopectl silences\n"
        "  netscopectl silences --all -o jsonl                   also those that are over\n",
    .run = run_list,
};

const struct ctl_command silences_remove_command = {
    .name = "silences remove",
    .bit = FOR_SILENCES_REMOVE,
    .operand = "ID...",
    .operands_min = 1,
    .operands_max = 64,
    .summary = "ends silences early",
    .examples = "  netscopectl silences remove 018f0000000070008000000000000001\n",
    .run = run_remove,
};
