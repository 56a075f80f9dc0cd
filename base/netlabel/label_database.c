/* MaxMind DB files by libmaxminddb: GeoLite2 and GeoIP2 and what has their layout (DB-IP), and the
 * flat one of IPinfo. A file is mapped: whoever replaces it renames a new one over it, as
 * geoipupdate does, so that what is mapped stays whole. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <maxminddb.h>

#include "base/netlabel/netlabel_private.h"

struct label_database {
    MMDB_s mmdb;
};

/* Where a label may stand; the first that is there counts. */
static const struct {
    const char *key;
    const char *path[4];
} places[] = {
    {"country", {"country", "iso_code"}},
    {"country", {"country_code"}},
    {"city", {"city", "names", "en"}},
    {"city", {"city"}},
    {"asn", {"autonomous_system_number"}},
    {"asn", {"asn"}},
    {"as_org", {"autonomous_system_organization"}},
    {"as_org", {"as_name"}},
};

struct label_database *label_database_open(const char *path, struct error *err)
{
    struct label_database *database = calloc(1, sizeof(*database));

    if (database == NULL) {
        error_set(err, ENOMEM, "%s: no memory", path);
        return NULL;
    }
    const int status = MMDB_open(path, MMDB_MODE_MMAP, &database->mmdb);

    if (status != MMDB_SUCCESS) {
        const int code = status == MMDB_FILE_OPEN_ERROR || status == MMDB_IO_ERROR ? errno : 0;

        error_set(err, code > 0 ? code : EINVAL, "%s: %s", path,
                  code > 0 ? strerror(code) : MMDB_strerror(status));
        free(database);
        return NULL;
    }
    return database;
}

void label_database_close(struct label_database *database)
{
    if (database != NULL) {
        MMDB_close(&database->mmdb);
        free(database);
    }
}

/* An IPv4 address is looked up in both kinds of files, an IPv6 one in those of IPv6. */
static bool look_up(const MMDB_s *mmdb, const struct ip_address *address,
                    MMDB_lookup_result_s *found)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    int status = MMDB_SUCCESS;

    if (address->version == 4) {
        memcpy(&v4.sin_addr, address->bytes, 4);
    } else {
        memcpy(&v6.sin6_addr, address->bytes, 16);
    }
    *found = MMDB_lookup_sockaddr(
        mmdb, address->version == 4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
        &status);
    return status == MMDB_SUCCESS && found->found_entry;
}

/* False: the value is none for a label. */
static bool value_of(const MMDB_entry_data_s *data, struct netlabel_set *set,
                     struct netlabel *label)
{
    if (data->type == MMDB_DATA_TYPE_UTF8_STRING) {
        size_t length = data->data_size;

        while (length > NETLABEL_VALUE_BYTES ||
               (length > 0 && length < data->data_size &&
                ((uint8_t)data->utf8_string[length] & 0xc0) == 0x80)) {
            length--; /* a long name of an organization is cut between two characters */
        }
        label->value = data->utf8_string;
        label->value_length = (uint8_t)length;
        return netlabel_value_is_good(label->value, length);
    }
    if (data->type == MMDB_DATA_TYPE_UINT32 && data->uint32 != 0) {
        label->value = set->number;
        label->value_length =
            (uint8_t)snprintf(set->number, sizeof(set->number), "AS%u", data->uint32);
        return true;
    }
    return false;
}

void label_database_find(const struct label_database *database, const struct ip_address *address,
                         struct netlabel_set *out)
{
    MMDB_lookup_result_s found;

    if ((address->version == 6 && database->mmdb.metadata.ip_version == 4) ||
        !look_up(&database->mmdb, address, &found)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        MMDB_entry_data_s data;
        struct netlabel label = {.key = places[i].key,
                                 .key_length = (uint8_t)strlen(places[i].key)};

        if (netlabel_set_find(out, label.key, label.key_length) == NULL &&
            MMDB_aget_value(&found.entry, &data, (const char *const *)places[i].path) ==
                MMDB_SUCCESS &&
            data.has_data && value_of(&data, out, &label)) {
            netlabel_set_put(out, &label);
        }
    }
}
