/* What a receiver's thread does: one alert after the other, again after a pause where it must be,
 * and between them what is due to be told again. */
#include "collector-ui/route/route_worker.h"

#include "base/clock.h"
#include "base/log.h"

#define RETRY_FIRST_NS     NS_PER_SEC
#define RETRY_LONGEST_NS   (60 * NS_PER_SEC)
#define RETRY_AFTER_MAX_NS (3600 * NS_PER_SEC)
#define DOUBLINGS_MAX      7
#define REPEAT_LOOK_NS     (2 * NS_PER_SEC)

/* The next alert of a receiver, copied and decoded; false: none, or none that can be read. */
static bool take(struct route_worker *worker, struct spool_log_item *item)
{
    struct router *router = worker->router;
    struct error err = {0};
    bool is_taken = false;

    (void)pthread_mutex_lock(&router->lock);
    router_keep(router);
    const int result = spool_log_peek(router->queue, worker->cursor, item, &err);

    if (result > 0) {
        is_taken = route_receiver_read(&worker->receiver, item->bytes, item->length);
        spool_log_sent(router->queue, worker->cursor);
        if (!is_taken) { /* of another version, or damaged */
            spool_log_ack(router->queue, worker->cursor, &item->place);
            worker->counts.refused++;
        }
    } else if (!router_is_stopping(router)) {
        if (result < 0) {
            router_complain(&err);
        }
        router_wait(router, NS_PER_SEC);
    }
    (void)pthread_mutex_unlock(&router->lock);
    return is_taken;
}

static void done(struct route_worker *worker, const struct spool_log_item *item, uint64_t *count)
{
    struct router *router = worker->router;

    (void)pthread_mutex_lock(&router->lock);
    spool_log_ack(router->queue, worker->cursor, &item->place);
    (*count)++;
    (void)pthread_mutex_unlock(&router->lock);
}

/* ---- delivering ---- */

static void tell_failure(struct route_worker *worker, const struct error *err)
{
    char quoted[600];

    if (worker->failures == 1) {
        log_warn("route", "a receiver takes no alerts; they wait", "receiver=%s reason=%s",
                 worker->receiver.name, log_quote(err->message, quoted, sizeof(quoted)));
    } else {
        log_debug("route", "a receiver still takes no alerts", "receiver=%s tries=%u reason=%s",
                  worker->receiver.name, worker->failures,
                  log_quote(err->message, quoted, sizeof(quoted)));
    }
}

static void tell_refused(const struct route_worker *worker, const char *why,
                         const struct error *err)
{
    char quoted[600];

    log_warn("route", why, "receiver=%s alert_id=%s reason=%s", worker->receiver.name,
             worker->receiver.alert->alert_id, log_quote(err->message, quoted, sizeof(quoted)));
}

static void note_outcome(struct route_worker *worker, enum route_outcome outcome)
{
    struct router *router = worker->router;
    const bool was_failing = worker->failures > 0;

    worker->failures = outcome == ROUTE_RETRY ? worker->failures + 1 : 0;
    (void)pthread_mutex_lock(&router->lock);
    worker->counts.retries += outcome == ROUTE_RETRY;
    worker->counts.is_failing = outcome != ROUTE_DELIVERED;
    (void)pthread_mutex_unlock(&router->lock);
    if (was_failing && outcome == ROUTE_DELIVERED) {
        log_info("route", "a receiver takes alerts again", "receiver=%s", worker->receiver.name);
    }
}

/* Doubling, from a second to a minute, or what the receiver asked for. */
static uint64_t pause_of(const struct route_worker *worker, uint64_t asked_ns)
{
    const unsigned before = worker->failures > 0 ? worker->failures - 1 : 0;
    const unsigned doublings = before > DOUBLINGS_MAX ? DOUBLINGS_MAX : before;
    const uint64_t own_ns = RETRY_FIRST_NS << doublings;
    const uint64_t bounded_ns = own_ns > RETRY_LONGEST_NS ? RETRY_LONGEST_NS : own_ns;

    if (asked_ns <= bounded_ns) {
        return bounded_ns;
    }
    return asked_ns > RETRY_AFTER_MAX_NS ? RETRY_AFTER_MAX_NS : asked_ns;
}

static void pause_before_retry(struct route_worker *worker, uint64_t asked_ns)
{
    struct router *router = worker->router;
    const uint64_t until_ns = clock_monotonic_ns() + pause_of(worker, asked_ns);

    (void)pthread_mutex_lock(&router->lock);
    for (uint64_t now_ns = clock_monotonic_ns(); now_ns < until_ns && !router_is_stopping(router);
         now_ns = clock_monotonic_ns()) {
        router_keep(router);
        const uint64_t rest_ns = until_ns - now_ns;

        router_wait(router, rest_ns < NS_PER_SEC ? rest_ns : NS_PER_SEC);
    }
    (void)pthread_mutex_unlock(&router->lock);
}

/* What people have said of what the receiver has read. */
static struct route_said look(const struct route_worker *worker)
{
    const struct route_triage *triage = worker->router->triage;

    return triage == NULL ? (struct route_said){0}
                          : triage->look(triage->context, worker->receiver.alert, clock_wall_ns());
}

static enum route_verdict judge(const struct route_worker *worker, uint64_t wall_ns)
{
    return route_judge(&worker->receiver.choice, &worker->told, worker->receiver.alert,
                       look(worker), wall_ns);
}

static void save_told(struct route_worker *worker)
{
    struct error err = {0};

    if (worker->told.is_changed && route_told_save(&worker->told, worker->told_path, &err) != 0) {
        router_complain(&err);
    }
}

/* A silence hides it: it is told later, if it goes on. First into the list, then out of the queue.
 */
static void hold(struct route_worker *worker, const struct spool_log_item *item)
{
    if (route_told_hold(&worker->told, worker->receiver.alert, clock_wall_ns())) {
        save_told(worker);
    }
    done(worker, item, &worker->counts.silenced);
}

/* ROUTE_RETRY: it is to be tried again after a restart; ROUTE_REFUSED: it is given up, or held
 * back. */
static enum route_outcome deliver(struct route_worker *worker, const struct spool_log_item *item)
{
    const uint64_t give_up_ns = item->time_ns + worker->receiver.settings->retry_ns;
    const uint8_t told_severity =
        route_told_severity(&worker->told, worker->receiver.alert->alert_id);
    struct error err = {0};

    for (;;) {
        uint64_t asked_ns = 0;
        const enum route_outcome outcome =
            route_receiver_send(&worker->receiver, item->length, told_severity, &asked_ns, &err);

        note_outcome(worker, outcome);
        if (outcome == ROUTE_DELIVERED) {
            done(worker, item, &worker->counts.sent);
            return outcome;
        }
        if (outcome == ROUTE_REFUSED) {
            tell_refused(worker, "a receiver refuses an alert", &err);
            done(worker, item, &worker->counts.refused);
            return outcome;
        }
        if (router_is_stopping(worker->router)) {
            return outcome;
        }
        tell_failure(worker, &err);
        if (clock_wall_ns() >= give_up_ns) {
            tell_refused(worker, "an alert is given up after retry_for", &err);
            done(worker, item, &worker->counts.expired);
            return ROUTE_REFUSED;
        }
        pause_before_retry(worker, asked_ns); /* the end cuts it short, for a last try */
        if (judge(worker, clock_wall_ns()) == ROUTE_HOLD) {
            hold(worker, item);
            return ROUTE_REFUSED;
        }
    }
}

/* An incident that goes on; false: it does not any more. */
static bool read_incident(struct route_worker *worker, const char *alert_id, size_t *length)
{
    struct router *router = worker->router;
    bool is_read = false;

    (void)pthread_mutex_lock(&router->lock);
    const struct route_incident *incident = route_incidents_find(&router->incidents, alert_id);

    if (incident != NULL) {
        *length = incident->length;
        is_read = route_receiver_read(&worker->receiver, incident->record, incident->length);
    }
    (void)pthread_mutex_unlock(&router->lock);
    return is_read;
}

/* An incident whose silence has ended: copied and decoded, its length in `length`. False: none. All
 * are looked at once whenever something else was said. */
static bool take_held(struct route_worker *worker, uint64_t wall_ns, size_t *length)
{
    const struct route_triage *triage = worker->router->triage;
    const uint64_t revision = triage == NULL ? 0 : triage->revision(triage->context);

    if (revision == worker->held_revision) {
        return false;
    }
    for (uint32_t i = 0; i < worker->told.count; i++) {
        struct route_told *item = &worker->told.items[i];
        const bool goes_on = item->is_held && read_incident(worker, item->alert_id, length);
        const enum route_verdict verdict = goes_on ? judge(worker, wall_ns) : ROUTE_PASS_OVER;

        if (verdict == ROUTE_TELL) {
            return true;
        }
        if (item->is_held && verdict == ROUTE_PASS_OVER) {
            item->is_held = false;
            worker->told.is_changed = true;
        }
    }
    worker->held_revision = revision;
    return false;
}

/* An incident that goes on and is due to be told again: copied and decoded, its length in `length`.
 * False: none. */
static bool take_due(struct route_worker *worker, uint64_t wall_ns, size_t *length)
{
    struct router *router = worker->router;
    bool is_taken = false;

    (void)pthread_mutex_lock(&router->lock);
    const struct route_incident *due =
        route_incidents_due(&router->incidents, &worker->told, worker->receiver.settings->repeat_ns,
                            router->settings->forget_ns, wall_ns);

    if (due != NULL) {
        *length = due->length;
        is_taken = route_receiver_read(&worker->receiver, due->record, due->length);
    }
    (void)pthread_mutex_unlock(&router->lock);
    return is_taken;
}

/* One try: the incident is due still when it fails. */
static void repeat_due(struct route_worker *worker)
{
    struct router *router = worker->router;
    const uint64_t wall_ns = clock_wall_ns();
    struct error err = {0};
    uint64_t asked_ns = 0;
    size_t length;

    if (router_is_stopping(router) || clock_monotonic_ns() < worker->repeat_at_ns) {
        return;
    }
    if (!take_held(worker, wall_ns, &length) && !take_due(worker, wall_ns, &length)) {
        worker->repeat_at_ns = clock_monotonic_ns() + REPEAT_LOOK_NS;
        return;
    }
    const enum route_verdict verdict = judge(worker, wall_ns);

    if (verdict == ROUTE_HOLD) {
        (void)route_told_hold(&worker->told, worker->receiver.alert, wall_ns);
        return;
    }
    const uint8_t told_severity =
        route_told_severity(&worker->told, worker->receiver.alert->alert_id);

    if (verdict == ROUTE_PASS_OVER) { /* acknowledged, or other settings since */
        if (told_severity != SEVERITY_NONE) {
            route_told_note(&worker->told, worker->receiver.alert, wall_ns);
        }
        return;
    }
    const enum route_outcome outcome = route_receiver_send(
        &worker->receiver,
        told_severity == SEVERITY_NONE ? length : route_receiver_go_on(&worker->receiver),
        told_severity, &asked_ns, &err);

    note_outcome(worker, outcome);
    if (outcome == ROUTE_RETRY) {
        tell_failure(worker, &err);
        worker->repeat_at_ns = clock_monotonic_ns() + pause_of(worker, asked_ns);
        return;
    }
    if (outcome == ROUTE_REFUSED) {
        tell_refused(worker, "a receiver refuses an alert", &err);
    }
    route_told_note(&worker->told, worker->receiver.alert, wall_ns);
    (void)pthread_mutex_lock(&router->lock);
    worker->counts.repeated++;
    worker->counts.sent += outcome == ROUTE_DELIVERED;
    worker->counts.refused += outcome == ROUTE_REFUSED;
    (void)pthread_mutex_unlock(&router->lock);
}

void *route_worker_run(void *context)
{
    struct route_worker *worker = context;
    struct router *router = worker->router;
    bool goes_on = true;

    while (goes_on && !transfer_is_past_deadline(&router->deadline_ns)) {
        struct spool_log_item item;
        const bool was_stopping = router_is_stopping(router);

        if (!take(worker, &item)) {
            repeat_due(worker);
            save_told(worker);
            goes_on = !was_stopping;
            continue;
        }
        const struct alert_record *alert = worker->receiver.alert;
        const uint64_t wall_ns = clock_wall_ns();

        const enum route_verdict verdict = judge(worker, wall_ns);

        if (verdict == ROUTE_PASS_OVER) {
            done(worker, &item, &worker->counts.passed_over);
            route_told_pass(&worker->told, alert);
            continue;
        }
        if (verdict == ROUTE_HOLD) {
            hold(worker, &item);
            continue;
        }
        const enum route_outcome outcome = deliver(worker, &item);

        goes_on = outcome != ROUTE_RETRY;
        if (outcome == ROUTE_DELIVERED) { /* else the receiver knows nothing of it */
            route_told_note(&worker->told, alert, wall_ns);
            (void)pthread_mutex_lock(&router->lock);
            worker->counts.forgotten = worker->told.forgotten;
            (void)pthread_mutex_unlock(&router->lock);
            save_told(worker);
        }
    }
    save_told(worker);
    return NULL;
}
