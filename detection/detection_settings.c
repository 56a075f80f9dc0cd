#include "detection/detection_settings.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detection/detector.h"

#define ROOT "analysis.anomalies"

/* Above the first level where a setting of 0 leaves the others open. */
#define HIGH_FACTOR     4
#define CRITICAL_FACTOR 20

#define FIELD(member)          offsetof(struct detection_config, member)
#define DETECTOR_FIELD(member) offsetof(struct detector_config, member)

static const struct config_field common_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "enabled",
     .offset = FIELD(enabled),
     .value = "true",
     .help = "Look for anomalies."},
    {.type = CONFIG_U64,
     .key = "victims_max",
     .offset = FIELD(victims_max),
     .value = "1024",
     .min = 16,
     .max = 65536,
     .help = "Targets tracked at once."},
    {.type = CONFIG_U64,
     .key = "scanners_max",
     .offset = FIELD(scanners_max),
     .value = "2048",
     .min = 16,
     .max = 65536,
     .help = "Sources tracked at once."},
    {.type = CONFIG_U64,
     .key = "keys_max",
     .offset = FIELD(keys_max),
     .value = "1024",
     .min = 16,
     .max = 65536,
     .help = "Clients, pairs and names tracked at once by each other detector."},
    {.type = CONFIG_DURATION,
     .key = "warm_up",
     .offset = FIELD(warm_up_ns),
     .value = "10s",
     .max = 3.6e12,
     .help = "After a live start nothing is reported for so long: connections that began before "
             "look one-sided."},
    {.type = CONFIG_LIST,
     .key = "runbooks",
     .offset = FIELD(runbooks),
     .value = "",
     .max = ALERT_NOTES_LINES_MAX,
     .is_hot = true,
     .help =
         "Where to read what to do, in each alert: a kind, or * for all others, and a URL, such "
         "as \"* https://wiki.example.com/netscope/{kind}\"; {severity} and {alert_id} may "
         "stand in it, too."},
    {.type = CONFIG_LIST,
     .key = "labels",
     .offset = FIELD(labels),
     .value = "",
     .max = ALERT_NOTES_LINES_MAX,
     .is_hot = true,
     .help = "Labels of alerts: a kind, or * for all, and labels, such as \"* team=network\" or "
             "\"dns_tunnel team=security pager=yes\"."},
    {0},
};

static const struct config_field *end_of(const struct config_field *first,
                                         const struct config_field *at, uint32_t max)
{
    assert((uint32_t)(at - first) < max);
    (void)max;
    return at;
}

static struct config_field *add_own(struct config_field *at, const struct detector_ops *ops)
{
    for (uint32_t i = 0; ops->params[i].key != NULL; i++) {
        const struct detector_param *param = &ops->params[i];

        assert(i < DETECTOR_PARAMS_MAX);
        *at++ = (struct config_field){.type = param->type,
                                      .key = param->key,
                                      .offset = DETECTOR_FIELD(params[0]) +
                                                i * sizeof(union detector_value),
                                      .value = param->value,
                                      .min = param->min,
                                      .max = param->max,
                                      .alias = param->alias,
                                      .help = param->help};
    }
    return at;
}

static struct config_field *add_list(struct config_field *at, const char *key, size_t offset,
                                     uint32_t max, const char *help)
{
    *at = (struct config_field){.type = CONFIG_LIST,
                                .key = key,
                                .offset = offset,
                                .value = "",
                                .max = max,
                                .is_hot = true,
                                .help = help};
    return at + 1;
}

static struct config_field *add_scalars(struct config_field *at, const struct detector_ops *ops)
{
    const struct detector_defaults *defaults = &ops->defaults;

    *at++ = (struct config_field){.type = CONFIG_BOOL,
                                  .key = "enabled",
                                  .offset = DETECTOR_FIELD(enabled),
                                  .value = "true",
                                  .help = "Use this detector."};
    *at++ = (struct config_field){.type = CONFIG_CHOICE,
                                  .key = "mode",
                                  .offset = DETECTOR_FIELD(mode),
                                  .value = defaults->mode,
                                  .choices = "alert|log|learn",
                                  .is_hot = true,
                                  .help = "What becomes of an incident: an alert, a line in the "
                                          "log, or only a count while baselines are learnt."};
    if (defaults->window != NULL) {
        *at++ = (struct config_field){.type = CONFIG_DURATION,
                                      .key = "window",
                                      .offset = DETECTOR_FIELD(window_ns),
                                      .value = defaults->window,
                                      .min = defaults->window_min_ns,
                                      .max = defaults->window_max_ns,
                                      .bare_unit = defaults->window_alias != NULL ? "s" : NULL,
                                      .alias = defaults->window_alias,
                                      .help = "Length of the window."};
    }
    if (defaults->medium_key != NULL) {
        *at++ = (struct config_field){.type = CONFIG_DOUBLE,
                                      .key = defaults->medium_key,
                                      .offset = DETECTOR_FIELD(levels[LEVEL_MEDIUM]),
                                      .value = defaults->medium,
                                      .min = defaults->medium_min,
                                      .max = defaults->medium_max,
                                      .is_hot = true,
                                      .help = defaults->medium_help};
    }
    if (defaults->min_volume != NULL) {
        *at++ = (struct config_field){.type = CONFIG_U64,
                                      .key = "min_volume",
                                      .offset = DETECTOR_FIELD(min_volume),
                                      .value = defaults->min_volume,
                                      .max = 1e15,
                                      .is_hot = true,
                                      .help = defaults->min_volume_help};
    }
    return at;
}

static void make_fields(struct detection_config *config, uint32_t number)
{
    const struct detector_ops *ops = detector_table[number];
    const struct detector_defaults *defaults = &ops->defaults;
    struct config_field *first = config->fields[number];
    struct config_field *at = add_own(add_scalars(first, ops), ops);

    *at++ = (struct config_field){.type = CONFIG_DURATION,
                                  .key = defaults->quiet_key != NULL ? defaults->quiet_key
                                                                     : "quiet_period",
                                  .offset = DETECTOR_FIELD(quiet_ns),
                                  .value = defaults->quiet,
                                  .min = 1e9,
                                  .max = 8.64e13,
                                  .bare_unit = defaults->quiet_alias != NULL ? "s" : NULL,
                                  .alias = defaults->quiet_alias,
                                  .is_hot = true,
                                  .help = "The incident is closed when quiet this long."};
    at = add_list(at, "exempt_sources", DETECTOR_FIELD(exempt_sources), DETECTOR_PREFIXES_MAX,
                  "Clients that this detector does not look at: addresses and networks.");
    at = add_list(at, "exempt_targets", DETECTOR_FIELD(exempt_targets), DETECTOR_PREFIXES_MAX,
                  "Servers that it does not look at.");
    at = add_list(at, "exempt_ports", DETECTOR_FIELD(exempt_ports), DETECTOR_PORTS_MAX,
                  "Server ports that it does not look at.");
    at = add_list(at, "overrides", DETECTOR_FIELD(overrides), DETECTOR_OVERRIDES_MAX,
                  "Other levels or another mode for a network, the first that fits: \"10.0.0.0/8 "
                  "medium=100 high=200 critical=400 mode=log\".");
    *at = (struct config_field){0};
    (void)end_of(first, at, DETECTOR_FIELDS_MAX);
}

static void make_level_fields(struct detection_config *config, uint32_t number)
{
    static const char *const keys[LEVEL_COUNT] = {"medium", "high", "critical"};
    static const char *const helps[LEVEL_COUNT] = {
        "From here on it is an incident.",
        "From here on its severity is one step up; 0: 4 times the first level.",
        "From here on it is two steps up; 0: 20 times the first level."};
    const struct detector_defaults *defaults = &detector_table[number]->defaults;
    const char *const values[LEVEL_COUNT] = {defaults->medium, defaults->high, defaults->critical};
    struct config_field *at = config->level_fields[number];

    for (uint32_t i = defaults->medium_key != NULL ? LEVEL_HIGH : LEVEL_MEDIUM; i < LEVEL_COUNT;
         i++) {
        *at++ = (struct config_field){.type = CONFIG_DOUBLE,
                                      .key = keys[i],
                                      .offset = DETECTOR_FIELD(levels[0]) + i * sizeof(double),
                                      .value = values[i],
                                      .min = i == LEVEL_MEDIUM ? defaults->medium_min : 0,
                                      .max = i == LEVEL_MEDIUM ? defaults->medium_max : 1e15,
                                      .is_hot = true,
                                      .help = helps[i]};
    }
    *at = (struct config_field){0};
}

uint32_t detection_sections(struct detection_config *config, struct config_section *out)
{
    uint32_t count = 0;

    assert(detector_count() <= DETECTORS_MAX);
    out[count++] = (struct config_section){ROOT, common_fields, config, "Detection."};
    for (uint32_t i = 0; i < detector_count(); i++) {
        const struct detector_ops *ops = detector_table[i];

        make_fields(config, i);
        (void)snprintf(config->paths[(size_t)2 * i], DETECTION_PATH_BYTES, ROOT ".%s", ops->name);
        out[count++] = (struct config_section){config->paths[(size_t)2 * i], config->fields[i],
                                               &config->detectors[i], ops->help};
        if (ops->defaults.medium != NULL) {
            make_level_fields(config, i);
            (void)snprintf(config->paths[(size_t)2 * i + 1], DETECTION_PATH_BYTES,
                           ROOT ".%s.levels", ops->name);
            out[count++] =
                (struct config_section){config->paths[(size_t)2 * i + 1], config->level_fields[i],
                                        &config->detectors[i], "Levels of severity."};
        }
    }
    return count;
}

/* ---- compile ---- */

static uint8_t mode_of(const char *text)
{
    return strcmp(text, "alert") == 0 ? DETECTOR_ALERT
           : strcmp(text, "log") == 0 ? DETECTOR_LOG
                                      : DETECTOR_LEARN;
}

static int refuse(const struct config *config, const struct detector_rules *rules, const char *key,
                  struct error *err)
{
    char path[2 * DETECTION_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s.%s", rules->path, key);
    return config_refuse(config, path, err);
}

static void fill_levels(double levels[LEVEL_COUNT])
{
    if (levels[LEVEL_HIGH] == 0) {
        levels[LEVEL_HIGH] = levels[LEVEL_MEDIUM] * HIGH_FACTOR;
    }
    if (levels[LEVEL_CRITICAL] == 0) {
        const double usual = levels[LEVEL_MEDIUM] * CRITICAL_FACTOR;
        const double above = levels[LEVEL_HIGH] * HIGH_FACTOR;

        levels[LEVEL_CRITICAL] = usual > levels[LEVEL_HIGH] ? usual : above;
    }
}

static bool are_rising(const double levels[LEVEL_COUNT])
{
    return levels[LEVEL_MEDIUM] > 0 && levels[LEVEL_HIGH] > levels[LEVEL_MEDIUM] &&
           levels[LEVEL_CRITICAL] > levels[LEVEL_HIGH];
}

static int take_levels(const struct detector_config *from, const struct config *config,
                       struct detector_rules *rules, struct error *err)
{
    if (rules->ops->defaults.medium == NULL) {
        return 0;
    }
    memcpy(rules->levels, from->levels, sizeof(rules->levels));
    fill_levels(rules->levels);
    if (!are_rising(rules->levels)) {
        (void)error_set(err, EINVAL,
                        "%s: the levels must rise: medium %.10g, high %.10g, "
                        "critical %.10g",
                        rules->path, rules->levels[LEVEL_MEDIUM], rules->levels[LEVEL_HIGH],
                        rules->levels[LEVEL_CRITICAL]);
        return refuse(config, rules,
                      rules->levels[LEVEL_HIGH] > rules->levels[LEVEL_MEDIUM] ? "levels.critical"
                                                                              : "levels.high",
                      err);
    }
    return 0;
}

static int take_prefixes(const struct config_list *list, const struct config *config,
                         const struct detector_rules *rules, const char *key,
                         struct ip_prefix out[DETECTOR_PREFIXES_MAX], uint32_t *count,
                         struct error *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (!prefix_parse(list->items[i], strlen(list->items[i]), &out[i])) {
            (void)error_set(err, EINVAL, "%s.%s: '%.64s' is no network such as 10.0.0.0/8",
                            rules->path, key, list->items[i]);
            return refuse(config, rules, key, err);
        }
    }
    *count = list->count;
    return 0;
}

static int take_ports(const struct config_list *list, const struct config *config,
                      struct detector_rules *rules, struct error *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char *end;
        const unsigned long port = strtoul(list->items[i], &end, 10);

        if (*end != '\0' || list->items[i][0] < '0' || list->items[i][0] > '9' || port > 65535) {
            (void)error_set(err, EINVAL, "%s.exempt_ports: '%.64s' is no port", rules->path,
                            list->items[i]);
            return refuse(config, rules, "exempt_ports", err);
        }
        rules->exempt_ports[i] = (uint16_t)port;
    }
    rules->exempt_ports_count = list->count;
    return 0;
}

/* One word behind the network: "medium=100" or "mode=log". */
static bool take_word(const char *word, struct detector_override *out)
{
    static const char *const keys[LEVEL_COUNT] = {"medium=", "high=", "critical="};
    static const char *const modes[] = {"mode=alert", "mode=log", "mode=learn"};

    for (uint32_t i = 0; i < LEVEL_COUNT; i++) {
        const size_t length = strlen(keys[i]);

        if (strncmp(word, keys[i], length) == 0) {
            char *end;

            out->levels[i] = strtod(word + length, &end);
            return end != word + length && *end == '\0' && out->levels[i] > 0 &&
                   out->levels[i] <= 1e15;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        if (strcmp(word, modes[i]) == 0) {
            out->mode = (uint8_t)i;
            return true;
        }
    }
    return false;
}

static int take_override(const char *item, const struct config *config,
                         const struct detector_rules *rules, struct detector_override *out,
                         struct error *err)
{
    char text[256];
    char *rest = text;
    const char *network;

    *out = (struct detector_override){.mode = rules->mode};
    (void)snprintf(text, sizeof(text), "%s", item);
    network = strsep(&rest, " ");
    bool is_good = strlen(item) < sizeof(text) &&
                   prefix_parse(network, strlen(network), &out->prefix) && rest != NULL;

    for (const char *word; is_good && (word = strsep(&rest, " ")) != NULL;) {
        is_good = word[0] == '\0' || take_word(word, out);
    }
    if (!is_good) {
        (void)error_set(err, EINVAL,
                        "%s.overrides: '%.100s' is not of the form \"10.0.0.0/8 medium=100 "
                        "high=200 critical=400 mode=log\"",
                        rules->path, item);
        return refuse(config, rules, "overrides", err);
    }
    if (out->levels[LEVEL_MEDIUM] == 0) {
        out->levels[LEVEL_MEDIUM] = rules->levels[LEVEL_MEDIUM];
    }
    fill_levels(out->levels);
    if (rules->ops->defaults.medium != NULL && !are_rising(out->levels)) {
        (void)error_set(err, EINVAL, "%s.overrides: the levels of '%.100s' must rise", rules->path,
                        item);
        return refuse(config, rules, "overrides", err);
    }
    return 0;
}

static int check_addresses(const struct detector_config *from, const struct config *config,
                           const struct detector_rules *rules, struct error *err)
{
    for (uint32_t i = 0; rules->ops->params[i].key != NULL; i++) {
        const struct detector_param *param = &rules->ops->params[i];
        const uint32_t count = param->is_addresses ? from->params[i].list.count : 0;

        for (uint32_t j = 0; j < count; j++) {
            const char *item = from->params[i].list.items[j];
            struct ip_address address;

            if (!address_parse(item, strlen(item), &address)) {
                (void)error_set(err, EINVAL, "%s.%s: '%.64s' is no address", rules->path,
                                param->key, item);
                return refuse(config, rules, param->key, err);
            }
        }
    }
    return 0;
}

/* Items of lists that name ports, parsed once: they are looked at for each flow. */
static int take_port_rules(const struct detector_config *from, const struct config *config,
                           struct detector_rules *rules, struct error *err)
{
    rules->ports_count = 0;
    for (uint32_t i = 0; rules->ops->params[i].key != NULL; i++) {
        const struct detector_param *param = &rules->ops->params[i];
        const uint32_t count = param->take_ports != NULL ? from->params[i].list.count : 0;

        for (uint32_t j = 0; j < count; j++) {
            const char *item = from->params[i].list.items[j];

            assert(rules->ports_count < ARRAY_COUNT(rules->ports));
            if (!param->take_ports(item, &rules->ports[rules->ports_count++])) {
                (void)error_set(err, EINVAL, "%s.%s: '%.64s' is not %s", rules->path, param->key,
                                item, param->form);
                return refuse(config, rules, param->key, err);
            }
        }
    }
    return 0;
}

static int compile_one(const struct detector_config *from, const struct config *config,
                       struct detector_rules *rules, struct error *err)
{
    rules->enabled = from->enabled;
    rules->mode = mode_of(from->mode);
    rules->window_ns = from->window_ns;
    rules->quiet_ns = from->quiet_ns;
    rules->min_volume = from->min_volume;
    memcpy(rules->params, from->params, sizeof(rules->params));
    if (take_levels(from, config, rules, err) != 0 ||
        take_prefixes(&from->exempt_sources, config, rules, "exempt_sources", rules->exempt_sources,
                      &rules->exempt_sources_count, err) != 0 ||
        take_prefixes(&from->exempt_targets, config, rules, "exempt_targets", rules->exempt_targets,
                      &rules->exempt_targets_count, err) != 0 ||
        take_ports(&from->exempt_ports, config, rules, err) != 0 ||
        check_addresses(from, config, rules, err) != 0 ||
        take_port_rules(from, config, rules, err) != 0) {
        return -err->code;
    }
    rules->least_level = rules->levels[LEVEL_MEDIUM];
    for (uint32_t i = 0; i < from->overrides.count; i++) {
        if (take_override(from->overrides.items[i], config, rules, &rules->overrides[i], err) !=
            0) {
            return -err->code;
        }
        rules->least_level = fmin(rules->least_level, rules->overrides[i].levels[LEVEL_MEDIUM]);
    }
    rules->overrides_count = from->overrides.count;
    return 0;
}

static uint32_t views_of(const struct detector_ops *ops)
{
    uint32_t count = 0;

    while (count < DETECTOR_VIEWS_MAX && ops->views[count].name != NULL) {
        count++;
    }
    return count;
}

static int take_notes(const struct detection_config *from, const struct config *config,
                      struct alert_notes *out, struct error *err)
{
    if (alert_notes_runbooks(out, &from->runbooks, err) != 0) {
        error_prefix(err, ROOT ".runbooks");
        return config_refuse(config, ROOT ".runbooks", err);
    }
    if (alert_notes_labels(out, &from->labels, err) != 0) {
        error_prefix(err, ROOT ".labels");
        return config_refuse(config, ROOT ".labels", err);
    }
    return 0;
}

int detection_compile(const struct detection_config *from, const struct config *config,
                      struct detection_settings *out, struct error *err)
{
    uint32_t views = 0, windows = 0, enabled = 0;

    *out = (struct detection_settings){.victims_max = (uint32_t)from->victims_max,
                                       .scanners_max = (uint32_t)from->scanners_max,
                                       .keys_max = (uint32_t)from->keys_max,
                                       .warm_up_ns = from->warm_up_ns,
                                       .seed = 1,
                                       .scope = ALERT_SENSOR_SCOPE,
                                       .detectors_count = detector_count()};
    for (uint32_t i = 0; i < out->detectors_count; i++) {
        struct detector_rules *rules = &out->rules[i];

        rules->ops = detector_table[i];
        rules->first_view = views;
        rules->first_window = windows;
        views += views_of(rules->ops);
        windows += rules->ops->windows_count;
        (void)snprintf(rules->path, sizeof(rules->path), ROOT ".%s", rules->ops->name);
        if (compile_one(&from->detectors[i], config, rules, err) != 0) {
            return -err->code;
        }
        enabled += rules->enabled;
    }
    out->enabled = from->enabled && enabled > 0;
    return take_notes(from, config, &out->notes, err);
}

int detection_settings_default(struct detection_settings *out, struct error *err)
{
    struct detection_config *from = calloc(1, sizeof(*from));
    struct config_section sections[DETECTION_SECTIONS_MAX];
    int result = -ENOMEM;

    if (from == NULL) {
        return error_set(err, ENOMEM, "detection: no memory for settings");
    }
    AUTO(config) config = config_new(sections, detection_sections(from, sections), "NETSCOPE", err);

    if (config != NULL) {
        result = detection_compile(from, NULL, out, err);
        out->warm_up_ns = 0;
    }
    free(from);
    return result;
}

struct detector_rules *detection_rules(struct detection_settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->detectors_count; i++) {
        if (strcmp(settings->rules[i].ops->name, name) == 0) {
            return &settings->rules[i];
        }
    }
    return NULL;
}
