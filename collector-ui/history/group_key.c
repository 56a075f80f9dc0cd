#include "collector-ui/history/group_key.h"

#include <stdio.h>
#include <string.h>

#include "base/address.h"

static const struct {
    const char *name, *column;
} dimensions[DIMENSION_COUNT] = {
    [DIMENSION_APPLICATION] = {"application", "f.app"},
    [DIMENSION_SENSOR] = {"sensor", "f.sensor_id"},
    [DIMENSION_CLIENT] = {"client", "f.client_ip"},
    [DIMENSION_SERVER] = {"server", "f.server_ip"},
    [DIMENSION_SERVER_PORT] = {"server_port", "f.server_port"},
    [DIMENSION_SERVER_NAME] = {"server_name", "f.server_name"},
    [DIMENSION_SERVER_LABEL] = {"server_label", "COALESCE(f.server_name, f.server_ip)"},
    [DIMENSION_PROTOCOL] = {"ip_protocol", "f.protocol"},
    [DIMENSION_IP_VERSION] = {"ip_version", "f.ip_version"},
    [DIMENSION_VLAN] = {"vlan", "f.vlan"},
    [DIMENSION_DIRECTION] = {"direction", "NULL"},
    [DIMENSION_CLIENT_NETWORK] = {"client.labels.", "NULL"},
    [DIMENSION_SERVER_NETWORK] = {"server.labels.", "NULL"},
};

const char *history_dimension_name(enum history_dimension dimension)
{
    return dimensions[dimension].name;
}

const char *group_key_column(enum history_dimension dimension)
{
    return dimensions[dimension].column;
}

bool group_key_wants_record(enum history_dimension dimension)
{
    return dimension == DIMENSION_DIRECTION || group_key_wants_label(dimension);
}

bool group_key_wants_label(enum history_dimension dimension)
{
    return dimension == DIMENSION_CLIENT_NETWORK || dimension == DIMENSION_SERVER_NETWORK;
}

static size_t put(char out[HISTORY_VALUE_BYTES], const char *text)
{
    const size_t length = text == NULL ? 0 : strnlen(text, HISTORY_VALUE_BYTES - 1);

    if (length > 0) {
        memcpy(out, text, length);
    }
    out[length] = '\0';
    return length;
}

static size_t put_number(char out[HISTORY_VALUE_BYTES], int number)
{
    return (size_t)snprintf(out, HISTORY_VALUE_BYTES, "%d", number);
}

static size_t put_address(char out[HISTORY_VALUE_BYTES], sqlite3_stmt *rows, int at)
{
    const void *const bytes = sqlite3_column_blob(rows, at);
    const int length = sqlite3_column_bytes(rows, at);
    struct ip_address address = {.version = length == 4 ? 4 : 6};
    char text[ADDRESS_TEXT_BYTES] = "";

    if (bytes != NULL && (length == 4 || length == 16)) {
        memcpy(address.bytes, bytes, (size_t)length);
        (void)address_text(&address, text);
    }
    return put(out, text);
}

/* Multicast and link-local addresses are of the network that they were seen in. */
static const char *direction_of(const struct flow_record *record)
{
    const uint8_t client = record->client.scope, server = record->server.scope;

    if (client == SCOPE_NONE || server == SCOPE_NONE) {
        return "";
    }
    if (client == SCOPE_EXTERNAL) {
        return server == SCOPE_EXTERNAL ? "external" : "inbound";
    }
    return server == SCOPE_EXTERNAL ? "outbound" : "internal";
}

static size_t put_label(char out[HISTORY_VALUE_BYTES], const struct record_label *labels,
                        unsigned count, const char *key)
{
    const struct record_label *label =
        record_label_find(labels, count, (struct record_text){key, (uint32_t)strlen(key)});

    if (label == NULL) {
        return put(out, "");
    }
    return (size_t)snprintf(out, HISTORY_VALUE_BYTES, "%.*s", (int)label->value.length,
                            label->value.data);
}

size_t group_key_text(sqlite3_stmt *rows, int at, enum history_dimension dimension,
                      const char *label, const struct flow_record *record,
                      char out[HISTORY_VALUE_BYTES])
{
    const char *name;

    switch (dimension) {
    case DIMENSION_SERVER_LABEL:
        return sqlite3_column_type(rows, at) == SQLITE_BLOB
                   ? put_address(out, rows, at)
                   : put(out, (const char *)sqlite3_column_text(rows, at));
    case DIMENSION_CLIENT:
    case DIMENSION_SERVER:
        return put_address(out, rows, at);
    case DIMENSION_PROTOCOL:
        name = filter_protocol_name((uint8_t)sqlite3_column_int(rows, at));
        return name != NULL ? put(out, name) : put_number(out, sqlite3_column_int(rows, at));
    case DIMENSION_SERVER_PORT:
    case DIMENSION_IP_VERSION:
        return put_number(out, sqlite3_column_int(rows, at));
    case DIMENSION_VLAN:
        return sqlite3_column_type(rows, at) == SQLITE_NULL
                   ? put(out, "")
                   : put_number(out, sqlite3_column_int(rows, at));
    case DIMENSION_DIRECTION:
        return put(out, record == NULL ? "" : direction_of(record));
    case DIMENSION_CLIENT_NETWORK:
        return record == NULL
                   ? put(out, "")
                   : put_label(out, record->client_labels, record->client.labels_count, label);
    case DIMENSION_SERVER_NETWORK:
        return record == NULL
                   ? put(out, "")
                   : put_label(out, record->server_labels, record->server.labels_count, label);
    default:
        return put(out, (const char *)sqlite3_column_text(rows, at));
    }
}
