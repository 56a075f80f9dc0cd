/* One silence: what it names, and what that means. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/triage/triage_private.h"

#define PATTERN_BYTES_MAX 128

bool triage_texts_add(struct triage_texts *texts, const char *text)
{
    char **more = realloc(texts->items, (texts->count + 1U) * sizeof(char *));

    if (more == NULL) {
        return false;
    }
    texts->items = more;
    texts->items[texts->count] = strdup(text);
    if (texts->items[texts->count] == NULL) {
        return false;
    }
    texts->count++;
    return true;
}

static void texts_fini(struct triage_texts *texts)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct triage_texts){0};
}

void triage_silence_fini(struct triage_silence *silence)
{
    texts_fini(&silence->subjects);
    texts_fini(&silence->attackers);
    texts_fini(&silence->victims);
    texts_fini(&silence->sensors);
}

bool triage_silence_is_on(const struct triage_silence *silence, uint64_t wall_ns)
{
    return silence->deleted_ns == 0 && wall_ns < silence->expire_ns;
}

static int check_count(const char *name, const struct triage_texts *texts, struct error *err)
{
    return texts->count <= TRIAGE_LIST_MAX
               ? 0
               : error_set(err, EINVAL, "%s: at most %d", name, TRIAGE_LIST_MAX);
}

static int read_prefixes(const char *name, const struct triage_texts *texts, struct ip_prefix **out,
                         uint32_t *count, struct error *err)
{
    if (texts->count == 0 || check_count(name, texts, err) != 0) {
        return texts->count == 0 ? 0 : -err->code;
    }
    *out = calloc(texts->count, sizeof(**out));
    if (*out == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    for (uint32_t i = 0; i < texts->count; i++) {
        if (!prefix_parse(texts->items[i], strlen(texts->items[i]), &(*out)[i])) {
            return error_set(err, EINVAL,
                             "%s: \"%.60s\" is no address and no network as 10.0.0.0/8", name,
                             texts->items[i]);
        }
    }
    *count = texts->count;
    return 0;
}

static int read_sensors(const struct triage_texts *texts, struct alert_choice *out,
                        struct error *err)
{
    if (texts->count == 0 || check_count("sensor_ids", texts, err) != 0) {
        return texts->count == 0 ? 0 : -err->code;
    }
    out->sensors = calloc(texts->count, sizeof(char *));
    for (uint32_t i = 0; out->sensors != NULL && i < texts->count; i++) {
        const size_t length = strlen(texts->items[i]);

        if (length == 0 || length > PATTERN_BYTES_MAX || strpbrk(texts->items[i], "\r\n") != NULL) {
            return error_set(err, EINVAL, "sensor_ids: 1 to %d characters in one line each",
                             PATTERN_BYTES_MAX);
        }
        out->sensors[i] = strdup(texts->items[i]);
        if (out->sensors[i] == NULL) {
            break;
        }
        out->sensors_count++;
    }
    return out->sensors_count == texts->count ? 0 : error_set(err, ENOMEM, "no memory");
}

int triage_silence_choice(const struct triage_silence *silence, struct alert_choice *out,
                          struct error *err)
{
    *out = (struct alert_choice){.kinds = silence->kinds, .max_severity = silence->max_severity};
    if (silence->kinds == 0 && silence->subjects.count == 0 && silence->attackers.count == 0 &&
        silence->victims.count == 0 && silence->sensors.count == 0) {
        return error_set(err, EINVAL,
                         "a silence names kinds, subjects, attackers, victims or sensor_ids: it "
                         "never hides all there is");
    }
    int result =
        read_prefixes("subjects", &silence->subjects, &out->subjects, &out->subjects_count, err);

    if (result == 0) {
        result = read_prefixes("attackers", &silence->attackers, &out->attackers,
                               &out->attackers_count, err);
    }
    if (result == 0) {
        result =
            read_prefixes("victims", &silence->victims, &out->victims, &out->victims_count, err);
    }
    if (result == 0) {
        result = read_sensors(&silence->sensors, out, err);
    }
    if (result != 0) {
        alert_choice_fini(out);
    }
    return result;
}
