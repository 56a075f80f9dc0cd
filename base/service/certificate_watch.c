#include "base/service/certificate_watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/service/key_pair.h"

#define SOON_S        (UINT64_C(14) * 86400)
#define LOOK_NS       (3600 * NS_PER_SEC)
#define TELL_AGAIN_NS (86400 * NS_PER_SEC)

void certificate_watch_init(struct certificate_watch *watch)
{
    memset(watch, 0, sizeof(*watch));
}

void certificate_watch_fini(struct certificate_watch *watch)
{
    for (unsigned i = 0; i < watch->count; i++) {
        free(watch->rows[i].path);
    }
    watch->count = 0;
}

void certificate_watch_add(struct certificate_watch *watch, const char *key, const char *path)
{
    if (path == NULL || path[0] == '\0') {
        return;
    }
    assert(watch->count < CERTIFICATES_WATCHED_MAX);
    struct watched_certificate *row = &watch->rows[watch->count];

    row->key = key;
    row->path = strdup(path);
    watch->count += row->path != NULL;
}

/* Unix time; 0: no certificate is there. */
static uint64_t end_of(const char *path)
{
    X509 *certificate = key_pair_certificate(path);
    struct tm end;
    time_t seconds = 0;

    if (certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1) {
        seconds = timegm(&end);
    }
    X509_free(certificate);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

static void tell(struct watched_certificate *row, uint64_t wall_s, uint64_t now_ns)
{
    const uint64_t ends_s = atomic_load_explicit(&row->ends_s, memory_order_relaxed);
    const bool is_over = ends_s <= wall_s;
    char path[512];

    if (ends_s == 0 || ends_s > wall_s + SOON_S) {
        row->told_ns = 0;
        return;
    }
    if (row->told_ns != 0 && now_ns - row->told_ns < TELL_AGAIN_NS) {
        return;
    }
    row->told_ns = now_ns;
    log_line(is_over ? LOG_ERROR : LOG_WARN, "tls",
             is_over ? "a certificate has expired: who checks it refuses it"
                     : "a certificate expires soon",
             "setting=%s path=%s days=%llu cure=\"make a new one, as netscope-collector enroll "
             "does: it is taken up without a restart\"",
             row->key, log_quote(row->path, path, sizeof(path)),
             (unsigned long long)((is_over ? wall_s - ends_s : ends_s - wall_s) / 86400));
}

void certificate_watch_tick(struct certificate_watch *watch, uint64_t wall_ns, uint64_t now_ns)
{
    if (now_ns < watch->due_ns) {
        return;
    }
    watch->due_ns = now_ns + LOOK_NS;
    for (unsigned i = 0; i < watch->count; i++) {
        struct watched_certificate *row = &watch->rows[i];

        atomic_store_explicit(&row->ends_s, end_of(row->path), memory_order_relaxed);
        tell(row, wall_ns / NS_PER_SEC, now_ns);
    }
}

void certificate_watch_write(struct certificate_watch *watch, const char *name,
                             struct metrics_page *page)
{
    bool is_begun = false;

    for (unsigned i = 0; i < watch->count; i++) {
        const uint64_t ends_s = atomic_load_explicit(&watch->rows[i].ends_s, memory_order_relaxed);

        if (ends_s == 0) {
            continue;
        }
        if (!is_begun) {
            metrics_family(page, name, METRICS_GAUGE,
                           "Unix time at which a certificate of the settings ends.");
            is_begun = true;
        }
        metrics_u64(page, name, METRICS_LABELS("setting", watch->rows[i].key), ends_s);
    }
}
