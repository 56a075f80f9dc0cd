#include "base/service/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"

#define LINE_BYTES 8192

void doctor_add(struct doctor *doctor, enum doctor_level level, const char *check, const char *cure,
                const char *format, ...)
{
    if (doctor->count == doctor->capacity) {
        const uint32_t capacity = doctor->capacity == 0 ? 32 : 2 * doctor->capacity;
        struct doctor_finding *more = realloc(doctor->findings, capacity * sizeof(*more));

        if (more == NULL) {
            doctor->is_short = true;
            return;
        }
        doctor->findings = more;
        doctor->capacity = capacity;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count++];
    va_list arguments;

    *finding = (struct doctor_finding){.level = level, .check = check};
    va_start(arguments, format);
    (void)vsnprintf(finding->message, sizeof(finding->message), format, arguments);
    va_end(arguments);
    (void)snprintf(finding->cure, sizeof(finding->cure), "%s", cure != NULL ? cure : "");
}

static const char *level_name(enum doctor_level level)
{
    static const char *const names[] = {"ok", "warning", "failure"};

    return names[level];
}

static void print_json(const struct doctor *doctor, FILE *out)
{
    char text[LINE_BYTES];

    (void)fprintf(out, "{\"status\":\"%s\",\"findings\":[",
                  doctor_status(doctor) == 0 ? "ok" : "failure");
    for (uint32_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        struct json_writer json;

        json_init(&json, text, sizeof(text));
        json_object_begin(&json);
        json_key(&json, "check");
        json_text(&json, finding->check);
        json_key(&json, "level");
        json_text(&json, level_name(finding->level));
        json_key(&json, "message");
        json_text(&json, finding->message);
        if (finding->cure[0] != '\0') {
            json_key(&json, "cure");
            json_text(&json, finding->cure);
        }
        json_object_end(&json);
        (void)fprintf(out, "%s\n%.*s", i > 0 ? "," : "", (int)json.length, text);
    }
    (void)fputs("\n]}\n", out);
}

void doctor_print(const struct doctor *doctor, bool is_json, FILE *out)
{
    static const char *const marks[] = {"ok  ", "warn", "FAIL"};
    uint32_t counts[3] = {0};

    if (is_json) {
        print_json(doctor, out);
        return;
    }
    for (uint32_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];

        counts[finding->level]++;
        (void)fprintf(out, "%s  %-12s %s\n", marks[finding->level], finding->check,
                      finding->message);
        if (finding->cure[0] != '\0' && finding->level != DOCTOR_OK) {
            (void)fprintf(out, "      %-12s -> %s\n", "", finding->cure);
        }
    }
    (void)fprintf(out, "%u ok, %u to look at, %u that will not work\n", counts[DOCTOR_OK],
                  counts[DOCTOR_WARN], counts[DOCTOR_FAIL]);
}

int doctor_status(const struct doctor *doctor)
{
    for (uint32_t i = 0; i < doctor->count; i++) {
        if (doctor->findings[i].level == DOCTOR_FAIL) {
            return 1;
        }
    }
    return doctor->is_short;
}

void doctor_fini(struct doctor *doctor)
{
    free(doctor->findings);
    *doctor = (struct doctor){0};
}
