#include "sensor/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define FIRST_NS    (500 * NS_PER_MS)
#define INTERVAL_NS (200 * NS_PER_MS)
#define SMOOTHING   0.1      /* of a new rate, five times a second */
#define LEFT_MAX_S  359999.0 /* 99:59:59 */

void progress_init(struct progress *progress, FILE *out, uint64_t now_ns)
{
    *progress = (struct progress){.out = out, .begun_ns = now_ns, .then_ns = now_ns};
    (void)pthread_mutex_init(&progress->lock, NULL);
}

void progress_fini(struct progress *progress)
{
    progress_clear(progress);
    (void)pthread_mutex_destroy(&progress->lock);
}

bool progress_is_wanted(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

/* "1.25 M", "999", with a unit behind. */
static void scaled(double value, const char *unit, char *out, size_t out_bytes)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t at = 0;

    while (value >= 999.5 && at + 1 < sizeof(prefixes) / sizeof(prefixes[0])) {
        value /= 1000;
        at++;
    }
    (void)snprintf(out, out_bytes, value < 10 && at > 0 ? "%.2f %s%s" : "%.0f %s%s", value,
                   prefixes[at], unit);
}

static void left_text(double seconds, char *out, size_t out_bytes)
{
    const unsigned whole = (unsigned)(seconds < LEFT_MAX_S ? seconds : LEFT_MAX_S);

    if (whole >= 3600) {
        (void)snprintf(out, out_bytes, "%u:%02u:%02u left", whole / 3600, whole / 60 % 60,
                       whole % 60);
    } else {
        (void)snprintf(out, out_bytes, "%u:%02u left", whole / 60, whole % 60);
    }
}

void progress_text(const struct progress *progress, const struct progress_facts *facts,
                   char out[PROGRESS_TEXT_BYTES])
{
    char done[32], packets[32], bytes[32], left[32] = "";

    if (facts->bytes_total > 0) {
        const double share = (double)facts->bytes_done / (double)facts->bytes_total;
        const double rest = (double)facts->bytes_total - (double)facts->bytes_done;

        (void)snprintf(done, sizeof(done), "%3.0f %%", share < 1 ? share * 100 : 100);
        if (progress->bytes_per_second > 0 && rest > 0) {
            left_text(rest / progress->bytes_per_second, left, sizeof(left));
        }
    } else {
        scaled((double)facts->bytes_done, "B", done, sizeof(done));
    }
    scaled(progress->packets_per_second, "packets/s", packets, sizeof(packets));
    scaled(progress->bytes_per_second, "B/s", bytes, sizeof(bytes));
    (void)snprintf(out, PROGRESS_TEXT_BYTES, "%s  %s  %s%s%s", done, packets, bytes,
                   left[0] != '\0' ? "  " : "", left);
}

static void measure(struct progress *progress, const struct progress_facts *facts, uint64_t now_ns)
{
    const double seconds = (double)(now_ns - progress->then_ns) * 1e-9;
    const double packets = (double)(facts->packets - progress->then.packets) / seconds;
    const double bytes = (double)(facts->bytes_done - progress->then.bytes_done) / seconds;
    const double weight = progress->then.packets == 0 ? 1 : SMOOTHING;

    progress->packets_per_second += weight * (packets - progress->packets_per_second);
    progress->bytes_per_second += weight * (bytes - progress->bytes_per_second);
    progress->then = *facts;
    progress->then_ns = now_ns;
}

void progress_draw(struct progress *progress, const struct progress_facts *facts, uint64_t now_ns)
{
    char text[PROGRESS_TEXT_BYTES];

    if (now_ns < progress->begun_ns + FIRST_NS || now_ns < progress->then_ns + INTERVAL_NS ||
        facts->packets < progress->then.packets || facts->bytes_done < progress->then.bytes_done) {
        return;
    }
    (void)pthread_mutex_lock(&progress->lock);
    measure(progress, facts, now_ns);
    progress_text(progress, facts, text);
    (void)fprintf(progress->out, "\r%s\x1b[K", text);
    (void)fflush(progress->out);
    progress->is_drawn = true;
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_clear(struct progress *progress)
{
    (void)pthread_mutex_lock(&progress->lock);
    if (progress->is_drawn) {
        (void)fputs("\r\x1b[K", progress->out);
        (void)fflush(progress->out);
        progress->is_drawn = false;
    }
    (void)pthread_mutex_unlock(&progress->lock);
}
