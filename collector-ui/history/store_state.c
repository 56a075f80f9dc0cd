/* What the store thread keeps in memory beside the file: positions, open alerts, the newest packet
 * samples, sums of open steps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/history/history_private.h"

#define ROLLUPS_OVER   128u /* so many are worth a walk */
#define ROLLUP_REST_NS (60 * NS_PER_SEC)

static uint32_t text_hash(const char *text, uint32_t seed)
{
    uint64_t hash = seed;
    for (; *text != '\0'; text++) {
        hash = hash_mix(hash ^ (uint8_t)*text);
    }
    return (uint32_t)hash;
}

static uint32_t position_hash(const char *sensor_id, const char *boot_id, uint32_t sequence)
{
    return text_hash(boot_id, text_hash(sensor_id, sequence));
}

static bool positions_grow(struct history *h)
{
    const uint32_t room = h->positions_room == 0 ? 256 : h->positions_room * 2;
    struct position *const more = realloc(h->positions, room * sizeof *more);
    if (more == NULL) {
        return false;
    }
    h->positions = more;
    uint32_t *const slots = calloc((size_t)room * 2, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(h->position_slots);
    h->position_slots = slots;
    h->positions_room = room;
    for (uint32_t i = 0; i < h->positions_count; i++) {
        const struct position *const p = &h->positions[i];
        uint32_t at = position_hash(p->sensor_id, p->boot_id, p->sequence) & (room * 2 - 1);
        while (slots[at] != 0) {
            at = (at + 1) & (room * 2 - 1);
        }
        slots[at] = i + 1;
    }
    return true;
}

struct position *position_find(struct history *h, const char *sensor_id, const char *boot_id,
                               uint32_t sequence, bool is_new_wanted)
{
    if (h->positions_count == h->positions_room && !positions_grow(h)) {
        return NULL;
    }
    const uint32_t mask = h->positions_room * 2 - 1;
    uint32_t at = position_hash(sensor_id, boot_id, sequence) & mask;
    while (h->position_slots[at] != 0) {
        struct position *const p = &h->positions[h->position_slots[at] - 1];
        if (p->sequence == sequence && strcmp(p->boot_id, boot_id) == 0 &&
            strcmp(p->sensor_id, sensor_id) == 0) {
            return p;
        }
        at = (at + 1) & mask;
    }
    if (!is_new_wanted) {
        return NULL;
    }
    struct position *const p = &h->positions[h->positions_count++];
    memset(p, 0, sizeof *p);
    strncpy(p->sensor_id, sensor_id, sizeof p->sensor_id - 1);
    strncpy(p->boot_id, boot_id, sizeof p->boot_id - 1);
    p->sequence = sequence;
    h->position_slots[at] = h->positions_count;
    return p;
}

void alert_state_update(struct history *h, const char *alert_id, uint8_t state,
                        const uint8_t *record, uint32_t length)
{
    pthread_mutex_lock(&h->lock);
    uint32_t at = 0;
    while (at < h->alerts_count && strcmp(h->alerts[at].alert_id, alert_id) != 0) {
        at++;
    }
    if (at < h->alerts_count) {
        free(h->alerts[at].record);
        memmove(&h->alerts[at], &h->alerts[at + 1], (h->alerts_count - at - 1) * sizeof *h->alerts);
        h->alerts_count--;
    }
    uint8_t *const copy = state == ALERT_CLOSE ? NULL : malloc((size_t)length + 1);
    if (copy != NULL) {
        if (h->alerts_count == OPEN_ALERTS_MAX) { /* the oldest gives way */
            free(h->alerts[0].record);
            memmove(&h->alerts[0], &h->alerts[1], (OPEN_ALERTS_MAX - 1) * sizeof *h->alerts);
            h->alerts_count--;
        }
        memcpy(copy, record, length);
        struct open_alert *const alert = &h->alerts[h->alerts_count++];
        memset(alert, 0, sizeof *alert);
        strncpy(alert->alert_id, alert_id, sizeof alert->alert_id - 1);
        alert->record = copy;
        alert->length = length;
    }
    const uint32_t open = h->alerts_count;
    pthread_mutex_unlock(&h->lock);
    live_set_open(h->live, open);
}

void packet_keep(struct history *h, uint64_t number, const uint8_t *record, uint32_t length)
{
    uint8_t *const copy = malloc((size_t)length + 1);
    if (copy == NULL) {
        return;
    }
    memcpy(copy, record, length);
    pthread_mutex_lock(&h->lock);
    struct packet_slot *const slot = &h->packets[number % h->settings.packet_buffer];
    free(slot->record);
    *slot = (struct packet_slot){number, copy, length};
    h->packets_next = number + 1;
    pthread_mutex_unlock(&h->lock);
}

static int rollup_read(struct history *h, struct open_rollup *open, struct error *err)
{
    sqlite3_stmt *const read = h->file->statements[DAY_ROLLUP_READ];
    sqlite3_bind_int64(read, 1, open->step);
    sqlite3_bind_int64(read, 2, open->start_s);
    sqlite3_bind_text(read, 3, open->sensor_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(read, 4, h->file->day);
    const int code = sqlite3_step(read);
    if (code == SQLITE_ROW && !rollup_decode_add(&open->rollup, sqlite3_column_blob(read, 0),
                                                 (size_t)sqlite3_column_bytes(read, 0))) {
        h->pending.records_undecodable++;
    }
    const int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : day_file_error(h->file, err);
    sqlite3_reset(read);
    return result;
}

/* Where the rollup stands, or the free place where it belongs. */
static struct open_rollup *rollup_place(struct open_rollup *table, uint32_t step, int64_t start_s,
                                        const char *sensor_id)
{
    const uint32_t mask = ROLLUPS_OPEN_MAX * 2 - 1;
    uint32_t at =
        text_hash(sensor_id, (uint32_t)hash_mix((uint64_t)start_s ^ ((uint64_t)step << 40)));

    for (at &= mask; table[at].is_used; at = (at + 1) & mask) {
        if (table[at].step == step && table[at].start_s == start_s &&
            strcmp(table[at].sensor_id, sensor_id) == 0) {
            break;
        }
    }
    return &table[at];
}

struct rollup *rollup_open(struct history *h, uint32_t step, int64_t start_s, const char *sensor_id,
                           struct error *err)
{
    if (h->rollups_count >= ROLLUPS_OPEN_MAX) {
        if (rollups_write(h, err) != 0) {
            return NULL;
        }
        rollups_forget(h);
    }
    struct open_rollup *const open = rollup_place(h->rollups, step, start_s, sensor_id);

    if (!open->is_used) {
        memset(open, 0, sizeof *open);
        open->step = step;
        open->start_s = start_s;
        strncpy(open->sensor_id, sensor_id, sizeof open->sensor_id - 1);
        rollup_init(&open->rollup);
        if (rollup_read(h, open, err) != 0) {
            rollup_fini(&open->rollup);
            return NULL;
        }
        open->is_used = true;
        h->rollups_count++;
    }
    open->is_dirty = true;
    open->touched_ns = h->transaction_started_ns;
    return &open->rollup;
}

/* It is written, and nothing has come to it for as long as it lasts and the rest. What comes later
 * is added to what the file has. */
static bool is_over(const struct history *h, const struct open_rollup *open)
{
    const uint64_t rest_ns =
        h->settings.rollup_rest_ns != 0 ? h->settings.rollup_rest_ns : ROLLUP_REST_NS;

    return !open->is_dirty && h->transaction_started_ns - open->touched_ns >
                                  (uint64_t)open->step * NS_PER_SEC + rest_ns;
}

static void forget_those_over(struct history *h)
{
    uint32_t over = 0;

    for (uint32_t i = 0; i < ROLLUPS_OPEN_MAX * 2; i++) {
        over += h->rollups[i].is_used && is_over(h, &h->rollups[i]);
    }
    struct open_rollup *const kept =
        over < ROLLUPS_OVER ? NULL : calloc((size_t)ROLLUPS_OPEN_MAX * 2, sizeof *kept);

    if (kept == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ROLLUPS_OPEN_MAX * 2; i++) {
        struct open_rollup *const open = &h->rollups[i];

        if (open->is_used && is_over(h, open)) {
            rollup_fini(&open->rollup);
            h->rollups_count--;
        } else if (open->is_used) {
            *rollup_place(kept, open->step, open->start_s, open->sensor_id) = *open;
        }
    }
    free(h->rollups);
    h->rollups = kept;
    h->rollups_generation++;
}

int rollups_write(struct history *h, struct error *err)
{
    for (uint32_t i = 0; i < ROLLUPS_OPEN_MAX * 2; i++) {
        struct open_rollup *const open = &h->rollups[i];
        if (!open->is_used || !open->is_dirty) {
            continue;
        }
        size_t length;
        uint8_t *const bytes = rollup_encode(&open->rollup, &length);
        if (bytes == NULL) {
            return error_set(err, ENOMEM, "write sums of %s: out of memory", open->sensor_id);
        }
        sqlite3_stmt *const write = h->file->statements[DAY_ROLLUP_WRITE];
        sqlite3_bind_int64(write, 1, open->step);
        sqlite3_bind_int64(write, 2, open->start_s);
        sqlite3_bind_text(write, 3, open->sensor_id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(write, 4, h->file->day);
        sqlite3_bind_blob(write, 5, bytes, (int)length, SQLITE_STATIC);
        const int result = day_file_step(h->file, DAY_ROLLUP_WRITE, err);
        free(bytes);
        if (result != 0) {
            return result;
        }
        open->is_dirty = false;
    }
    forget_those_over(h);
    return 0;
}

void rollups_forget(struct history *h)
{
    for (uint32_t i = 0; i < ROLLUPS_OPEN_MAX * 2; i++) {
        if (h->rollups[i].is_used) {
            rollup_fini(&h->rollups[i].rollup);
            h->rollups[i].is_used = false;
        }
    }
    h->rollups_count = 0;
    h->rollups_generation++;
}
