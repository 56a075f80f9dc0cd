/* Names become small numbers: only appended, a colour for the first few. */
#include <string.h>

#include "collector-ui/api/live_private.h"

static uint8_t slot_of(struct live_dict *dict, const char *name)
{
    static const char *const fixed[] = {"tls", "quic", "http", "dns", "ssh"};
    for (uint8_t i = 0; i < 5; i++) {
        if (strcmp(name, fixed[i]) == 0) {
            return (uint8_t)(i + 1);
        }
    }
    if (dict->slots_used == 0 && strcmp(name, "other") != 0 && strcmp(name, "unknown") != 0 &&
        name[0] != '\0') {
        dict->slots_used = 1; /* one is left for whoever comes first */
        return 6;
    }
    return 0;
}

uint16_t live_dict_app(struct live_dict *dict, const char *name)
{
    for (uint32_t i = 0; i < dict->apps_count; i++) {
        if (strcmp(dict->apps[i].name, name) == 0) {
            return (uint16_t)i;
        }
    }
    if (dict->apps_count == LIVE_DICT_APPS) {
        return UINT16_MAX;
    }
    const uint32_t at = dict->apps_count++;
    strncpy(dict->apps[at].name, name, LIVE_NAME_BYTES - 1);
    dict->apps[at].slot = slot_of(dict, name);
    dict->rev++;
    return (uint16_t)at;
}

uint16_t live_dict_sensor(struct live_dict *dict, const char *sensor_id)
{
    for (uint32_t i = 0; i < dict->sensors_count; i++) {
        if (strcmp(dict->sensors[i].id, sensor_id) == 0) {
            return (uint16_t)i;
        }
    }
    if (dict->sensors_count == LIVE_DICT_SENSORS) {
        return UINT16_MAX;
    }
    strncpy(dict->sensors[dict->sensors_count].id, sensor_id, sizeof dict->sensors[0].id - 1);
    dict->rev++;
    return (uint16_t)dict->sensors_count++;
}

/* Behind LIVE_DICT_SITES they count as none. */
static uint16_t site_of(struct live_dict *dict, const char *site)
{
    if (dict->sites_count == 0) {
        dict->sites_count = 1;
    }
    for (uint32_t i = 0; i < dict->sites_count; i++) {
        if (strcmp(dict->sites[i], site) == 0) {
            return (uint16_t)i;
        }
    }
    if (dict->sites_count == LIVE_DICT_SITES) {
        return 0;
    }
    strncpy(dict->sites[dict->sites_count], site, sizeof dict->sites[0] - 1);
    return (uint16_t)dict->sites_count++;
}

void live_dict_site(struct live_dict *dict, const char *sensor_id, const char *site)
{
    for (uint32_t i = 0; i < dict->sensors_count; i++) {
        if (strcmp(dict->sensors[i].id, sensor_id) == 0) {
            const uint16_t before = dict->sensors[i].site;

            dict->sensors[i].site = site_of(dict, site);
            dict->rev += dict->sensors[i].site != before;
            return;
        }
    }
}

static void write_texts(struct json_writer *out, const char *key, const char *const *texts,
                        unsigned count)
{
    json_key(out, key);
    json_array_begin(out);
    for (unsigned i = 0; i < count; i++) {
        json_text(out, texts[i]);
    }
    json_array_end(out);
}

void live_dict_write(const struct live_dict *dict, struct json_writer *out)
{
    static const char *const states[] = {"",         "SYN_SENT", "SYN_ACK", "ESTABLISHED",
                                         "FIN_WAIT", "CLOSED",   "RESET"};
    static const char *const severities[] = {"", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"};
    json_object_begin(out);
    json_key(out, "t");
    json_text(out, "dict");
    json_key(out, "rev");
    json_u64(out, dict->rev);
    json_key(out, "app");
    json_array_begin(out);
    for (uint32_t i = 0; i < dict->apps_count; i++) {
        json_array_begin(out);
        json_text(out, dict->apps[i].name);
        json_u64(out, dict->apps[i].slot);
        json_array_end(out);
    }
    json_array_end(out);
    json_key(out, "sensor");
    json_array_begin(out);
    for (uint32_t i = 0; i < dict->sensors_count; i++) {
        json_array_begin(out);
        json_text(out, dict->sensors[i].id);
        json_text(out, dict->sensors[i].id);
        json_text(out, dict->sites[dict->sensors[i].site]);
        json_array_end(out);
    }
    json_array_end(out);
    json_key(out, "site");
    json_array_begin(out);
    for (uint32_t i = 0; i < dict->sites_count || i == 0; i++) {
        json_text(out, dict->sites[i]);
    }
    json_array_end(out);
    write_texts(out, "state", states, 7);
    write_texts(out, "sev", severities, 6);
    json_object_end(out);
}
