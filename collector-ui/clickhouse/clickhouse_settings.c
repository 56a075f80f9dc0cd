/* Settings of the way into ClickHouse: one row is the whole truth. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/transfer/transfer.h"
#include "collector-ui/clickhouse/clickhouse.h"

#define FIELD(member) offsetof(struct clickhouse_settings, member)
#define HTTP_PORT     80
#define HTTPS_PORT    443

const struct config_field clickhouse_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "url",
     .offset = FIELD(url),
     .value = "",
     .max = 1024,
     .help =
         "The server's HTTP interface, http://HOST:8123 or https://HOST:8443; empty: no rows are "
         "written. Tables: deploy/clickhouse."},
    {.type = CONFIG_TEXT,
     .key = "database",
     .offset = FIELD(database),
     .value = "netscope",
     .max = 64,
     .help = "Database of the table."},
    {.type = CONFIG_TEXT,
     .key = "table",
     .offset = FIELD(table),
     .value = "flows",
     .max = 64,
     .help = "Table that takes a row each flow record."},
    {.type = CONFIG_TEXT,
     .key = "alerts_table",
     .offset = FIELD(alerts_table),
     .value = "",
     .max = 64,
     .help = "Table that takes a row each alert record, \"alerts\" in "
             "deploy/clickhouse/04_alerts_stats.sql; empty: alerts are not written."},
    {.type = CONFIG_TEXT,
     .key = "stats_table",
     .offset = FIELD(stats_table),
     .value = "",
     .max = 64,
     .help = "Table that takes a row a second of each sensor, \"stats\" there; empty: statistics "
             "are not written."},
    {.type = CONFIG_TEXT,
     .key = "dns_table",
     .offset = FIELD(dns_table),
     .value = "",
     .max = 64,
     .help = "Table that takes a row each DNS transaction, \"dns\" there (sensors send them with "
             "dns.records); empty: they are not written."},
    {.type = CONFIG_TEXT,
     .key = "user",
     .offset = FIELD(user),
     .value = "default",
     .max = 128,
     .help = "Who writes; needs INSERT on the tables."},
    {.type = CONFIG_TEXT,
     .key = "password_file",
     .offset = FIELD(password_file),
     .value = "",
     .max = 4095,
     .help = "File (mode 0600) with the password, read for each request; empty: none."},
    {.type = CONFIG_TEXT,
     .key = "ca_file",
     .offset = FIELD(ca_file),
     .value = "",
     .max = 4095,
     .help =
         "PEM file of the authorities that may have signed the server's certificate; empty: the "
         "system's."},
    {.type = CONFIG_CHOICE,
     .key = "compression",
     .offset = FIELD(compression),
     .value = "zstd",
     .choices = "zstd|off",
     .help = "How rows travel (Content-Encoding): a fifth of the bytes, or as they are."},
    {.type = CONFIG_U64,
     .key = "batch_rows",
     .offset = FIELD(batch_rows),
     .value = "50000",
     .min = 1,
     .max = 1000000,
     .help = "Rows that end a batch: one INSERT each."},
    {.type = CONFIG_BYTES,
     .key = "batch_size",
     .offset = FIELD(batch_bytes),
     .value = "32MiB",
     .min = 65536,
     .max = 1073741824,
     .help = "Or bytes; the memory of a batch."},
    {.type = CONFIG_DURATION,
     .key = "batch_interval",
     .offset = FIELD(batch_ns),
     .value = "1s",
     .min = 1e7,
     .max = 3e11,
     .help = "Or time since its first row. A server likes few large batches."},
    {.type = CONFIG_DURATION,
     .key = "timeout",
     .offset = FIELD(timeout_ns),
     .value = "30s",
     .min = 1e8,
     .max = 6e11,
     .help = "Longest time of one request."},
    {.type = CONFIG_BYTES,
     .key = "queue_size",
     .offset = FIELD(queue_bytes),
     .value = "4GiB",
     .min = 1048576,
     .max = 1e15,
     .help = "Of the log, on disk, that is kept for each table while the server takes nothing; "
             "above it "
             "the oldest rows are given up and counted."},
    {.type = CONFIG_CHOICE,
     .key = "query",
     .offset = FIELD(query),
     .value = "on",
     .choices = "on|off",
     .help = "Questions that reach back beyond the collector's own store (store.retention) are "
             "answered from the table; needs SELECT on it."},
    {.type = CONFIG_TEXT,
     .key = "query_user",
     .offset = FIELD(query_user),
     .value = "",
     .max = 128,
     .help = "Who asks; empty: as who writes."},
    {.type = CONFIG_TEXT,
     .key = "query_password_file",
     .offset = FIELD(query_password_file),
     .value = "",
     .max = 4095,
     .help = "File (mode 0600) with the password of query_user; empty: none."},
    {.type = CONFIG_DURATION,
     .key = "query_timeout",
     .offset = FIELD(query_timeout_ns),
     .value = "15s",
     .min = 1e9,
     .max = 6e11,
     .help = "Longest time for what one question reads there."},
    {.type = CONFIG_U64,
     .key = "query_rows",
     .offset = FIELD(query_rows),
     .value = "1000000",
     .min = 1,
     .max = 100000000,
     .help = "Records that one question may read there; the newest are read, and the answer says "
             "from when on it is whole."},
    {.type = CONFIG_BYTES,
     .key = "query_size",
     .offset = FIELD(query_bytes),
     .value = "512MiB",
     .min = 65536,
     .max = 1e12,
     .help = "Or bytes. They are kept on disk for a minute, for the questions that follow."},
    {0},
};

bool clickhouse_is_on(const struct clickhouse_settings *settings)
{
    return settings->url[0] != '\0';
}

const char *clickhouse_table_of(const struct clickhouse_settings *settings,
                                enum record_stream stream)
{
    switch (stream) {
    case RECORD_FLOWS:
        return settings->table;
    case RECORD_ALERTS:
        return settings->alerts_table;
    case RECORD_STATS:
        return settings->stats_table;
    case RECORD_DNS:
        return settings->dns_table;
    default:
        return "";
    }
}

bool clickhouse_is_asked(const struct clickhouse_settings *settings)
{
    return clickhouse_is_on(settings) && strcmp(settings->query, "on") == 0;
}

static bool is_https(const char *url)
{
    return strncmp(url, "https:", strlen("https:")) == 0;
}

static int read_url(const char *url, struct transfer_url *out, struct error *err)
{
    *out = (struct transfer_url){0};
    if (!is_https(url) && strncmp(url, "http:", strlen("http:")) != 0) {
        return error_set(err, EINVAL, "url: it begins with https:// or http://");
    }
    const int result = transfer_url_read(url, is_https(url) ? HTTPS_PORT : HTTP_PORT, true,
                                         " use user and password_file", out, err);

    return result == 0 && out->has_query
               ? error_set(err, EINVAL,
                           "url: no ? and no # in it: the rest has settings of its own")
               : result;
}

/* Goes into statements. */
static int check_name(const char *key, const char *name, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return name[0] != '\0' && strspn(name, allowed) == strlen(name)
               ? 0
               : error_set(err, EINVAL, "%s: \"%.64s\" is no name (letters, digits and '_')", key,
                           name);
}

/* Empty: that stream is not written. Two streams in one table would not fit. */
static int check_tables(const struct clickhouse_settings *settings, struct error *err)
{
    static const struct {
        const char *key;
        enum record_stream stream;
    } tables[] = {{"table", RECORD_FLOWS},
                  {"alerts_table", RECORD_ALERTS},
                  {"stats_table", RECORD_STATS},
                  {"dns_table", RECORD_DNS}};
    int result = 0;

    for (size_t i = 0; i < ARRAY_COUNT(tables) && result == 0; i++) {
        const char *name = clickhouse_table_of(settings, tables[i].stream);

        if (i == 0 || name[0] != '\0') {
            result = check_name(tables[i].key, name, err);
        }
        for (size_t j = 0; j < i && result == 0 && name[0] != '\0'; j++) {
            if (strcmp(name, clickhouse_table_of(settings, tables[j].stream)) == 0) {
                result = error_set(err, EINVAL, "%s: \"%.64s\" is what %s names, too",
                                   tables[i].key, name, tables[j].key);
            }
        }
    }
    return result;
}

static int check(const struct clickhouse_settings *settings, struct error *err)
{
    struct transfer_url url;
    int result = read_url(settings->url, &url, err);

    if (result == 0) {
        result = check_name("database", settings->database, err);
    }
    if (result == 0) {
        result = check_tables(settings, err);
    }
    if (result == 0 && settings->ca_file[0] != '\0' && !is_https(settings->url)) {
        result = error_set(err, EINVAL, "ca_file: the URL asks for no TLS (https://)");
    }
    if (result == 0 && settings->password_file[0] != '\0' && !is_https(settings->url) &&
        !url.is_loopback) {
        result = error_set(err, EINVAL,
                           "password_file: a password goes to another machine by https:// alone");
    }
    if (result == 0 && settings->query_password_file[0] != '\0' && !is_https(settings->url) &&
        !url.is_loopback) {
        result =
            error_set(err, EINVAL,
                      "query_password_file: a password goes to another machine by https:// alone");
    }
    if (result == 0 && settings->query_password_file[0] != '\0' &&
        settings->query_user[0] == '\0') {
        result = error_set(err, EINVAL, "query_password_file: whose is it? Name query_user");
    }
    return result;
}

int clickhouse_check(const struct clickhouse_settings *settings, struct error *err)
{
    const int result = clickhouse_is_on(settings) ? check(settings, err) : 0;

    if (result != 0) {
        error_prefix(err, "clickhouse");
    }
    return result;
}

bool clickhouse_peer_of(const struct clickhouse_settings *settings, struct clickhouse_peer *out)
{
    struct transfer_url url;

    *out = (struct clickhouse_peer){.is_tls = is_https(settings->url)};
    if (!clickhouse_is_on(settings) || read_url(settings->url, &url, NULL) != 0) {
        return false;
    }
    endpoint_text(url.host, url.port, out->address);
    return true;
}
