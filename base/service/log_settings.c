#include "base/service/log_settings.h"

#include <stddef.h>
#include <string.h>

#include "base/attributes.h"

#define FIELD(member) offsetof(struct log_settings, member)

const struct config_field log_fields[] = {
    {.type = CONFIG_CHOICE,
     .key = "level",
     .offset = FIELD(level),
     .value = "auto",
     .choices = "auto|error|warn|info|debug|trace",
     .is_hot = true,
     .help = "The least weighty lines that are still written; auto: by -v."},
    {.type = CONFIG_CHOICE,
     .key = "format",
     .offset = FIELD(format),
     .value = "auto",
     .choices = "auto|logfmt|json|text",
     .is_hot = true,
     .help = "Form of a line on stderr; auto: text on a terminal, else logfmt."},
    {.type = CONFIG_U64,
     .key = "repeats_max",
     .offset = FIELD(lines_max),
     .value = "20",
     .max = 1e6,
     .is_hot = true,
     .help = "Lines of the same sentence in repeats_interval; further ones are counted and told as "
             "suppressed=N. 0: no limit."},
    {.type = CONFIG_DURATION,
     .key = "repeats_interval",
     .offset = FIELD(interval_ns),
     .value = "10s",
     .min = 1e8,
     .max = 3.6e12,
     .is_hot = true,
     .help = "See repeats_max."},
    {0},
};

static int number_of(const char *text, const char *const *names, int count, int otherwise)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return otherwise;
}

void log_settings_apply(const struct log_settings *settings, enum log_level otherwise)
{
    static const char *const levels[] = {"error", "warn", "info", "debug", "trace"};
    static const char *const formats[] = {"auto", "logfmt", "json", "text"};

    log_set_level(
        (enum log_level)number_of(settings->level, levels, ARRAY_COUNT(levels), (int)otherwise));
    log_set_format(
        (enum log_format)number_of(settings->format, formats, ARRAY_COUNT(formats), LOG_AUTO));
    log_set_limit((uint32_t)settings->lines_max, settings->interval_ns);
}

void log_settings_tell_slips(const struct config *config)
{
    const struct config_slip *slips;
    const uint32_t count = config_slips(config, &slips);

    for (uint32_t i = 0; i < count; i++) {
        log_warn("settings", "an environment variable lacks an underscore and sets nothing",
                 "variable=%s meant=%s", slips[i].given, slips[i].meant);
    }
}
