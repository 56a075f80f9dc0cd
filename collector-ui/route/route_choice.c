/* Which alerts a receiver wants, and when it wants to hear of the same incident again. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/replacement.h"
#include "collector-ui/route/route_internal.h"

static int read_kinds(const struct config_list *names, uint32_t *kinds, struct error *err)
{
    static_assert(ALERT_KIND_COUNT <= 32, "a bit each");

    for (uint32_t i = 0; i < names->count; i++) {
        const enum alert_kind kind = alert_kind_by_name(names->items[i]);

        if (kind == ALERT_NONE) {
            return error_set(err, EINVAL, "kinds: \"%.40s\" is no kind of alert", names->items[i]);
        }
        *kinds |= UINT32_C(1) << kind;
    }
    return 0;
}

static int read_subjects(const struct config_list *texts, struct alert_choice *out,
                         struct error *err)
{
    if (texts->count == 0) {
        return 0;
    }
    out->subjects = calloc(texts->count, sizeof(*out->subjects));
    if (out->subjects == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    for (uint32_t i = 0; i < texts->count; i++) {
        if (!prefix_parse(texts->items[i], strlen(texts->items[i]), &out->subjects[i])) {
            return error_set(err, EINVAL,
                             "subjects: \"%.60s\" is no address and no network as 10.0.0.0/8",
                             texts->items[i]);
        }
    }
    out->subjects_count = texts->count;
    return 0;
}

static uint8_t scope_of(const char *name)
{
    return strcmp(name, "fleet") == 0    ? ALERT_FLEET_SCOPE
           : strcmp(name, "sensor") == 0 ? ALERT_SENSOR_SCOPE
                                         : ALERT_SCOPE_NONE;
}

int route_choice_read(const struct route_receiver_settings *settings, struct route_choice *out,
                      struct error *err)
{
    *out = (struct route_choice){.alerts.min_severity =
                                     (uint8_t)severity_by_name(settings->min_severity),
                                 .sensors = settings->sensors,
                                 .scope = scope_of(settings->scope),
                                 .on_close = settings->on_close,
                                 .repeat_ns = settings->repeat_ns};
    int result = read_kinds(&settings->kinds, &out->alerts.kinds, err);

    if (result == 0) {
        result = read_subjects(&settings->subjects, &out->alerts, err);
    }
    if (result != 0) {
        route_choice_fini(out);
    }
    return result;
}

void route_choice_fini(struct route_choice *choice)
{
    free(choice->alerts.subjects);
    *choice = (struct route_choice){0};
}

/* ---- which ---- */

static bool is_sensor(const char *name, const void *id, size_t length)
{
    return strlen(name) == length && memcmp(name, id, length) == 0;
}

static bool has_sensor(const struct route_choice *choice, const struct alert_record *alert)
{
    const struct record_text *own = &alert->identity.sensor_id;

    for (uint32_t i = 0; i < choice->sensors.count; i++) {
        const char *name = choice->sensors.items[i];

        if (is_sensor(name, own->data, own->length)) {
            return true;
        }
        for (unsigned j = 0; j < alert->sensor_ids_count; j++) {
            if (is_sensor(name, alert->sensor_ids[j], strlen(alert->sensor_ids[j]))) {
                return true;
            }
        }
    }
    return choice->sensors.count == 0;
}

static bool is_chosen(const struct route_choice *choice, const struct alert_record *alert)
{
    return alert_choice_passes(&choice->alerts, alert) && has_sensor(choice, alert) &&
           (choice->scope == ALERT_SCOPE_NONE || choice->scope == alert->scope);
}

/* ---- when ---- */

static struct route_told *find(const struct route_told_list *told, const char *alert_id)
{
    for (uint32_t i = 0; i < told->count; i++) {
        if (strcmp(told->items[i].alert_id, alert_id) == 0) {
            return &told->items[i];
        }
    }
    return NULL;
}

bool route_is_wanted(const struct route_choice *choice, const struct route_told_list *told,
                     const struct alert_record *alert, uint64_t wall_ns)
{
    const struct route_told *before = find(told, alert->alert_id);

    const bool is_told = before != NULL && before->severity != SEVERITY_NONE;

    if (alert->state == ALERT_CLOSE) { /* whom nobody told that it opened */
        return is_told && !before->is_closed && choice->on_close;
    }
    if (before != NULL && before->is_closed) {
        return false; /* comes late, or a second time */
    }
    if (!is_told) {
        return is_chosen(choice, alert);
    }
    const bool is_due = choice->repeat_ns > 0 && wall_ns >= before->wall_ns &&
                        wall_ns - before->wall_ns >= choice->repeat_ns;

    return alert->severity > before->severity || (is_due && is_chosen(choice, alert));
}

enum route_verdict route_judge(const struct route_choice *choice,
                               const struct route_told_list *told, const struct alert_record *alert,
                               struct route_said said, uint64_t wall_ns)
{
    if (!route_is_wanted(choice, told, alert, wall_ns)) {
        return ROUTE_PASS_OVER;
    }
    if (alert->state == ALERT_CLOSE) {
        return ROUTE_TELL; /* who was told that it opened waits for that */
    }
    if (said.is_silenced) {
        return ROUTE_HOLD;
    }
    const struct route_told *before = find(told, alert->alert_id);
    const bool is_old = before != NULL && (before->is_held || alert->severity <= before->severity);

    return said.is_acknowledged && is_old ? ROUTE_PASS_OVER : ROUTE_TELL;
}

uint8_t route_told_severity(const struct route_told_list *told, const char *alert_id)
{
    const struct route_told *item = find(told, alert_id);

    return item != NULL ? item->severity : SEVERITY_NONE;
}

/* Closed before open, then by age. */
static bool is_less_wanted(const struct route_told *a, const struct route_told *b)
{
    return a->is_closed != b->is_closed ? a->is_closed : a->wall_ns < b->wall_ns;
}

static struct route_told *make_room(struct route_told_list *told)
{
    if (told->count < told->capacity) {
        return &told->items[told->count++];
    }
    struct route_told *least = &told->items[0];

    for (uint32_t i = 1; i < told->count; i++) {
        least = is_less_wanted(&told->items[i], least) ? &told->items[i] : least;
    }
    told->forgotten += least->is_closed ? 0 : 1;
    return least;
}

static struct route_told *find_or_add(struct route_told_list *told, const char *alert_id)
{
    struct route_told *item = find(told, alert_id);

    if (item == NULL) {
        item = make_room(told);
        *item = (struct route_told){0};
        (void)snprintf(item->alert_id, sizeof(item->alert_id), "%s", alert_id);
    }
    return item;
}

bool route_told_hold(struct route_told_list *told, const struct alert_record *alert,
                     uint64_t wall_ns)
{
    struct route_told *item = told->capacity == 0 ? NULL : find_or_add(told, alert->alert_id);

    if (item == NULL || item->is_held) {
        return false;
    }
    item->is_held = true;
    item->wall_ns = item->severity == SEVERITY_NONE ? wall_ns : item->wall_ns;
    told->is_changed = true;
    return true;
}

void route_told_note(struct route_told_list *told, const struct alert_record *alert,
                     uint64_t wall_ns)
{
    if (told->capacity == 0) {
        return;
    }
    struct route_told *item = find_or_add(told, alert->alert_id);

    item->severity = alert->severity > item->severity ? alert->severity : item->severity;
    item->is_closed = alert->state == ALERT_CLOSE;
    item->is_held = false;
    item->wall_ns = wall_ns;
    told->is_changed = true;
}

void route_told_pass(struct route_told_list *told, const struct alert_record *alert)
{
    struct route_told *item = alert->state == ALERT_CLOSE ? find(told, alert->alert_id) : NULL;

    if (item != NULL && !item->is_closed) {
        item->is_closed = true;
        item->is_held = false;
        told->is_changed = true;
    }
}

/* ---- kept over restarts: "ALERT_ID SEVERITY open|held|closed WALL_NS" a line ---- */

int route_told_save(struct route_told_list *told, const char *path, struct error *err)
{
    struct replacement file;
    int result = replacement_begin(&file, path, 0600);

    for (uint32_t i = 0; i < told->count && result == 0; i++) {
        const struct route_told *item = &told->items[i];

        (void)fprintf(file.file, "%s %u %s %" PRIu64 "\n", item->alert_id, (unsigned)item->severity,
                      item->is_closed ? "closed"
                      : item->is_held ? "held"
                                      : "open",
                      item->wall_ns);
    }
    if (result == 0) {
        result = replacement_end(&file, REPLACEMENT_QUICK);
    }
    if (result != 0) {
        return error_set(err, -result, "write %s: %s", path, strerror(-result));
    }
    told->is_changed = false;
    return 0;
}

void route_told_load(struct route_told_list *told, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[160];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
           told->count < told->capacity) {
        struct route_told item = {0};
        char state[8] = "";
        char severity[2] = "";
        char wall_ns[21] = "";

        if (sscanf(line, "%36s %1[0-5] %7s %20[0-9]", item.alert_id, severity, state, wall_ns) ==
                4 &&
            (strcmp(state, "closed") == 0 || strcmp(state, "open") == 0 ||
             strcmp(state, "held") == 0)) {
            item.severity = (uint8_t)(severity[0] - '0');
            item.is_closed = state[0] == 'c';
            item.is_held = state[0] == 'h';
            item.wall_ns = strtoull(wall_ns, NULL, 10);
            told->items[told->count++] = item;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}
